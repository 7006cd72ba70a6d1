import type { ServerResponse } from 'node:http';
import type { Clock } from '../../../shared/clock.ts';
import type { KubeObject } from '../../cluster/port.ts';
import { apiVersionOf, type ServedKind } from './kinds.ts';
import type { Matcher } from './selectors.ts';
import { expired } from './status-error.ts';
import type { Store, StoredEvent } from './store.ts';

/** One watch. */
export type WatchRequest = {
  readonly kind: ServedKind;
  /** Namespace and selectors in one. */
  readonly matches: Matcher;
  /** undefined: from what is there now, which is sent first. */
  readonly from: number | undefined;
  readonly bookmarks: boolean;
  /** After the objects that are there, a bookmark marks that they were all. */
  readonly initialEvents: boolean;
  readonly timeoutSeconds: number;
  readonly response: ServerResponse;
};

/** A watch as the fault controls see it. */
export type OpenWatch = {
  readonly plural: string;
  /** Nothing is sent any more, not even bookmarks, while the connection stays. */
  silence(): void;
  send(text: string): void;
  end(): void;
  cut(): void;
};

/** All open watches. */
export type Watches = {
  serve(request: WatchRequest): void;
  open(): readonly OpenWatch[];
  /** Kinds whose watches send nothing from their beginning on. */
  readonly muted: Set<string>;
};

/** As often as the real one sends them. */
const bookmarkEveryMs = 60_000;
const lastBookmarkMs = 2_000;

/** Sends each change to the watches that it matches, and bookmarks by the clock. */
export function createWatches(deps: { readonly store: Store; readonly clock: Clock }): Watches {
  const { store, clock } = deps;
  const open = new Set<OpenWatch>();
  const muted = new Set<string>();

  function serve(request: WatchRequest): void {
    const { kind, matches, response, from } = request;
    let silent = muted.has(kind.plural);
    const write = (text: string) => {
      if (!silent && !response.writableEnded) response.write(text);
    };
    const send = (type: string, object: object) => write(`${JSON.stringify({ type, object })}\n`);
    const shaped = (object: KubeObject) => ({ ...object, apiVersion: apiVersionOf(kind), kind: kind.kind });
    const deliver = (event: StoredEvent) => {
      const seen = viewOf(event, matches);
      if (seen !== undefined) send(seen.type, shaped(seen.object));
    };
    const startedAt = from ?? store.version();
    const bookmark = (version: number, annotations?: object) => {
      const metadata = { resourceVersion: String(version), creationTimestamp: null, ...annotations };
      send('BOOKMARK', { kind: kind.kind, apiVersion: apiVersionOf(kind), metadata });
    };
    /** None on a kind that did not change since the watch began: silence proves nothing about a connection. */
    const bookmarkIfMoved = () => {
      const version = store.changed(kind.bucket);
      if (version > startedAt) bookmark(version);
    };

    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' });
    response.flushHeaders();
    const history = from === undefined ? [] : store.since(kind.bucket, from);
    if (history === undefined) {
      // As the real one: the stream opens, and the refusal is its only event.
      send('ERROR', expired(`too old resource version: ${from} (${store.oldest()})`).status);
      response.end();
      return;
    }
    if (from === undefined) {
      for (const object of store.list(kind.bucket)) if (matches(object)) send('ADDED', shaped(object));
    }
    if (request.initialEvents)
      bookmark(store.version(), { annotations: { 'k8s.io/initial-events-end': 'true' } });
    for (const event of history) deliver(event);

    const ending = new AbortController();
    const stopListening = store.listen((event) => {
      if (event.bucket === kind.bucket) deliver(event);
    });
    const watch: OpenWatch = {
      plural: kind.plural,
      silence: () => {
        silent = true;
      },
      send: (text) => response.write(text),
      end: () => response.end(),
      cut: () => response.destroy(),
    };
    open.add(watch);
    response.once('close', () => {
      stopListening();
      open.delete(watch);
      ending.abort();
    });
    void pace(request, bookmarkIfMoved, ending.signal);
  }

  /** Bookmarks every minute and two seconds before the end, then the end: as the real one paces them. */
  async function pace(request: WatchRequest, bookmark: () => void, signal: AbortSignal): Promise<void> {
    const deadline = clock.now() + request.timeoutSeconds * 1000;
    try {
      for (;;) {
        const left = deadline - clock.now();
        if (left <= 0) break;
        const untilLast = left - lastBookmarkMs;
        await clock.sleep(untilLast > 0 ? Math.min(bookmarkEveryMs, untilLast) : left, signal);
        if (request.bookmarks && untilLast > 0) bookmark();
      }
      if (!request.response.writableEnded) request.response.end();
    } catch {
      // Aborted: the connection is gone already.
    }
  }

  return { serve, muted, open: () => [...open] };
}

/** Entering or leaving a selector is an appearance or a disappearance to who watches with it. */
function viewOf(
  { type, object, previous }: StoredEvent,
  matches: Matcher,
): { readonly type: string; readonly object: KubeObject } | undefined {
  const before = previous !== undefined && matches(previous);
  const after = type !== 'DELETED' && matches(object);
  if (before && after) return { type: 'MODIFIED', object };
  if (after) return { type: 'ADDED', object };
  if (!before) return undefined;
  const { resourceVersion } = object.metadata;
  // The last state that matched, under the version of the change.
  return {
    type: 'DELETED',
    object: { ...previous, metadata: { ...previous.metadata, ...(resourceVersion && { resourceVersion }) } },
  };
}
