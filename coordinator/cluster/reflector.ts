import type { Clock } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { type Change, createObjectCache } from './object-cache.ts';
import { createGapRecord, followWatch, type Gap } from './one-watch.ts';
import type { Cluster, KubeObject, Listing, ListQuery, ObjectKey, ResourceName, WatchEvent } from './port.ts';

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
/** The longest for a kind that the cluster does not serve: it appears when somebody installs it. */
const notServedPauseMs = 300_000;
/** List and watch of one kind that never ends by itself, and knows when it could not see. */
export function createReflector(options: ReflectorOptions): Reflector {
  const { cluster, resource, query = {}, clock, watchSeconds = 120 } = options;
  const log = options.log.child({ resource });
  const known = createObjectCache({
    now: () => clock.now(),
    onChange: (change) => hand(log, 'onChange', () => options.onChange(change)),
  });
  const gaps = createGapRecord({
    now: () => clock.now(),
    onGap: (gap) => hand(log, 'onGap', () => options.onGap?.(gap)),
  });
  const pause = createPause({ clock, random: options.random });
  const stopping = new AbortController();
  const first = createFirstList(resource);
  const counts = { lists: 0, watches: 0, errors: 0 };
  let lastError: ReflectorStatistics['lastError'];
  let running: Promise<void> | undefined;
  /** Where to watch from; undefined: a list is needed. */
  let version: string | undefined;

  function takeList({ items, resourceVersion }: Listing): void {
    const isAgain = first.isTaken();
    if (isAgain) gaps.broke('listed again');
    gaps.seen(isAgain);
    known.replaceAll(items, resourceVersion);
    version = resourceVersion;
    first.taken();
  }

  function takeEvent({ type, object }: WatchEvent): void {
    if (type !== 'BOOKMARK') known.apply(object, type === 'DELETED');
    version = object.metadata.resourceVersion ?? version;
    pause.reset();
  }

  async function watchFrom(resourceVersion: string): Promise<void> {
    counts.watches += 1;
    const { signal } = stopping;
    const watched = { cluster, resource, query, clock, watchSeconds, gaps, onEvent: takeEvent };
    const lived = await followWatch({ ...watched, resourceVersion, signal });
    if (lived === undefined) return;
    if (lived >= shortWatchMs) {
      pause.reset();
      return;
    }
    gaps.broke(`the server closed the watch after ${lived} ms`);
    await pause.wait(signal);
  }

  async function step(): Promise<void> {
    if (version === undefined) {
      counts.lists += 1;
      const listing = await cluster.list(resource, { ...query, signal: stopping.signal });
      takeList(listing);
    } else await watchFrom(version);
  }

  function failed(thrown: unknown): void {
    const refusal = refusalFromUnknown(thrown);
    const message = refusal.reason === 'internal' ? messageFromUnknown(thrown) : refusal.message;
    // That a kind is not served is no news the second time.
    const isKnownMissing = refusal.reason === 'object_missing' && lastError?.reason === refusal.reason;
    counts.errors += 1;
    lastError = { at: clock.now(), reason: refusal.reason, message };
    gaps.broke(message);
    first.refused(refusal);
    if (refusal.reason === 'resource_expired') version = undefined;
    const level = isKnownMissing ? 'debug' : 'warn';
    log[level]({ reason: refusal.reason, message }, 'list or watch failed; trying again');
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await step();
      } catch (thrown) {
        if (stopping.signal.aborted) break;
        failed(thrown);
        await pause.wait(stopping.signal, thrown).catch(() => {});
      }
    }
    first.stopped();
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
    ready: first.ready,
    settled: first.settled,
    unread: first.unread,
    blind: gaps.open,
    learn: (object) => {
      const reduced = query.project?.(object) ?? object;
      // The watch is past it: it has brought this version, or its deletion.
      if (Number(reduced.metadata.resourceVersion) > Number(version)) known.learn(reduced);
    },
    store: { get: known.get, list: known.list },
    gaps: gaps.ended,
    statistics: () => {
      const lastSeenAt = gaps.seenAt();
      return {
        ...counts,
        ...(lastError !== undefined && { lastError }),
        ...(lastSeenAt !== undefined && { lastSeenAt }),
      };
    },
  };
}

/** Whether anything is known of the kind, for those who wait for it. */
function createFirstList(resource: ResourceName) {
  const ready = Promise.withResolvers<void>();
  // Who does not wait for it must not be killed by it.
  ready.promise.catch(() => {});
  const settled = Promise.withResolvers<void>();
  let unread: Refusal | undefined;
  let isTaken = false;
  return {
    ready: ready.promise,
    settled: settled.promise,
    unread: () => unread,
    isTaken: () => isTaken,
    /** A list was handed over. */
    taken(): void {
      isTaken = true;
      unread = undefined;
      ready.resolve();
      settled.resolve();
    },
    /** A list or a watch failed. */
    refused(refusal: Refusal): void {
      if (isTaken) return;
      unread = refusal;
      settled.resolve();
    },
    /** There will be no more. */
    stopped(): void {
      settled.resolve();
      ready.reject(
        new Refusal('shutting_down', `the reflector of ${resource} was stopped before its first list`),
      );
    },
  };
}

/** Calls a handler of our caller; a failure of it is logged and stops nothing. */
function hand(log: Log, name: string, handler: () => unknown): void {
  const failed = (thrown: unknown) => log.error({ err: thrown }, `a handler of ${name} failed`);
  try {
    const result = handler();
    if (result instanceof Promise) result.catch(failed);
  } catch (thrown) {
    failed(thrown);
  }
}

/** The pause between two attempts: it doubles with every failure in a row, and half of it is chance. */
function createPause({ clock, random }: Pick<ReflectorOptions, 'clock' | 'random'>) {
  let failures = 0;
  return {
    /** It went well: the next pause is the shortest again. */
    reset(): void {
      failures = 0;
    },
    /** Not shorter than an API server that refused has asked for. Rejects when the signal is aborted. */
    async wait(signal: AbortSignal, refused?: unknown): Promise<void> {
      const isServed = !(refused instanceof Refusal && refused.reason === 'object_missing');
      const longest = Math.min(isServed ? longestPauseMs : notServedPauseMs, firstPauseMs * 2 ** failures);
      failures = Math.min(failures + 1, 16);
      const seconds = refused instanceof Refusal ? refused.details.retryAfterSeconds : undefined;
      const asked = typeof seconds === 'number' ? Math.min(seconds * 1000, longestPauseMs) : 0;
      await clock.sleep(Math.max(asked, longest * (0.5 + random() / 2)), signal);
    },
  };
}
