import type { KubeObject } from '../cluster/port.ts';
import type { NodeFacts, PodFacts, Toleration } from './facts.ts';
import { expectedGpus, hasGpu, offeredGpus } from './gpus.ts';
import { conditionsOf, count, list, text, textMap } from './node.ts';

/** Objects of the cluster as the plain facts that rules judge. */

/** Of a whole Node or of what the view keeps of it. */
export function nodeFacts(node: KubeObject): NodeFacts {
  const labels = textMap(node.metadata, 'labels');
  const expected = expectedGpus(labels);
  return {
    name: node.metadata.name,
    uid: text(node.metadata, 'uid') ?? '',
    createdAt: text(node.metadata, 'creationTimestamp') ?? '',
    labels,
    annotations: textMap(node.metadata, 'annotations'),
    architecture: labels['kubernetes.io/arch'] ?? text(node, 'status', 'nodeInfo', 'architecture') ?? '',
    instanceType: labels['node.kubernetes.io/instance-type'],
    hasGpu: hasGpu(node),
    offeredGpus: offeredGpus(node),
    ...(expected === undefined ? {} : { expectedGpus: expected }),
    conditions: conditionsOf(node),
    taints: list(node, 'spec', 'taints').map((taint) => {
      const value = text(taint, 'value');
      return {
        key: text(taint, 'key') ?? '',
        effect: text(taint, 'effect') ?? '',
        ...(value === undefined ? {} : { value }),
      };
    }),
  };
}

/** Of its first container, which is the only one of NMA and of dcgm-server. */
export function podFacts(pod: KubeObject): PodFacts {
  const [container] = list(pod, 'spec', 'containers');
  const [status] = list(pod, 'status', 'containerStatuses');
  const environment = list(container, 'env').map(
    (entry) => [text(entry, 'name') ?? '', text(entry, 'value') ?? ''] as const,
  );
  return {
    namespace: text(pod.metadata, 'namespace') ?? '',
    name: pod.metadata.name,
    uid: text(pod.metadata, 'uid') ?? '',
    phase: text(pod, 'status', 'phase') ?? 'Unknown',
    ready: list(pod, 'status', 'conditions').some(
      (condition) => text(condition, 'type') === 'Ready' && text(condition, 'status') === 'True',
    ),
    startedAt: text(status, 'state', 'running', 'startedAt') ?? text(pod, 'status', 'startTime') ?? null,
    restarts: count(status, 'restartCount') ?? 0,
    reason:
      text(status, 'state', 'waiting', 'reason') ??
      text(status, 'state', 'terminated', 'reason') ??
      text(status, 'lastState', 'terminated', 'reason'),
    image: podImage(pod),
    serviceAccount: text(pod, 'spec', 'serviceAccountName') ?? 'default',
    environment: Object.fromEntries(environment),
    volumes: list(pod, 'spec', 'volumes').map((volume) => text(volume, 'name') ?? ''),
  };
}

/** Image of the first container; empty where there is none. */
export function podImage(pod: KubeObject): string {
  return text(list(pod, 'spec', 'containers')[0], 'image') ?? '';
}

/** Image of the first container in a workload's template; empty where there is none. */
export function imageOf(workload: KubeObject): string {
  return text(list(workload, 'spec', 'template', 'spec', 'containers')[0], 'image') ?? '';
}

/** Of a workload's pods; what a toleration leaves out is what Kubernetes takes for it. */
export function tolerationsOf(workload: KubeObject): readonly Toleration[] {
  return list(workload, 'spec', 'template', 'spec', 'tolerations').map((toleration) => ({
    key: text(toleration, 'key') ?? '',
    operator: text(toleration, 'operator') ?? 'Equal',
    value: text(toleration, 'value') ?? '',
    effect: text(toleration, 'effect') ?? '',
  }));
}

/** undefined: it runs as `default`, or there is no such workload. */
export function serviceAccountOf(workload: KubeObject | undefined): string | undefined {
  return workload === undefined
    ? undefined
    : text(workload, 'spec', 'template', 'spec', 'serviceAccountName');
}
