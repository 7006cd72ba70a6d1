import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import {
  daemonSetObject,
  dcgmServerLabels,
  karpenterObject,
  type NodeRow,
  nmaImage,
  nmaLabels,
  nmaName,
  nodeObject,
  nodeStatus,
  podObject,
  podStatus,
  roleAnnotation,
  roleEnvironment,
  roleVolume,
  systemNamespace,
} from '../../../coordinator/rehearsal/objects.ts';
import { inParallel } from '../../../shared/parallel.ts';

/** What is so on a node, and with it what doctor has to find. */
export const kinds = ['healthy', 'arm', 'role', 'tainted', 'karpenter'] as const;
export type Kind = (typeof kinds)[number];

/** The causes of each kind by link; none: the link is all right or only not known. */
export const causes: Readonly<Record<Kind, Readonly<Record<'detection' | 'taint', readonly string[]>>>> = {
  healthy: { detection: [], taint: ['repair-not-enabled'] },
  arm: { detection: ['arm64-gate', 'dcgm-server-missing'], taint: ['repair-not-enabled'] },
  role: { detection: ['credentials-broken'], taint: ['repair-not-enabled'] },
  tainted: { detection: ['dcgm-server-missing'], taint: ['repair-not-enabled'] },
  karpenter: { detection: [], taint: ['karpenter-gate-off'] },
};

const version = '1.6.4';
const oldVersion = '1.4.3';
const staleMs = 40 * 60_000;

/** What fills a real Node up to about 21 KB: a kubelet reports at most 50 images (nodeStatusMaxImages). */
const images = Array.from({ length: 50 }, (_, image) => {
  const repository = `602401143452.dkr.ecr.ap-northeast-2.amazonaws.com/team-${image}/service-${image}`;
  const digest = String(image).padStart(64, '0');
  const names = [
    `${repository}@sha256:${digest}`,
    `${repository}:v1.${image}`,
    `${repository}:latest-stable`,
  ];
  return { names, sizeBytes: 1e8 };
});

export const nameOf = (kind: Kind, index: number) => `${kind}-${index}`;

function rowOf(kind: Kind, index: number): NodeRow {
  const digits = index.toString(16).padStart(12, '0');
  return {
    name: nameOf(kind, index),
    instanceType: kind === 'arm' ? 'g5g.xlarge' : 'g5.xlarge',
    arch: kind === 'arm' ? 'arm64' : 'amd64',
    gpu: {
      name: 'NVIDIA A10G',
      uuid: `GPU-5d1c7e02-7b8e-4a5c-9f43-${digits}`,
      pci: '00000000:00:1E.0',
      driver: '580.105.08',
    },
    labels:
      kind === 'karpenter'
        ? { 'karpenter.sh/nodepool': 'gpu' }
        : { 'eks.amazonaws.com/nodegroup': `gpu-${kind}` },
  };
}

async function createNode(cluster: Cluster, kind: Kind, index: number, now: number): Promise<void> {
  const row = rowOf(kind, index);
  const node = nodeObject(row, now);
  const taints = [{ key: 'nvidia.com/gpu', value: 'true', effect: 'NoSchedule' }];
  await cluster.create('nodes', { ...node, spec: kind === 'tainted' ? { taints } : {} });
  const tag = kind === 'arm' ? oldVersion : version;
  const at = kind === 'role' ? now - staleMs : now - 10_000;
  const status = nodeStatus(row, now, { version: findNmaVersion(tag).row, at });
  await cluster.patch('nodes', { name: row.name }, { status: { ...status, images } }, 'status');
  await place(
    cluster,
    podObject(row, `${nmaName}-${row.name}`, nmaLabels, {
      image: nmaImage(tag),
      serviceAccountName: nmaName,
      ...(kind === 'role' ? { environment: roleEnvironment, volumes: [roleVolume] } : {}),
    }),
    now,
  );
  if (kind === 'arm' || kind === 'tainted') return;
  const image = nmaImage(version);
  const server = { image, serviceAccountName: 'default' };
  await place(cluster, podObject(row, `dcgm-server-${row.name}`, dcgmServerLabels, server), now);
}

async function place(cluster: Cluster, pod: KubeObject, now: number): Promise<void> {
  await cluster.create('pods', pod);
  const { name, namespace = '' } = pod.metadata;
  // They run for an hour: what NMA wrote since is its own.
  await cluster.patch('pods', { name, namespace }, { status: podStatus(name, now - 3_600_000) }, 'status');
}

/** So many GPU nodes of each kind, one without a GPU, and what NMA's chart and Karpenter's install. */
export async function createFleet(
  cluster: Cluster,
  counts: Readonly<Record<Kind, number>>,
  now: number,
): Promise<void> {
  const image = nmaImage(version);
  await cluster.create('serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: nmaName,
      namespace: systemNamespace,
      // Given later: the pods of the other nodes were not restarted since.
      annotations: { [roleAnnotation]: roleEnvironment.AWS_ROLE_ARN },
    },
  });
  for (const [name, labels, account] of [
    [nmaName, nmaLabels, nmaName],
    ['dcgm-server', dcgmServerLabels, 'default'],
  ] as const)
    await cluster.create('daemonsets', daemonSetObject(name, labels, { name, image }, account));
  await cluster.create('deployments', karpenterObject());
  await cluster.create('nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'plain', labels: { 'node.kubernetes.io/instance-type': 'c6i.2xlarge' } },
  });
  const all = kinds.flatMap((kind) =>
    Array.from({ length: counts[kind] }, (_, index) => [kind, index] as const),
  );
  await inParallel(all, 16, ([kind, index]) => createNode(cluster, kind, index, now));
}
