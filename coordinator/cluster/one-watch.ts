import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { GapRecord } from './gaps.ts';
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
  const openedAt = clock.now();
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
      heardAt = clock.now();
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
  return clock.now() - openedAt;
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
    for (let left = quietMs; left > 0; left = heard() + quietMs - clock.now())
      await clock.sleep(left, signal);
    return true;
  } catch {
    return false; // the watch ended before
  }
}
