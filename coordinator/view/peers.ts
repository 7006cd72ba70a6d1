import { monitors } from '../catalogue/nma/conditions.ts';
import type { Change } from '../cluster/object-cache.ts';
import type { KubeObject } from '../cluster/port.ts';
import { conditionsOf, list, text, textMap } from './node.ts';

/** Objects of one kind by a key of theirs, kept up to date by the changes of a reflector. */
export type Index<T> = {
  apply(change: Change): void;
  /** In no order. */
  of(key: string): readonly T[];
};

/**
 * `keyOf` gives the key that an object is found under, undefined where it has none; `entryOf` what is kept for it. An
 * object whose key changes moves.
 */
export function createIndex<T>(
  keyOf: (object: KubeObject) => string | undefined,
  entryOf: (object: KubeObject) => T,
): Index<T> {
  const byKey = new Map<string, Map<string, T>>();

  function drop(object: KubeObject): void {
    const key = keyOf(object);
    const own = key === undefined ? undefined : byKey.get(key);
    own?.delete(nameOf(object));
    if (key !== undefined && own?.size === 0) byKey.delete(key);
  }

  return {
    apply({ type, object, previous }) {
      if (previous !== undefined) drop(previous);
      if (type === 'deleted') return drop(object);
      const key = keyOf(object);
      if (key === undefined) return;
      const own = byKey.get(key) ?? new Map<string, T>();
      byKey.set(key, own.set(nameOf(object), entryOf(object)));
    },
    of: (key) => [...(byKey.get(key)?.values() ?? [])],
  };
}

function nameOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

/** Nodes that a repair controller counts together. */
export type Peers = {
  /** With the node itself. */
  readonly total: number;
  /**
   * How many of the others have the same conditions that are not healthy, by those conditions: `Ready=Unknown`, or
   * several, sorted and joined by a comma. Which of them count is for the controller's policies to say.
   */
  readonly unhealthyOthers: Readonly<Record<string, number>>;
  /** How many of the others are on their way out: deleted and not gone, or tainted by Karpenter. Absent: none. */
  readonly leavingOthers?: number;
};

/** Counts of nodes by node pool, by node group and of the whole cluster, kept up to date by the changes of nodes. */
export type PeerCounts = {
  apply(change: Change): void;
  /** Karpenter judges the nodes of one pool, EKS those of one node group; else all of the cluster. */
  of(node: KubeObject): Peers;
};

/** Conditions that are healthy when True (EKS guide "node-repair", Karpenter's repair policies). */
const readyTypes: ReadonlySet<string> = new Set([
  'Ready',
  ...monitors.map(({ conditionType }) => conditionType),
]);

/** Conditions of the kubelet that are healthy when False. */
const pressureTypes: ReadonlySet<string> = new Set(['DiskPressure', 'MemoryPressure', 'PIDPressure']);

/** Names of the nodes, and of those that leave; why each that is not healthy is so; and how many are so for the same reasons. */
type Group = {
  readonly names: Set<string>;
  readonly leaving: Set<string>;
  readonly unhealthy: Map<string, string>;
  readonly counts: Map<string, number>;
};

/** Counts of healthy and unhealthy nodes of each pool, kept current by the view's changes. */
export function createPeerCounts(): PeerCounts {
  const groups = new Map<string, Group>();

  function leave(node: KubeObject): void {
    for (const key of groupsOf(node)) {
      const group = groups.get(key);
      group?.names.delete(node.metadata.name);
      group?.leaving.delete(node.metadata.name);
      if (group !== undefined) setUnhealthy(group, node.metadata.name, '');
      if (group?.names.size === 0) groups.delete(key);
    }
  }

  function join(node: KubeObject): void {
    const unhealthy = unhealthyPairs(node);
    for (const key of groupsOf(node)) {
      const group = groups.get(key) ?? {
        names: new Set(),
        leaving: new Set(),
        unhealthy: new Map(),
        counts: new Map(),
      };
      groups.set(key, group);
      group.names.add(node.metadata.name);
      if (isLeaving(node)) group.leaving.add(node.metadata.name);
      setUnhealthy(group, node.metadata.name, unhealthy);
    }
  }

  return {
    apply({ type, object, previous }) {
      leave(previous ?? object);
      if (type !== 'deleted') join(object);
    },
    of(node) {
      const group = groups.get(groupsOf(node)[0] ?? wholeCluster);
      if (group === undefined) return { total: 0, unhealthyOthers: {} };
      const own = group.unhealthy.get(node.metadata.name);
      const others = [...group.counts].map(
        ([pairs, count]) => [pairs, pairs === own ? count - 1 : count] as const,
      );
      const leavingOthers = group.leaving.size - (group.leaving.has(node.metadata.name) ? 1 : 0);
      return {
        total: group.names.size,
        unhealthyOthers: Object.fromEntries(others.filter(([, count]) => count > 0)),
        ...(leavingOthers === 0 ? {} : { leavingOthers }),
      };
    },
  };
}

/** Karpenter taints a node that it has decided on before it deletes it (karpenter.md §2). */
function isLeaving(node: KubeObject): boolean {
  return (
    node.metadata.deletionTimestamp !== undefined ||
    list(node, 'spec', 'taints').some((taint) => text(taint, 'key') === 'karpenter.sh/disrupted')
  );
}

const wholeCluster = 'cluster';

/** The narrowest first. */
function groupsOf({ metadata }: KubeObject): readonly string[] {
  const labels = textMap(metadata, 'labels');
  const nodePool = labels['karpenter.sh/nodepool'];
  const nodeGroup = labels['eks.amazonaws.com/nodegroup'];
  return [
    ...(nodePool === undefined ? [] : [`nodepool ${nodePool}`]),
    ...(nodeGroup === undefined ? [] : [`nodegroup ${nodeGroup}`]),
    wholeCluster,
  ];
}

/** Empty: the node is healthy. Counts are kept, so that no answer takes longer the more nodes are unhealthy. */
function setUnhealthy({ unhealthy, counts }: Group, name: string, pairs: string): void {
  const before = unhealthy.get(name);
  if (before !== undefined) {
    unhealthy.delete(name);
    const left = (counts.get(before) ?? 1) - 1;
    if (left === 0) counts.delete(before);
    else counts.set(before, left);
  }
  if (pairs === '') return;
  unhealthy.set(name, pairs);
  counts.set(pairs, (counts.get(pairs) ?? 0) + 1);
}

/** `Ready=Unknown`; several are joined; empty: the node is healthy. */
function unhealthyPairs(node: KubeObject): string {
  return conditionsOf(node)
    .filter(({ type, status }) =>
      readyTypes.has(type) ? status !== 'True' : pressureTypes.has(type) && status !== 'False',
    )
    .map(({ type, status }) => `${type}=${status}`)
    .toSorted()
    .join(',');
}
