import { gpuInstanceOf } from '../catalogue/gpu-instances.ts';
import type { KubeObject } from '../cluster/port.ts';
import { textMap } from './node.ts';

/** The labels of Karpenter's AWS provider and of EKS Auto Mode about an instance's accelerators. */
const providers = ['karpenter.k8s.aws', 'eks.amazonaws.com'] as const;

/** How many NVIDIA GPUs a node should have, by what was bought and not by what its driver finds. */
export type ExpectedGpus = { readonly count: number /** The label that says so. */; readonly source: string };

/**
 * GPUs that the node offers to pods: whole ones, time-sliced ones (`gpu.shared`) and MIG devices (`mig-1g.5gb`), as the
 * NVIDIA device plugin names them. With MIG or sharing this is more than the node has of them.
 */
export function offeredGpus(node: KubeObject, of: 'allocatable' | 'capacity' = 'allocatable'): number {
  return Object.entries(textMap(node, 'status', of))
    .filter(([name]) => /^nvidia\.com\/(gpu|gpu\.shared|mig-.+)$/.test(name))
    .map(([, count]) => Number(count))
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
