import type { Inventory } from '../../shared/schemas/inventory.ts';
import { monitors } from '../catalogue/nma/conditions.ts';
import type { RestartedPod, Restore } from '../store/restore.ts';
import { isUnread, type Unread } from '../view/facts.ts';
import { list, type NodeCondition, type SeenNode, text } from '../view/node.ts';
import type { View } from '../view/view.ts';

/** A pod as the view keeps it. */
type Pod = ReturnType<View['podsOf']>[number];

/** What a step of a restore is judged by: the node, the add-on's pods on it, and what its agent says. */
export type RestoreSeen = {
  readonly node: SeenNode;
  /** NMA's pods on the node. */
  readonly monitorPods: readonly Pod[];
  /** Pods of dcgm-server on the node. */
  readonly enginePods: readonly Pod[];
  /** Absent: the step does not ask. */
  readonly inventory?: Inventory | Unread;
  /** Milliseconds, coordinator's clock. */
  readonly now: number;
};

/** The pod with what brings it back; undefined: it has no DaemonSet, and would be gone for good. */
export function restartable(pod: Pod): RestartedPod | undefined {
  const owner = pod.metadata.ownerReferences?.find(({ kind }) => kind === 'DaemonSet');
  if (owner === undefined) return undefined;
  const { name, namespace = '', uid = '' } = pod.metadata;
  return { namespace, name, uid, daemonSet: owner.uid };
}

/** The pod that came in place of a restarted one, or of one that was gone already, once it is Ready. */
export function replacementOf(
  pods: readonly Pod[],
  old: RestartedPod | undefined,
): { readonly name: string; readonly uid: string; readonly startedAt: string } | undefined {
  const found = pods.find(
    (pod) =>
      isInService(pod) &&
      (old === undefined || (pod.metadata.uid !== old.uid && restartable(pod)?.daemonSet === old.daemonSet)),
  );
  if (found === undefined) return undefined;
  const [status] = list(found, 'status', 'containerStatuses');
  const startedAt = text(status, 'state', 'running', 'startedAt') ?? text(found, 'status', 'startTime') ?? '';
  return { name: found.metadata.name, uid: found.metadata.uid ?? '', startedAt };
}

/** Ready, and not on its way out. A pod that is not has nothing in memory that a restart would end. */
export function isInService(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp === undefined && isPodReady(pod);
}

function isPodReady(pod: Pod): boolean {
  return list(pod, 'status', 'conditions').some(
    (condition) => text(condition, 'type') === 'Ready' && text(condition, 'status') === 'True',
  );
}

/** How the pods of a step stand, for a sentence. */
export function podsShown(pods: readonly Pod[]): string {
  if (pods.length === 0) return 'the node has no such pod';
  return pods
    .map((pod) => {
      const phase = text(pod, 'status', 'phase') ?? 'of unknown phase';
      const going = pod.metadata.deletionTimestamp === undefined ? '' : ', being deleted';
      return `pod ${pod.metadata.name} (uid ${pod.metadata.uid ?? ''}) is ${phase}${isPodReady(pod) ? ' and Ready' : ', not Ready'}${going}`;
    })
    .join('; ');
}

/** The host engine that NMA is connected to, by the agent; undefined: none, or the agent did not answer. */
export function listeningEngine(
  inventory: RestoreSeen['inventory'],
): Inventory['engines'][number] | undefined {
  if (inventory === undefined || isUnread(inventory)) return undefined;
  return inventory.engines.find(({ nma }) => nma.listening);
}

/** NMA's own conditions on the node. */
export function managedConditions({ node }: Pick<RestoreSeen, 'node'>): readonly NodeCondition[] {
  return node.conditions.filter(({ type }) => monitors.some(({ conditionType }) => conditionType === type));
}

/** Of the drill's conditions those that are False now. */
export function latchedNow(
  seen: Pick<RestoreSeen, 'node'>,
  { conditions }: Restore,
): readonly NodeCondition[] {
  return managedConditions(seen).filter(
    ({ type, status }) => status === 'False' && conditions.includes(type),
  );
}

/** The clocks of node and API server have whole seconds, and may differ a little. */
const skewMs = 60_000;

/**
 * A False condition of NMA that is not the drill's: of another type, with a reason that the drill does not lead to, or older
 * than its first order. Restarting NMA would turn it True and hide it.
 */
export function foreignFault(seen: Pick<RestoreSeen, 'node'>, restore: Restore): NodeCondition | undefined {
  return managedConditions(seen).find(({ type, status, reason, lastTransitionTime }) => {
    if (status !== 'False') return false;
    const isOurs = restore.conditions.includes(type) && restore.reasons.includes(reason);
    return !isOurs || Date.parse(lastTransitionTime ?? '') < Date.parse(restore.since) - skewMs;
  });
}

/** What shows that a controller takes the node; undefined: nothing does. */
export function takenBy({ node }: Pick<RestoreSeen, 'node'>): string | undefined {
  if (node.isGone) return 'the Node is gone, or another one has its name';
  const since = node.node?.metadata.deletionTimestamp;
  if (since !== undefined) return `the Node is being deleted since ${since}`;
  // Karpenter's taints in all versions, the second from 1.15 on (karpenter.md §4). A cordon may be a person's.
  const taint = list(node.node, 'spec', 'taints').find((one) =>
    ['karpenter.sh/disrupted', 'karpenter.sh/rebooting'].includes(text(one, 'key') ?? ''),
  );
  return taint === undefined ? undefined : `the node has taint ${text(taint, 'key') ?? ''}`;
}
