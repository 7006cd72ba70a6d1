import { monitors } from '../catalogue/nma/conditions.ts';
import type { Change } from '../cluster/object-cache.ts';
import type { KubeObject } from '../cluster/port.ts';
import { conditionsOf } from './node.ts';

/** Nodes that a repair controller counts together, and how many of the others are unhealthy. */
export type Peers = { readonly total: number; readonly unhealthyOthers: number };

/** Counts of nodes by node pool, by node group and of the whole cluster, kept up to date by the changes of nodes. */
export type PeerCounts = {
  apply(change: Change): void;
  /** Karpenter judges the nodes of one pool, EKS those of one node group; else all of the cluster. */
  of(node: KubeObject): Peers;
};

/** The conditions that repair controllers look at (EKS guide "node-repair", Karpenter's repair policies). */
const repairConditionTypes: ReadonlySet<string> = new Set([
  'Ready',
  ...monitors.map(({ conditionType }) => conditionType),
]);

type Group = { readonly names: Set<string>; readonly unhealthy: Set<string> };

/** Counts of healthy and unhealthy nodes of each pool, kept current by the view's changes. */
export function createPeerCounts(): PeerCounts {
  const groups = new Map<string, Group>();

  function leave(node: KubeObject): void {
    for (const key of groupsOf(node)) {
      const group = groups.get(key);
      group?.names.delete(node.metadata.name);
      group?.unhealthy.delete(node.metadata.name);
      if (group?.names.size === 0) groups.delete(key);
    }
  }

  function join(node: KubeObject): void {
    const isBad = isUnhealthy(node);
    for (const key of groupsOf(node)) {
      const group = groups.get(key) ?? { names: new Set(), unhealthy: new Set() };
      groups.set(key, group);
      group.names.add(node.metadata.name);
      if (isBad) group.unhealthy.add(node.metadata.name);
    }
  }

  return {
    apply({ type, object, previous }) {
      leave(previous ?? object);
      if (type !== 'deleted') join(object);
    },
    of(node) {
      const group = groups.get(groupsOf(node)[0] ?? wholeCluster);
      if (group === undefined) return { total: 0, unhealthyOthers: 0 };
      const { names, unhealthy } = group;
      return {
        total: names.size,
        unhealthyOthers: unhealthy.size - (unhealthy.has(node.metadata.name) ? 1 : 0),
      };
    },
  };
}

const wholeCluster = 'cluster';

/** The narrowest first. */
function groupsOf({ metadata: { labels = {} } }: KubeObject): readonly string[] {
  const nodePool = labels['karpenter.sh/nodepool'];
  const nodeGroup = labels['eks.amazonaws.com/nodegroup'];
  return [
    ...(nodePool === undefined ? [] : [`nodepool ${nodePool}`]),
    ...(nodeGroup === undefined ? [] : [`nodegroup ${nodeGroup}`]),
    wholeCluster,
  ];
}

function isUnhealthy(node: KubeObject): boolean {
  return conditionsOf(node).some(({ type, status }) => status === 'False' && repairConditionTypes.has(type));
}
