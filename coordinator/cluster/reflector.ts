import type { Clock } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { type Change, createObjectCache } from './object-cache.ts';
import type { Cluster, KubeObject, Listing, ListQuery, ObjectKey, ResourceName } from './port.ts';

/**
 * A time in which we could not see. `lost`: the server no longer had the history and we listed again, so that states
 * in between may never be known; otherwise everything came, only later than it happened.
 */
export type Gap = {
  /** Milliseconds of the clock: the last moment at which we saw. */
  readonly from: number;
  /** Milliseconds of the clock. */
  readonly until: number;
  readonly because: string;
  readonly lost: boolean;
};

/** What is reflected, and who is called. */
export type ReflectorOptions = {
  readonly cluster: Cluster;
  readonly resource: ResourceName;
  readonly query?: ListQuery;
  readonly clock: Clock;
  /** 0 to below 1; spreads the retries of many reflectors. */
  readonly random: () => number;
  readonly log: Log;
  /** May throw or reject: that is logged and stops nothing. Not awaited. */
  readonly onChange: (change: Change) => unknown;
  /** Called before the changes that end the gap. The same rules as for onChange. */
  readonly onGap?: (gap: Gap) => unknown;
  /** How long one watch may last, before it is opened again; default 120. */
  readonly watchSeconds?: number;
};

/** Counts since the start, for metrics and for the age of the view. Times in milliseconds of the clock. */
export type ReflectorStatistics = {
  readonly lists: number;
  readonly watches: number;
  readonly errors: number;
  readonly lastError?: { readonly at: number; readonly reason: string; readonly message: string };
  /** When the server last sent something: a list, an event or a bookmark. */
  readonly lastSeenAt?: number;
};

/** A local copy of all objects of one kind that match a query, kept current by list and watch. */
export type Reflector = {
  /** Begins, once; ends when the signal is aborted or stop is called. */
  start(signal?: AbortSignal): void;
  /** Resolves when nothing is open and nothing will be opened any more. */
  stop(): Promise<void>;
  /** Resolves after the first list was handed over; rejects with `shutting_down` if it is stopped before. */
  readonly ready: Promise<void>;
  /** As `ready`, and also when the first list was refused: then `unread` says why. Never rejects. */
  readonly settled: Promise<void>;
  /** Why nothing is known of the kind: it was never listed. undefined: it was, or nothing was tried so far. */
  unread(): Refusal | undefined;
  /** The gap that is open now: since when nothing was seen, in milliseconds of the clock, and why. */
  blind(): { readonly since: number; readonly because: string } | undefined;
  /** Takes over what the server answered to a write of our own, before the watch brings it. */
  learn(object: KubeObject): void;
  readonly store: { get(key: ObjectKey): KubeObject | undefined; list(): readonly KubeObject[] };
  /** All gaps that have ended, oldest first. */
  readonly gaps: readonly Gap[];
  statistics(): ReflectorStatistics;
};

const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** A watch that ends sooner counts as a failure: a server that closes at once must not be asked in a tight loop. */
const shortWatchMs = 5_000;
/**
 * What a watch may be silent beyond its time before it counts as dead. Bookmarks prove nothing: a server sends none for
 * a kind that does not change. That it ends a watch in time is the one thing it always does.
 */
const graceMs = 30_000;
const keptGaps = 100;

/** List and watch of one kind that never ends by itself, and knows when it could not see. */
export function createReflector(options: ReflectorOptions): Reflector {
  const { cluster, resource, query = {}, clock, random, watchSeconds = 120 } = options;
  const quietMs = watchSeconds * 1000 + graceMs;
  const log = options.log.child({ resource });
  const known = createObjectCache({
    now: () => clock.now(),
    onChange: (change) => hand('onChange', () => options.onChange(change)),
  });
  const gaps: Gap[] = [];
  const stopping = new AbortController();
  const ready = Promise.withResolvers<void>();
  // Who does not wait for it must not be killed by it.
  ready.promise.catch(() => {});
  const settled = Promise.withResolvers<void>();
  let unread: Refusal | undefined;
  const counts = { lists: 0, watches: 0, errors: 0 };
  let lastError: ReflectorStatistics['lastError'];
  let lastSeenAt: number | undefined;
  let running: Promise<void> | undefined;
  /** Where to watch from; undefined: a list is needed. */
  let version: string | undefined;
  let listedBefore = false;
  let failures = 0;
  /** Why the stream broke since we last saw something. */
  let blindBecause: string | undefined;

  function hand(name: string, handler: (() => unknown) | undefined): void {
    const failed = (thrown: unknown) => log.error({ err: thrown }, `a handler of ${name} failed`);
    try {
      const result = handler?.();
      if (result instanceof Promise) result.catch(failed);
    } catch (thrown) {
      failed(thrown);
    }
  }

  /** Something was heard: whatever was missed lies before now. */
  function seen(lost: boolean): void {
    const until = clock.now();
    if (blindBecause !== undefined && lastSeenAt !== undefined) {
      const gap: Gap = { from: lastSeenAt, until, because: blindBecause, lost };
      gaps.push(gap);
      if (gaps.length > keptGaps) gaps.shift();
      hand('onGap', () => options.onGap?.(gap));
    }
    blindBecause = undefined;
    lastSeenAt = until;
  }

  function takeList({ items, resourceVersion }: Listing): void {
    if (listedBefore) blindBecause ??= 'listed again';
    seen(listedBefore);
    known.replaceAll(items, resourceVersion);
    version = resourceVersion;
    listedBefore = true;
    unread = undefined;
    ready.resolve();
    settled.resolve();
  }

  async function watchOnce(resourceVersion: string): Promise<void> {
    const cutting = new AbortController();
    const signal = AbortSignal.any([stopping.signal, cutting.signal]);
    const openedAt = clock.now();
    const seenBefore = lastSeenAt;
    let heardAt: number | undefined;
    let isQuiet = false;
    counts.watches += 1;
    const watchdog = untilQuiet(() => heardAt ?? openedAt, cutting.signal).then((quiet) => {
      isQuiet = quiet;
      cutting.abort();
    });
    const onOpen = () => seen(false);
    const asked = { ...query, resourceVersion, signal, timeoutSeconds: watchSeconds, onOpen };
    try {
      for await (const { type, object } of cluster.watch(resource, asked)) {
        heardAt = clock.now();
        seen(false);
        if (type !== 'BOOKMARK') known.apply(object, type === 'DELETED');
        version = object.metadata.resourceVersion ?? version;
        failures = 0;
      }
    } catch (thrown) {
      // A watch that opens only to say that its version has expired has shown us nothing.
      const isExpired = thrown instanceof Refusal && thrown.reason === 'resource_expired';
      if (isExpired && heardAt === undefined) lastSeenAt = seenBefore;
      throw thrown;
    } finally {
      cutting.abort();
      await watchdog;
    }
    if (stopping.signal.aborted) return;
    if (isQuiet) throw new Refusal('cluster_unreachable', `nothing came for ${quietMs} ms`);
    const lived = clock.now() - openedAt;
    seen(false);
    if (lived >= shortWatchMs) {
      failures = 0;
      return;
    }
    blindBecause = `the server closed the watch after ${lived} ms`;
    await pause();
  }

  async function untilQuiet(heardAt: () => number, signal: AbortSignal): Promise<boolean> {
    try {
      for (let left = quietMs; left > 0; left = heardAt() + quietMs - clock.now())
        await clock.sleep(left, signal);
      return true;
    } catch {
      return false; // the watch ended before
    }
  }

  async function step(): Promise<void> {
    if (version === undefined) {
      counts.lists += 1;
      const listing = await cluster.list(resource, { ...query, signal: stopping.signal });
      takeList(listing);
    } else await watchOnce(version);
  }

  function failed(thrown: unknown): void {
    const refusal = refusalFromUnknown(thrown);
    const message = refusal.reason === 'internal' ? messageFromUnknown(thrown) : refusal.message;
    counts.errors += 1;
    lastError = { at: clock.now(), reason: refusal.reason, message };
    blindBecause ??= message;
    if (!listedBefore) {
      unread = refusal;
      settled.resolve();
    }
    if (refusal.reason === 'resource_expired') version = undefined;
    log.warn({ reason: refusal.reason, message }, 'list or watch failed; trying again');
  }

  /** Doubles with every failure in a row; half of it is chance. */
  async function pause(): Promise<void> {
    const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** failures);
    failures = Math.min(failures + 1, 16);
    await clock.sleep(longest * (0.5 + random() / 2), stopping.signal);
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await step();
      } catch (thrown) {
        if (stopping.signal.aborted) break;
        failed(thrown);
        await pause().catch(() => {});
      }
    }
    settled.resolve();
    ready.reject(
      new Refusal('shutting_down', `the reflector of ${resource} was stopped before its first list`),
    );
  }

  return {
    start: (signal) => {
      if (running !== undefined) throw new Error(`the reflector of ${resource} was started twice`);
      const stop = () => stopping.abort();
      if (signal?.aborted === true) stop();
      signal?.addEventListener('abort', stop, { once: true });
      running = run().finally(() => signal?.removeEventListener('abort', stop));
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
    ready: ready.promise,
    settled: settled.promise,
    unread: () => unread,
    blind: () =>
      blindBecause === undefined || lastSeenAt === undefined
        ? undefined
        : { since: lastSeenAt, because: blindBecause },
    learn: (object) => {
      const reduced = query.project?.(object) ?? object;
      // The watch is past it: it has brought this version, or its deletion.
      if (Number(reduced.metadata.resourceVersion) > Number(version)) known.learn(reduced);
    },
    store: { get: known.get, list: known.list },
    gaps,
    statistics: () => ({
      ...counts,
      ...(lastError !== undefined && { lastError }),
      ...(lastSeenAt !== undefined && { lastSeenAt }),
    }),
  };
}
