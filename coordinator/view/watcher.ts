import { isoFromMillis } from '../../shared/clock.ts';
import type { Change } from '../cluster/object-cache.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { NodeOwner } from '../store/experiment.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import {
  conditionsOf,
  isReady,
  list,
  type NodeCondition,
  type NodeEvent,
  noClaims,
  nodeEventFrom,
  type Observation,
  ownerKey,
  ownerOf,
  poolOf,
  type SeenOwner,
  text,
} from './node.ts';
import type { View } from './view.ts';

/** Reports what changes on nodes and among their events, and never acts. What could not be seen is reported too. */
export type Watcher = {
  node(name: string): KubeObject | undefined;
  observe(node: string): Observation;
  /** What stands of a node's NodeClaim and pool. */
  observeOwner(owner: NodeOwner): SeenOwner;
  /** Whether nodes and their events are being watched at this moment, without a gap. */
  isCurrent(): boolean;
  /** Calls back after each change that concerns the node, its NodeClaim or its pool; returns the way to stop that. */
  subscribe(node: string, listener: (seen: Seen) => void, owner?: NodeOwner): () => void;
  /** Times since `from` in which changes may have been missed for good, or came late. */
  gapsSince(from: number): readonly TimelineEntry[];
};

/** Something on a node changed. `at` is the coordinator's clock. */
export type Seen = { readonly at: number; readonly entry: TimelineEntry };

/** For the life of the view: it is never detached from it. */
export function createWatcher(view: View): Watcher {
  const listeners = new Map<string, Set<(seen: Seen) => void>>();

  view.onChange('nodes', (change) => {
    const { name } = change.object.metadata;
    if (listeners.has(name)) for (const entry of nodeEntries(change)) tell(name, change.at, entry);
    const owner = ownerOf(change.object) ?? {};
    const key = ownerKey(owner);
    if (key !== undefined && listeners.has(key))
      for (const entry of poolEntries(owner, change)) tell(key, change.at, entry);
  });
  view.onChange('nodeClaims', (change) => {
    const key = claimKey(change.object.metadata.name);
    if (listeners.has(key)) for (const entry of claimEntries(change)) tell(key, change.at, entry);
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
    observeOwner(owner) {
      const { nodePool, nodeClaim } = owner;
      const poolNodes = view.nodesOfOwner(owner);
      if (nodePool === undefined) return { poolNodes, poolClaims: noClaims };
      const unread = view.unread('nodeClaims');
      if (unread !== undefined)
        return { poolNodes, poolClaims: unread, ...(nodeClaim === undefined ? {} : { nodeClaim: unread }) };
      const poolClaims = view.all('nodeClaims').filter((claim) => poolOf(claim) === nodePool);
      if (nodeClaim === undefined) return { poolNodes, poolClaims };
      const found = view.nodeClaim(nodeClaim.name);
      return { poolNodes, poolClaims, nodeClaim: found?.metadata.uid === nodeClaim.uid ? found : 'gone' };
    },
    isCurrent: () => view.isCurrent('nodes') && view.isCurrent('events'),
    subscribe(node, listener, owner) {
      const keys = [
        node,
        ...[ownerKey(owner ?? {})].filter((key) => key !== undefined),
        ...(owner?.nodeClaim === undefined ? [] : [claimKey(owner.nodeClaim.name)]),
      ];
      for (const key of keys) listeners.set(key, (listeners.get(key) ?? new Set()).add(listener));
      return () => {
        for (const key of keys) {
          const own = listeners.get(key);
          own?.delete(listener);
          if (own?.size === 0) listeners.delete(key);
        }
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

/** No node has such a name: `/` is not allowed in it. */
const claimKey = (name: string) => `nodeclaims/${name}`;

/** Nodes that a pool gains, and when they are Ready. What the pool loses shows on the drilled node itself. */
function poolEntries(
  { nodePool, nodeGroup }: NodeOwner,
  { type, object, previous, at }: Change,
): readonly TimelineEntry[] {
  const isNew = type !== 'deleted' && previous === undefined;
  const isReadyNow = type !== 'deleted' && isReady(object) && (previous === undefined || !isReady(previous));
  if (!isNew && !isReadyNow) return [];
  const sentence = `a node of ${nodePool === undefined ? `node group ${nodeGroup ?? ''}` : `pool ${nodePool}`} ${isReadyNow ? 'is Ready' : 'is here'} (uid ${object.metadata.uid ?? 'unknown'})`;
  return [noteOf('node', `node ${object.metadata.name}`, sentence, at)];
}

function claimEntries({ type, object, previous, at }: Change): readonly TimelineEntry[] {
  const source = `nodeclaim ${object.metadata.name}`;
  if (type === 'deleted') return [noteOf('note', source, 'the NodeClaim is gone', at)];
  const since = object.metadata.deletionTimestamp;
  if (since === undefined || previous?.metadata.deletionTimestamp !== undefined) return [];
  return [noteOf('note', source, `the NodeClaim is being deleted since ${since}`, at)];
}

function noteOf(kind: TimelineEntry['kind'], source: string, sentence: string, at: number): TimelineEntry {
  return { at: isoFromMillis(at), clock: 'coordinator', kind, source, text: sentence, match: false };
}

function taints(node: KubeObject): string {
  return list(node, 'spec', 'taints')
    .map((taint) => `${text(taint, 'key') ?? ''}:${text(taint, 'effect') ?? ''}`)
    .join(', ');
}

/** Timeline entries made of their facts; the sentence is rendered here and read by nobody but people. */

type Times = { readonly at: string; readonly clock: TimelineEntry['clock'] };

/** An event as it stands in the API; `source` is where it was seen. */
export function eventEntry(event: NodeEvent, { at, clock }: Times, source: string): TimelineEntry {
  const { uid, type, reason, message, count } = event;
  return {
    at,
    clock,
    kind: 'event',
    source,
    text: `${type} ${reason} "${message}"${count > 1 ? ` (${count} times)` : ''}`,
    match: false,
    event: { uid, type, reason, message, count, component: event.source },
  };
}

/** A condition as it stands on the node. */
export function conditionEntry(now: NodeCondition, { at, clock }: Times, source: string): TimelineEntry {
  const { type, status, reason, message } = now;
  return {
    at,
    clock,
    kind: 'condition',
    source,
    text: `${type}=${status} ${reason} "${message}"`,
    match: false,
    condition: { type, status, reason, message },
  };
}

/** A time (milliseconds) in which nobody watched; only where something may be lost is it a gap in the evidence. */
export function gapEntry(
  gap: { readonly from: number; readonly until: number; readonly lost: boolean; readonly because: string },
  source: string,
): TimelineEntry {
  const [from, until] = [isoFromMillis(gap.from), isoFromMillis(gap.until)];
  const { lost, because } = gap;
  return {
    at: from,
    clock: 'coordinator',
    kind: lost ? 'gap' : 'note',
    source,
    text: `not watching until ${until}: ${because}; ${lost ? 'what came and went in between is lost' : 'everything came, but late'}`,
    match: false,
    gap: { from, until, lost, because },
  };
}

/** Whether both show one and the same thing: an event, however often it came, or a condition in one state. */
export function isSameSight(left: TimelineEntry, right: TimelineEntry): boolean {
  if (left.event !== undefined) return left.event.uid === right.event?.uid;
  const [one, other] = [left.condition, right.condition];
  if (one === undefined || other === undefined) return false;
  return (['type', 'status', 'reason', 'message'] as const).every((member) => one[member] === other[member]);
}
