import { gpuInstanceOf } from '../catalogue/gpu-instances.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { NodeOwner } from '../store/experiment.ts';
import type { Unread } from './facts.ts';
import type { SeenPods } from './pods-on-node.ts';
import { quantities } from './quantities.ts';

/** Readers for the parts of core objects that we look at. Absent parts read as empty: other writers leave them out. */

type Loose = Readonly<Record<string, unknown>>;

/** The value below an object by its path; undefined where any part is missing. */
export function field(object: unknown, ...path: readonly string[]): unknown {
  let at: unknown = object;
  for (const key of path) at = at !== null && typeof at === 'object' ? (at as Loose)[key] : undefined;
  return at;
}

/** A string below an object; undefined: none. */
export function text(object: unknown, ...path: readonly string[]): string | undefined {
  const value = field(object, ...path);
  return typeof value === 'string' ? value : undefined;
}

/** A whole number below an object; undefined: none. */
export function count(object: unknown, ...path: readonly string[]): number | undefined {
  const value = field(object, ...path);
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}

/** A list below an object; empty: none. */
export function list(object: unknown, ...path: readonly string[]): readonly unknown[] {
  const value = field(object, ...path);
  return Array.isArray(value) ? value : [];
}

/** The strings of a map below an object; empty: none. */
export function textMap(object: unknown, ...path: readonly string[]): Readonly<Record<string, string>> {
  const value = field(object, ...path);
  if (value === null || typeof value !== 'object') return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** A condition of a Node; times as they stand there, RFC 3339. */
export type NodeCondition = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** RFC 3339, the node's clock; whole seconds. */
  readonly lastHeartbeatTime: string | null;
  readonly lastTransitionTime: string | null;
};

/** All conditions of a Node. */
export function conditionsOf(node: KubeObject): readonly NodeCondition[] {
  return list(node, 'status', 'conditions').map((condition) => ({
    type: text(condition, 'type') ?? '',
    status: text(condition, 'status') ?? 'Unknown',
    reason: text(condition, 'reason') ?? '',
    message: text(condition, 'message') ?? '',
    lastHeartbeatTime: text(condition, 'lastHeartbeatTime') ?? null,
    lastTransitionTime: text(condition, 'lastTransitionTime') ?? null,
  }));
}

/** Nodes opt in: nothing is ever written on a node that does not carry this label. */
export const optInLabel = 'xidrill.dev/drill';
/** Value of the label xidrill.dev/drill. */
export const optInValue = 'allowed';

/** Whether the kubelet reports the Node as Ready. */
export function isReady(node: KubeObject): boolean {
  return conditionsOf(node).some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** A node's Event as the monitoring agent writes it: `reason` is the condition type, `message` starts with its reason. */
export type NodeEvent = {
  readonly uid: string;
  readonly node: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
  readonly count: number;
  readonly source: string;
  readonly firstTimestamp: string | null;
  readonly lastTimestamp: string | null;
};

/** What a node looks like now, as far as a reaction can show there. */
export type Observation = {
  readonly conditions: readonly NodeCondition[];
  readonly events: readonly NodeEvent[];
  /** The Node object, whole or as the view keeps it: taints, boot id, uid; absent: there is none. */
  readonly node?: KubeObject;
};

/** The label of Karpenter's nodes that names their NodePool (karpenter pkg/apis/v1/labels.go). */
export const poolLabel = 'karpenter.sh/nodepool';

/** The NodePool of a Node; undefined: it is none of Karpenter's. */
export function poolOf({ metadata }: KubeObject): string | undefined {
  return textMap(metadata, 'labels')[poolLabel];
}

/** The label of the nodes of a managed node group, which EKS sets. */
export const groupLabel = 'eks.amazonaws.com/nodegroup';

/** The managed node group of a Node; undefined: it is in none. */
export function groupOf({ metadata }: KubeObject): string | undefined {
  return textMap(metadata, 'labels')[groupLabel];
}

/** By what the nodes of one owner are found together: its NodePool, or its node group; undefined: it has neither. */
export function ownerKey({ nodePool, nodeGroup }: NodeOwner): string | undefined {
  if (nodePool !== undefined) return `nodepools/${nodePool}`;
  return nodeGroup === undefined ? undefined : `nodegroups/${nodeGroup}`;
}

/** What a link that outlives the node is judged by; undefined: it belongs to no NodePool and no managed node group. */
export function ownerOf(node: KubeObject): NodeOwner | undefined {
  const nodePool = poolOf(node);
  const claim = node.metadata.ownerReferences?.find(({ kind }) => kind === 'NodeClaim');
  if (nodePool === undefined) {
    const nodeGroup = groupOf(node);
    return nodeGroup === undefined ? undefined : { nodeGroup };
  }
  return { nodePool, ...(claim === undefined ? {} : { nodeClaim: { name: claim.name, uid: claim.uid } }) };
}

/** What stands of a node's NodeClaim and NodePool; it outlives the node. */
export type SeenOwner = {
  /** `gone`: there is none, or another of its name. Absent: the node came from none. */
  readonly nodeClaim?: KubeObject | 'gone' | Unread;
  /** All nodes of the pool, the drilled one as well. */
  readonly poolNodes: readonly KubeObject[];
  /** All NodeClaims of the pool, that of the drilled node as well. */
  readonly poolClaims: readonly KubeObject[] | Unread;
};

/** In place of the NodeClaims of a managed node group. */
export const noClaims: Unread = {
  unread: 'a managed node group has no NodeClaims; see its Auto Scaling group',
};

/** A node as a drill that began on it sees it. `isGone`: there is no such node, or another one of its name. */
export type SeenNode = Observation & {
  readonly isGone: boolean;
  /** Absent: nothing beyond the node is asked for. */
  readonly owner?: SeenOwner;
  /** Of the node, those that have to run elsewhere when it goes. Absent: no link asks for them, or they were not listed so far. */
  readonly pods?: SeenPods | Unread;
};

/** Both event shapes: `count` and timestamps of core/v1, `series` of events.k8s.io. */
export function nodeEventFrom(event: KubeObject): NodeEvent {
  const series = count(event, 'series', 'count') ?? 0;
  return {
    uid: text(event.metadata, 'uid') ?? event.metadata.name,
    node: text(event, 'involvedObject', 'name') ?? '',
    type: text(event, 'type') ?? '',
    reason: text(event, 'reason') ?? '',
    message: text(event, 'message') ?? '',
    count: Math.max(1, count(event, 'count') ?? 0, series),
    source: text(event, 'source', 'component') ?? text(event, 'reportingComponent') ?? '',
    firstTimestamp: text(event, 'firstTimestamp') ?? text(event, 'eventTime') ?? null,
    lastTimestamp:
      text(event, 'lastTimestamp') ??
      text(event, 'series', 'lastObservedTime') ??
      text(event, 'eventTime') ??
      null,
  };
}

/** Whether EKS Auto Mode runs the node: NMA and the host engine are processes of the host there, and no pods (nma.md §4.2, F12). */
export function isAutoNode({
  metadata,
}: {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
}): boolean {
  return metadata.labels?.['eks.amazonaws.com/compute-type'] === 'auto';
}

/** The labels of Karpenter's AWS provider and of EKS Auto Mode about an instance's accelerators. */
const providers = ['karpenter.k8s.aws', 'eks.amazonaws.com'] as const;

/** How many NVIDIA GPUs a node should have, by what was bought and not by what its driver finds. */
export type ExpectedGpus = { readonly count: number /** The label that says so. */; readonly source: string };

/**
 * GPUs that the node offers to pods: whole ones, time-sliced ones (`gpu.shared`) and MIG devices (`mig-1g.5gb`), as the
 * NVIDIA device plugin names them. With MIG or sharing this is more than the node has of them.
 */
export function offeredGpus(node: KubeObject, of: 'allocatable' | 'capacity' = 'allocatable'): number {
  return Object.entries(quantities(field(node, 'status', of)))
    .filter(([name]) => /^nvidia\.com\/(gpu|gpu\.shared|mig-.+)$/.test(name))
    .map(([, count]) => count)
    .filter((count) => count > 0)
    .reduce((sum, count) => sum + count, 0);
}

/**
 * Whether the Node object shows an NVIDIA GPU: by the device plugin, also where it calls none of them healthy; by the
 * labels of GPU feature discovery, Karpenter and Auto Mode; or by its instance type, which is all there is where GPUs are
 * given out by dynamic resource allocation.
 */
export function hasGpu(node: KubeObject): boolean {
  const labels = textMap(node.metadata, 'labels');
  return (
    offeredGpus(node, 'capacity') > 0 ||
    offeredGpus(node) > 0 ||
    labels['nvidia.com/gpu.present'] === 'true' ||
    (expectedByLabel(labels)?.count ?? 0) > 0 ||
    gpuInstanceOf(labels[instanceTypeLabel]) !== undefined
  );
}

/** undefined: neither label nor instance type says it. */
export function expectedGpus(labels: Readonly<Record<string, string>>): ExpectedGpus | undefined {
  const byLabel = expectedByLabel(labels);
  if (byLabel !== undefined) return byLabel;
  const count = gpuInstanceOf(labels[instanceTypeLabel])?.count;
  return count === undefined ? undefined : { count, source: instanceTypeLabel };
}

const instanceTypeLabel = 'node.kubernetes.io/instance-type';

/** Other makers' accelerators are counted by the same label. */
function expectedByLabel(labels: Readonly<Record<string, string>>): ExpectedGpus | undefined {
  for (const provider of providers) {
    const count = Number(labels[`${provider}/instance-gpu-count`]);
    const maker = labels[`${provider}/instance-gpu-manufacturer`] ?? 'nvidia';
    if (Number.isInteger(count) && count > 0 && maker === 'nvidia')
      return { count, source: `${provider}/instance-gpu-count` };
  }
  return undefined;
}

/** What every list of nodes shows of one. */
export type NodeOverview = {
  readonly name: string;
  /** It carries the label that lets it be drilled. */
  readonly drillAllowed: boolean;
  readonly ready: boolean;
  /** Absent: the cloud's controller has not labelled it. */
  readonly instanceType: string | undefined;
  /** Absent: NMA has never written it. */
  readonly acceleratedHardware: NodeCondition | undefined;
};

/** From its labels and conditions. */
export function overviewOf(node: KubeObject): NodeOverview {
  const { name, labels = {} } = node.metadata;
  return {
    name,
    drillAllowed: labels[optInLabel] === optInValue,
    ready: isReady(node),
    instanceType: labels['node.kubernetes.io/instance-type'],
    acceleratedHardware: conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady'),
  };
}
