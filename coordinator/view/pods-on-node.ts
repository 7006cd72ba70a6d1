import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { createReflector } from '../cluster/reflector.ts';
import { isUnread, type Unread } from './facts.ts';
import { count, field, list, text, textMap } from './node.ts';
import { unlessRefused, unreadBecause } from './object-facts.ts';

/** A pod that has to run elsewhere when its node goes, as it was last seen. */
export type SeenPod = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Annotation karpenter.sh/do-not-disrupt. */
  readonly doNotDisrupt: boolean;
  /** deletionTimestamp, RFC 3339, the API server's clock: the end of its grace period. Absent: nobody deletes it. */
  readonly deletedAt?: string;
  /** Of its deletion. */
  readonly graceSeconds?: number;
  /** Reason of its condition DisruptionTarget, such as EvictionByEvictionAPI. Absent: it has none. */
  readonly disruption?: string;
  /** They keep the object although its containers may be gone. */
  readonly finalizers: readonly string[];
  /** PodDisruptionBudgets that let no pod of theirs be evicted. Absent: not read. */
  readonly budgets?: readonly string[] | Unread;
};

/** Pods of one node that have to run elsewhere when it goes. */
export type SeenPods = {
  readonly here: readonly SeenPod[];
  /** Those that went while they were watched, as they were last seen. */
  readonly left: readonly SeenPod[];
};

/** Follows the pods of one node, from when it is asked for. */
export type PodWatch = {
  /** undefined: they were not listed so far. */
  seen(): SeenPods | Unread | undefined;
  close(): void;
};

/** Starts to follow the pods of a node; `onChange` is called after each change. */
export type WatchPods = (node: string, onChange: (at: number) => void) => PodWatch;

/** One list and watch of the pods of one node, as long as a drill waits for them to leave. */
export function createPodWatches(deps: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): WatchPods {
  return (node, onChange) => {
    const left = new Map<string, SeenPod>();
    const reflector = createReflector({
      ...deps,
      resource: 'pods',
      query: { fieldSelector: `spec.nodeName=${node}`, project: projectDrained },
      onChange: ({ type, object, at }) => {
        const pod = seenPod(object);
        if (pod !== undefined && type === 'deleted') left.set(pod.uid, pod);
        onChange(at);
      },
    });
    let isListed = false;
    reflector.ready.then(
      () => {
        isListed = true;
        onChange(deps.clock.now());
      },
      () => undefined,
    );
    reflector.start();
    return {
      seen() {
        const unread = reflector.unread();
        if (unread !== undefined) return unreadBecause(unread);
        if (!isListed) return undefined;
        return {
          here: reflector.store.list().flatMap((pod) => seenPod(pod) ?? []),
          left: [...left.values()],
        };
      },
      close: () => void reflector.stop(),
    };
  };
}

/** The pods of a node as they stand now, with the budgets that hold them. */
export async function readPodsOnNode(
  cluster: Pick<Cluster, 'list'>,
  node: string,
  /** Reads the PodDisruptionBudgets of the cluster; default: at once. */
  allBudgets: () => ReturnType<typeof readBudgets> = () => readBudgets(cluster),
): Promise<SeenPods | Unread> {
  const query = { fieldSelector: `spec.nodeName=${node}`, project: projectDrained };
  const pods = await unlessRefused(cluster.list('pods', query));
  if (isUnread(pods)) return pods;
  const here = pods.items.flatMap((pod) => seenPod(pod) ?? []);
  if (here.length === 0) return { here, left: [] };
  const budgets = await allBudgets();
  return {
    here: here.map((pod) => ({ ...pod, budgets: isUnread(budgets) ? budgets : budgetsOf(pod, budgets) })),
    left: [],
  };
}

/** The PodDisruptionBudgets of the cluster. For want of the right, a reason. */
export async function readBudgets(cluster: Pick<Cluster, 'list'>): Promise<readonly KubeObject[] | Unread> {
  try {
    return (await cluster.list('poddisruptionbudgets')).items;
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.reason === 'cluster_unreachable') throw thrown;
    return unreadBecause(thrown);
  }
}

/** By name, of those that select the pod and allow no disruption now. */
function budgetsOf({ namespace, labels }: SeenPod, budgets: readonly KubeObject[]): readonly string[] {
  return budgets
    .filter(
      (budget) =>
        budget.metadata.namespace === namespace &&
        (count(budget, 'status', 'disruptionsAllowed') ?? 0) === 0 &&
        isSelected(field(budget, 'spec', 'selector'), labels),
    )
    .map(({ metadata }) => metadata.name);
}

/** metav1.LabelSelector; an empty one selects every pod of the namespace, and none at all no pod (policy/v1). */
function isSelected(selector: unknown, labels: Readonly<Record<string, string>>): boolean {
  if (selector === undefined || selector === null) return false;
  const isEach = Object.entries(textMap(selector, 'matchLabels')).every(
    ([key, value]) => labels[key] === value,
  );
  return (
    isEach &&
    list(selector, 'matchExpressions').every((expression) => {
      const value = labels[text(expression, 'key') ?? ''];
      const values = list(expression, 'values');
      const operator = text(expression, 'operator');
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      const isIn = value !== undefined && values.includes(value);
      return operator === 'In' ? isIn : !isIn;
    })
  );
}

/** undefined: it goes with its node, or has ended (karpenter pkg/utils/pod). */
function seenPod(pod: KubeObject): SeenPod | undefined {
  if (!isDisplaced(pod)) return undefined;
  const { metadata, status } = pod;
  const { name, namespace = '', uid = '', deletionTimestamp } = metadata;
  const graceSeconds = count(metadata, 'deletionGracePeriodSeconds');
  const target = list(status, 'conditions').find((one) => text(one, 'type') === 'DisruptionTarget');
  const disruption = text(target, 'reason');
  return {
    namespace,
    name,
    uid,
    labels: textMap(metadata, 'labels'),
    doNotDisrupt: metadata.annotations?.['karpenter.sh/do-not-disrupt'] === 'true',
    ...(deletionTimestamp === undefined ? {} : { deletedAt: deletionTimestamp }),
    ...(graceSeconds === undefined ? {} : { graceSeconds }),
    ...(disruption === undefined ? {} : { disruption }),
    finalizers: list(metadata, 'finalizers').filter((one) => typeof one === 'string'),
  };
}

/** Karpenter makes room for all pods but those of DaemonSets, the node's own, and those that have ended (karpenter pkg/utils/pod). */
function isDisplaced(pod: KubeObject): boolean {
  const isNodes = pod.metadata.ownerReferences?.some(({ kind }) => kind === 'DaemonSet' || kind === 'Node');
  const phase = text(pod, 'status', 'phase') ?? '';
  return isNodes !== true && phase !== 'Succeeded' && phase !== 'Failed';
}

/** Metadata, phase and the condition that says who disrupts it. */
function projectDrained({ apiVersion, kind, metadata, status }: KubeObject): KubeObject {
  const { managedFields: _, ...rest } = metadata;
  const conditions = list(status, 'conditions').filter((one) => text(one, 'type') === 'DisruptionTarget');
  return {
    apiVersion,
    kind,
    metadata: rest,
    status: { phase: text(status, 'phase') ?? '', conditions: conditions as never },
  };
}
