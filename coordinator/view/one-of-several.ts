import type { KubeObject } from '../cluster/port.ts';
import { field, list, text } from './node.ts';

/** Which of several objects of one role counts, where there is usually one: in an update, beside an evicted pod, after a move. */

/**
 * Of the pods of one role on a node: one that has not ended, that nobody deletes, that is ready, and the newest of these. undefined:
 * there is none.
 */
export function servingPod(pods: readonly KubeObject[]): KubeObject | undefined {
  return pods.toSorted(
    (left, right) => rankOf(right) - rankOf(left) || createdAt(right).localeCompare(createdAt(left)),
  )[0];
}

function rankOf(pod: KubeObject): number {
  const phase = text(pod, 'status', 'phase');
  const hasEnded = phase === 'Failed' || phase === 'Succeeded';
  const isDeleted = pod.metadata.deletionTimestamp !== undefined;
  const isReady = list(pod, 'status', 'conditions').some(
    (condition) => text(condition, 'type') === 'Ready' && text(condition, 'status') === 'True',
  );
  return (hasEnded ? 0 : 4) + (isDeleted ? 0 : 2) + (isReady ? 1 : 0);
}

function createdAt({ metadata }: KubeObject): string {
  return text(metadata, 'creationTimestamp') ?? '';
}

/** Of the workloads of one role: the controller of the pod; where there is no pod, or it has another one, the first. */
export function workloadOf(
  workloads: readonly KubeObject[],
  pod: KubeObject | undefined,
): KubeObject | undefined {
  const owner = pod?.metadata.ownerReferences?.find(({ controller }) => controller === true)?.name;
  const own = workloads.find(
    ({ metadata }) => metadata.name === owner && metadata.namespace === pod?.metadata.namespace,
  );
  return own ?? workloads[0];
}

/** Of Deployments of one role, one that runs: whoever moves to another namespace scales the old one to 0. */
export function runningDeployment(deployments: readonly KubeObject[]): KubeObject | undefined {
  const pods = (deployment: KubeObject) => {
    if (field(deployment, 'spec', 'replicas') === 0) return -1;
    const ready = field(deployment, 'status', 'readyReplicas');
    return typeof ready === 'number' ? ready : 0;
  };
  return deployments.toSorted((left, right) => pods(right) - pods(left))[0];
}

/** Names of the containers of the monitoring agent's chart (templates/daemonset.yaml, dcgm-daemonset.yaml). */
const ownContainers: readonly unknown[] = ['eks-node-monitoring-agent', 'eks-node-monitoring-agent-dcgm'];

/** Of a pod or a pod template: the chart's own container, which a mesh may put another one before; else the first. */
export function mainContainer(spec: unknown): unknown {
  const containers = list(spec, 'containers');
  return containers.find((one) => ownContainers.includes(text(one, 'name'))) ?? containers[0];
}
