import { isoFromMillis } from '../../shared/clock.ts';
import type { Change } from '../cluster/object-cache.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import type { Observation } from './node.ts';
import { conditionsOf, list, type NodeEvent, nodeEventFrom, text } from './node.ts';
import { conditionEntry, eventEntry, gapEntry } from './timeline-entries.ts';
import type { View } from './view.ts';

/** Reports what changes on nodes and among their events, and never acts. What could not be seen is reported too. */
export type Watcher = {
  node(name: string): KubeObject | undefined;
  observe(node: string): Observation;
  /** Whether nodes and their events are being watched at this moment, without a gap. */
  isCurrent(): boolean;
  /** Calls back after each change that concerns the node; returns the way to stop that. */
  subscribe(node: string, listener: (seen: Seen) => void): () => void;
  /** Times since `from` in which changes may have been missed for good, or came late. */
  gapsSince(from: number): readonly TimelineEntry[];
};

/** Something on a node changed. `at` is the coordinator's clock. */
export type Seen = { readonly at: number; readonly entry: TimelineEntry };

/** For the life of the view: it is never detached from it. */
export function createWatcher(view: View): Watcher {
  const listeners = new Map<string, Set<(seen: Seen) => void>>();

  view.onChange('nodes', (change) => {
    if (!listeners.has(change.object.metadata.name)) return;
    for (const entry of nodeEntries(change)) tell(change.object.metadata.name, change.at, entry);
  });
  view.onChange('events', ({ type, object, at }) => {
    const event = nodeEventFrom(object);
    if (type !== 'deleted' && listeners.has(event.node)) tell(event.node, at, seenEvent(event, at));
  });

  function tell(node: string, at: number, entry: TimelineEntry): void {
    for (const listener of listeners.get(node) ?? []) listener({ at, entry });
  }

  return {
    node: view.node,
    observe: view.observe,
    isCurrent: () => view.isCurrent('nodes') && view.isCurrent('events'),
    subscribe(node, listener) {
      const own = listeners.get(node) ?? new Set();
      listeners.set(node, own.add(listener));
      return () => {
        own.delete(listener);
        if (own.size === 0) listeners.delete(node);
      };
    },
    gapsSince: (from) =>
      (['nodes', 'events'] as const).flatMap((kind) =>
        view
          .gaps(kind)
          .filter((gap) => gap.until >= from)
          .map((gap) => gapEntry(gap, `watch of ${kind}`)),
      ),
  };

  function seenEvent(event: NodeEvent, at: number): TimelineEntry {
    const times =
      event.lastTimestamp === null
        ? ({ at: isoFromMillis(at), clock: 'coordinator' } as const)
        : ({ at: event.lastTimestamp, clock: 'node' } as const);
    return eventEntry(event, times, `event of ${event.source || 'an unnamed source'}`);
  }

  /** What changed on a node, in words; heartbeats alone are no news. */
  function nodeEntries({ type, object, previous, at }: Change): readonly TimelineEntry[] {
    const entry = (kind: TimelineEntry['kind'], sentence: string): TimelineEntry => ({
      at: isoFromMillis(at),
      clock: 'coordinator',
      kind,
      source: `node ${object.metadata.name}`,
      text: sentence,
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
      ...changed.map((now) =>
        conditionEntry(now, { at: isoFromMillis(at), clock: 'coordinator' }, `node ${object.metadata.name}`),
      ),
      ...(taintsNow === taintsThen
        ? []
        : [entry('taint', `taints: ${taintsThen || 'none'} → ${taintsNow || 'none'}`)]),
    ];
  }
}

function taints(node: KubeObject): string {
  return list(node, 'spec', 'taints')
    .map((taint) => `${text(taint, 'key') ?? ''}:${text(taint, 'effect') ?? ''}`)
    .join(', ');
}
