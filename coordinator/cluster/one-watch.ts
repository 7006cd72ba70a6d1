import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Cluster, ListQuery, ResourceName, WatchEvent } from './port.ts';

/**
 * What a watch may be silent beyond its time before it counts as dead. Bookmarks prove nothing: a server sends none for
 * a kind that does not change. That it ends a watch in time is the one thing it always does.
 */
const graceMs = 30_000;

/** One watch of a kind, from its opening to its end. */
export type OneWatch = {
  readonly cluster: Cluster;
  readonly resource: ResourceName;
  readonly query: ListQuery;
  readonly clock: Clock;
  /** How long the server may keep it open. */
  readonly watchSeconds: number;
  /** Where to watch from. */
  readonly resourceVersion: string;
  readonly signal: AbortSignal;
  /** Learns what was seen and when. */
  readonly gaps: GapRecord;
  readonly onEvent: (event: WatchEvent) => void;
};

/**
 * Follows it to its end. Answers with how long it was open, in milliseconds, where the server closed it; undefined: the
 * signal ended it. Refuses as the cluster does, and with `cluster_unreachable` where nothing came for too long.
 */
export async function followWatch(options: OneWatch): Promise<number | undefined> {
  const { cluster, resource, query, clock, watchSeconds, resourceVersion, gaps } = options;
  const quietMs = watchSeconds * 1000 + graceMs;
  const cutting = new AbortController();
  const signal = AbortSignal.any([options.signal, cutting.signal]);
  const openedAt = clock.elapsed();
  const seenBefore = gaps.seenAt();
  let heardAt: number | undefined;
  let isQuiet = false;
  const heard = () => heardAt ?? openedAt;
  const watchdog = untilQuiet({ clock, quietMs, heard, signal: cutting.signal }).then((quiet) => {
    isQuiet = quiet;
    cutting.abort();
  });
  const onOpen = () => gaps.seen(false);
  const asked = { ...query, resourceVersion, signal, timeoutSeconds: watchSeconds, onOpen };
  try {
    for await (const event of cluster.watch(resource, asked)) {
      heardAt = clock.elapsed();
      gaps.seen(false);
      options.onEvent(event);
    }
  } catch (thrown) {
    // A watch that opens only to say that its version has expired has shown us nothing.
    const isExpired = thrown instanceof Refusal && thrown.reason === 'resource_expired';
    if (isExpired && heardAt === undefined) gaps.unsee(seenBefore);
    throw thrown;
  } finally {
    cutting.abort();
    await watchdog;
  }
  if (options.signal.aborted) return undefined;
  if (isQuiet) throw new Refusal('cluster_unreachable', `nothing came for ${quietMs} ms`);
  gaps.seen(false);
  return clock.elapsed() - openedAt;
}

/** Waits until nothing was heard for `quietMs`; false: the signal came first. */
async function untilQuiet({
  clock,
  quietMs,
  heard,
  signal,
}: {
  readonly clock: Clock;
  readonly quietMs: number;
  readonly heard: () => number;
  readonly signal: AbortSignal;
}): Promise<boolean> {
  try {
    for (let left = quietMs; left > 0; left = heard() + quietMs - clock.elapsed())
      await clock.sleep(left, signal);
    return true;
  } catch {
    return false; // the watch ended before
  }
}

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

/** When a kind was last seen, and when it was not. Times in milliseconds of the clock. */
type GapRecord = {
  /** The gaps that have ended, oldest first; the last 100. */
  readonly ended: readonly Gap[];
  /** Something came from the server: a gap that was open ends now. */
  seen(lost: boolean): void;
  /** The stream broke; the first reason since something was seen counts. */
  broke(because: string): void;
  /** When the server last sent something. */
  seenAt(): number | undefined;
  /** What was taken for a sight was none: the last one was at `at`. */
  unsee(at: number | undefined): void;
  /** The gap that is open now; undefined: none is, or nothing was ever seen. */
  open(): { readonly since: number; readonly because: string } | undefined;
};

const keptGaps = 100;

/** A record in which nothing was seen so far. */
export function createGapRecord({
  now,
  onGap,
}: {
  /** Milliseconds of the clock. */
  readonly now: () => number;
  /** Called at the end of each gap. */
  readonly onGap: (gap: Gap) => void;
}): GapRecord {
  const ended: Gap[] = [];
  let because: string | undefined;
  let seenAt: number | undefined;
  return {
    ended,
    seen(lost) {
      const until = now();
      if (because !== undefined && seenAt !== undefined) {
        const gap: Gap = { from: seenAt, until, because, lost };
        ended.push(gap);
        if (ended.length > keptGaps) ended.shift();
        onGap(gap);
      }
      because = undefined;
      seenAt = until;
    },
    broke(reason) {
      because ??= reason;
    },
    seenAt: () => seenAt,
    unsee(at) {
      seenAt = at;
    },
    open: () => (because === undefined || seenAt === undefined ? undefined : { since: seenAt, because }),
  };
}
