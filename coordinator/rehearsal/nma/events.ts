import type { Clock } from '../../../shared/clock.ts';
import { messageFromUnknown, Refusal } from '../../../shared/errors.ts';
import {
  eventAggregateLimit,
  eventAggregateWindowMs,
  eventBurst,
  eventRefillMs,
  eventRetryMs,
  eventWriteAttempts,
} from '../../../shared/nma-timing.ts';
import { combinedPrefix, eventNamespace, eventSource } from '../../catalogue/nma/conditions.ts';
import type { Cluster, KubeObject } from '../../cluster/port.ts';
import type { PodLog } from './pod-log.ts';

type Seen = { name: string; count: number; firstTimestamp: string };

/** Whole seconds, as metav1.Time is written. */
export function secondsFromMillis(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

/**
 * Warning events of one node through the correlator of client-go (tools/record/events_cache.go): equal texts are
 * counted, ten different ones of a reason within ten minutes are combined, and beyond a bucket of 25 (one more every
 * 300 s) everything is dropped silently.
 */
export function createEventRecorder(deps: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly node: string;
  readonly podLog: PodLog;
  readonly signal: AbortSignal;
}) {
  const { cluster, clock, node, podLog, signal } = deps;
  const seen = new Map<string, Seen>();
  const aggregates = new Map<string, { messages: Set<string>; lastMs: number }>();
  let tokens = eventBurst;
  let refilledMs = clock.now();
  let serial = 0n;
  let queue: Promise<void> = Promise.resolve();

  /** The key under which repetitions are counted, and the text that is shown. */
  function aggregate(reason: string, message: string): { key: string; shown: string } {
    const now = clock.now();
    const known = aggregates.get(reason);
    const isFresh = known === undefined || now - known.lastMs > eventAggregateWindowMs;
    const record = isFresh ? { messages: new Set<string>(), lastMs: now } : known;
    record.messages.add(message);
    record.lastMs = now;
    aggregates.set(reason, record);
    if (record.messages.size < eventAggregateLimit) return { key: `${reason}\n${message}`, shown: message };
    // One is forgotten, so that the next new text is the tenth again.
    const [first = ''] = record.messages;
    record.messages.delete(first);
    return { key: reason, shown: combinedPrefix + message };
  }

  function takeToken(): boolean {
    const now = clock.now();
    tokens = Math.min(eventBurst, tokens + (now - refilledMs) / eventRefillMs);
    refilledMs = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  }

  function nextName(): string {
    serial += 1n;
    return `${node}.${(BigInt(clock.now()) * 1_000_000n + (serial % 1_000_000n)).toString(16)}`;
  }

  async function write(reason: string, shown: string, entry: Seen, last: string): Promise<void> {
    const key = { name: entry.name, namespace: eventNamespace };
    if (entry.count > 1) {
      try {
        await cluster.patch('events', key, { count: entry.count, lastTimestamp: last, message: shown });
        return;
      } catch (thrown) {
        // The API server keeps events for an hour; what it has dropped is made again, under its old name.
        if (!(thrown instanceof Refusal) || thrown.reason !== 'object_missing') throw thrown;
      }
    }
    await cluster.create('events', eventObject(node, { reason, message: shown, entry, last }));
  }

  async function writeWithRetries(reason: string, shown: string, entry: Seen, last: string): Promise<void> {
    for (let attempt = 1; attempt <= eventWriteAttempts && !signal.aborted; attempt += 1) {
      try {
        return await write(reason, shown, entry, last);
      } catch (thrown) {
        const because = messageFromUnknown(thrown);
        const mayPass = !(thrown instanceof Refusal) || thrown.reason === 'cluster_unreachable';
        if (!mayPass) {
          podLog.plain(
            `E event.go:359] "Server rejected event (will not retry!)" err=${JSON.stringify(because)}`,
          );
          return;
        }
        podLog.plain(
          `E event.go:368] "Unable to write event (may retry after sleeping)" err=${JSON.stringify(because)}`,
        );
        await clock.sleep(eventRetryMs, signal).catch(() => undefined);
      }
    }
  }

  return {
    warning(reason: string, message: string): void {
      podLog.debug(message, {
        logger: 'events',
        type: 'Warning',
        object: { kind: 'Node', name: node },
        reason,
      });
      const { key, shown } = aggregate(reason, message);
      const last = secondsFromMillis(clock.now());
      const known = seen.get(key);
      const entry = known ?? { name: nextName(), count: 0, firstTimestamp: last };
      entry.count += 1;
      seen.set(key, entry);
      if (!takeToken()) return;
      // As it is now: the next repetition changes the count before this one is written.
      const snapshot = { ...entry };
      queue = queue.then(() => writeWithRetries(reason, shown, snapshot, last));
    },
    /** Until everything that was accepted is written or given up. */
    flush: (): Promise<void> => queue,
  };
}

/** As client-go's recorder makes it (tools/record/event.go, makeEvent). */
function eventObject(
  node: string,
  event: {
    readonly reason: string;
    readonly message: string;
    readonly entry: Seen;
    /** RFC 3339, when it last came. */
    readonly last: string;
  },
): KubeObject {
  const { reason, message, entry, last } = event;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: entry.name, namespace: eventNamespace },
    // No uid: the reference is made from the name alone, so that `kubectl describe node` may not list it.
    involvedObject: { kind: 'Node', name: node, apiVersion: 'v1' },
    reason,
    message,
    source: { component: eventSource },
    firstTimestamp: entry.firstTimestamp,
    lastTimestamp: last,
    count: entry.count,
    type: 'Warning',
    reportingComponent: eventSource,
    reportingInstance: '',
  };
}
