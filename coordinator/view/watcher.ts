import type { Clock } from '../../shared/clock.ts';
import { isoFromMillis } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import { eventNamespace } from '../catalogue/nma/conditions.ts';
import type { Change } from '../cluster/known-objects.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { createReflector, type Reflector } from '../cluster/reflector.ts';
import type { Observation } from '../drill/judge.ts';
import type { TimelineEntry } from '../store/expectation.ts';
import { conditionsOf, type NodeEvent, nodeEventFrom } from './node.ts';

/** Sees nodes and their events, and never acts. What it could not see, it says. */
export type Watcher = {
  start(signal: AbortSignal): void;
  stop(): Promise<void>;
  readonly ready: Promise<void>;
  nodes(): readonly KubeObject[];
  node(name: string): KubeObject | undefined;
  observe(node: string): Observation;
  /** Calls back after each change that concerns the node; returns the way to stop that. */
  subscribe(node: string, listener: (seen: Seen) => void): () => void;
  /** Times since `from` in which changes may have been missed for good, or came late. */
  gapsSince(from: number): readonly TimelineEntry[];
};

/** Something on a node changed. `at` is the coordinator's clock. */
export type Seen = { readonly at: number; readonly entry: TimelineEntry };

export function createWatcher(options: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Watcher {
  const listeners = new Map<string, Set<(seen: Seen) => void>>();
  // By node, then by the event's name: each change on a node looks at all of its events.
  const eventsOf = new Map<string, Map<string, NodeEvent>>();

  const nodes = createReflector({
    ...options,
    resource: 'nodes',
    onChange: (change) => {
      for (const entry of nodeEntries(change)) tell(change.object.metadata.name, change.at, entry);
    },
  });
  const events = createReflector({
    ...options,
    resource: 'events',
    query: { namespace: eventNamespace, fieldSelector: 'involvedObject.kind=Node' },
    onChange: (change) => {
      const event = nodeEventFrom(change.object);
      keep(change, event);
      if (change.type !== 'deleted') tell(event.node, change.at, eventEntry(event, change.at));
    },
  });
  const reflectors: readonly Reflector[] = [nodes, events];

  function tell(node: string, at: number, entry: TimelineEntry): void {
    for (const listener of listeners.get(node) ?? []) listener({ at, entry });
  }

  return {
    start: (signal) => {
      for (const reflector of reflectors) reflector.start(signal);
    },
    stop: async () => {
      await Promise.all(reflectors.map((reflector) => reflector.stop()));
    },
    ready: Promise.all(reflectors.map(({ ready }) => ready)).then(() => undefined),
    nodes: () => nodes.store.list(),
    node: (name) => nodes.store.get({ name }),
    observe(name) {
      const node = nodes.store.get({ name });
      return {
        conditions: node === undefined ? [] : conditionsOf(node),
        events: [...(eventsOf.get(name)?.values() ?? [])],
      };
    },
    subscribe(node, listener) {
      const own = listeners.get(node) ?? new Set();
      listeners.set(node, own.add(listener));
      return () => {
        own.delete(listener);
        if (own.size === 0) listeners.delete(node);
      };
    },
    gapsSince: (from) =>
      reflectors.flatMap(({ gaps }, index) =>
        gaps
          .filter((gap) => gap.until >= from)
          .map((gap) => ({
            at: isoFromMillis(gap.from),
            clock: 'coordinator' as const,
            // Only what may never be known is a gap in the evidence.
            kind: gap.lost ? ('gap' as const) : ('note' as const),
            source: `watch of ${index === 0 ? 'nodes' : 'events'}`,
            text: `not watching until ${isoFromMillis(gap.until)}: ${gap.because}${gap.lost ? '; what came and went in between is lost' : '; everything came, but late'}`,
            match: false,
          })),
      ),
  };

  function keep({ type, object }: Change, event: NodeEvent): void {
    const own = eventsOf.get(event.node) ?? new Map<string, NodeEvent>();
    if (type === 'deleted') own.delete(object.metadata.name);
    else eventsOf.set(event.node, own.set(object.metadata.name, event));
    if (own.size === 0) eventsOf.delete(event.node);
  }

  function eventEntry(event: NodeEvent, at: number): TimelineEntry {
    return {
      at: event.lastTimestamp ?? isoFromMillis(at),
      clock: event.lastTimestamp === null ? 'coordinator' : 'node',
      kind: 'event',
      source: `event of ${event.source || 'an unnamed source'}`,
      text: `${event.type} ${event.reason} "${event.message}"${event.count > 1 ? ` (${event.count} times)` : ''}`,
      match: false,
    };
  }

  /** What changed on a node, in words; heartbeats alone are no news. */
  function nodeEntries({ type, object, previous, at }: Change): readonly TimelineEntry[] {
    const entry = (kind: TimelineEntry['kind'], text: string): TimelineEntry => ({
      at: isoFromMillis(at),
      clock: 'coordinator',
      kind,
      source: `node ${object.metadata.name}`,
      text,
      match: false,
    });
    if (type === 'deleted')
      return [entry('node', `the node object is gone (uid ${object.metadata.uid ?? 'unknown'})`)];
    if (previous === undefined)
      return [entry('node', `the node object is here (uid ${object.metadata.uid ?? 'unknown'})`)];
    const before = new Map(conditionsOf(previous).map((condition) => [condition.type, condition]));
    const changed = conditionsOf(object).filter((now) => {
      const then = before.get(now.type);
      return (
        then === undefined ||
        then.status !== now.status ||
        then.reason !== now.reason ||
        then.message !== now.message
      );
    });
    const taintsNow = taints(object);
    const taintsThen = taints(previous);
    return [
      ...changed.map((now) => entry('condition', `${now.type}=${now.status} ${now.reason} "${now.message}"`)),
      ...(taintsNow === taintsThen
        ? []
        : [entry('taint', `taints: ${taintsThen || 'none'} → ${taintsNow || 'none'}`)]),
    ];
  }
}

function taints(node: KubeObject): string {
  const found =
    (node.spec as { taints?: readonly { key: string; effect: string }[] } | undefined)?.taints ?? [];
  return found.map(({ key, effect }) => `${key}:${effect}`).join(', ');
}
