import { isoFromMillis } from '../../shared/clock.ts';
import type { GpuFacts } from '../../shared/schemas/inventory.ts';
import { monitors } from '../catalogue/nma/conditions.ts';
import type { NmaVersion } from '../catalogue/nma/versions.ts';
import type { JsonObject, KubeObject, OwnerReference } from '../cluster/port.ts';

/** One node of a rehearsal cluster, as data. */
export type NodeRow = {
  readonly name: string;
  readonly instanceType: string;
  readonly arch: 'amd64' | 'arm64';
  /** Absent: a node without GPU. */
  readonly gpu?: Pick<GpuFacts, 'name' | 'uuid' | 'pci'> & { readonly driver: string };
  /** Beside those that the kubelet and EKS set. */
  readonly labels: Readonly<Record<string, string>>;
};

/** Where EKS add-ons run. */
export const systemNamespace = 'kube-system';
/** Of the add-on's DaemonSet, ServiceAccount and container. */
export const nmaName = 'eks-node-monitoring-agent';
const repository = '602401143452.dkr.ecr.ap-northeast-2.amazonaws.com/eks';

/** The add-on's image as EKS names it; `version` without a `v`. */
export function nmaImage(version: string): string {
  return `${repository}/${nmaName}:v${version}-eksbuild.1`;
}

/** Its own for each node: a name is only free again when the pod that had it is gone. */
export function nmaPodName(node: NodeRow): string {
  return `${nmaName}-${node.name}`;
}

/** The Node as a kubelet registers it; `now` in ms. */
export function nodeObject(row: NodeRow, now: number): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: row.name,
      labels: {
        'kubernetes.io/hostname': row.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': row.arch,
        'node.kubernetes.io/instance-type': row.instanceType,
        ...row.labels,
      },
    },
    spec: {},
    status: withBoot(nodeStatus(row, now), `${row.name}-boot-1`),
  };
}

function withBoot(status: JsonObject, bootID: string): JsonObject {
  return { ...status, nodeInfo: { ...(status.nodeInfo as JsonObject), bootID } };
}

/** As a kubelet writes it, milliseconds. */
function readyCondition(now: number, since: number): JsonObject {
  return {
    type: 'Ready',
    status: 'True',
    reason: 'KubeletReady',
    message: 'kubelet is posting ready status',
    lastHeartbeatTime: seconds(now),
    lastTransitionTime: seconds(since),
  };
}

/** The Node that comes in place of another one of its pool, as its kubelet registers it: Ready, and nothing of NMA there. */
export function nextNodeObject({ metadata, status }: KubeObject, name: string, now: number): KubeObject {
  const kubelet = readyCondition(now, now);
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { ...metadata.labels, 'kubernetes.io/hostname': name } },
    spec: {},
    status: withBoot({ ...(status as JsonObject), conditions: [kubelet] }, `${name}-boot-1`),
  };
}

/**
 * The conditions as they stood when the monitoring agent last wrote them, at `managedAt`, and never again where its
 * credentials are broken; the kubelet's own is always fresh, as in the account that this rehearses.
 */
export function nodeStatus(
  row: NodeRow,
  now: number,
  managed?: { version: NmaVersion; at: number },
): JsonObject {
  const kubelet = readyCondition(now, now - 86_400_000);
  return {
    allocatable: row.gpu === undefined ? { cpu: '4' } : { cpu: '4', 'nvidia.com/gpu': '1' },
    conditions: [
      kubelet,
      ...(managed === undefined ? [] : managedConditions(row, managed.version, managed.at)),
    ],
    nodeInfo: {
      architecture: row.arch,
      kernelVersion: '6.1.155',
      osImage: 'Amazon Linux 2023',
      kubeletVersion: 'v1.34.2',
    },
  };
}

function managedConditions(row: NodeRow, version: NmaVersion, at: number): readonly JsonObject[] {
  return monitors
    .filter(({ plugin }) => plugin !== 'neuron' && (plugin !== 'nvidia' || row.gpu !== undefined))
    .map(({ plugin, conditionType, readyReason, readyMessage }) => ({
      type: conditionType,
      status: 'True',
      reason: plugin === 'nvidia' ? version.nvidiaReadyReason : readyReason,
      message: plugin === 'nvidia' ? version.nvidiaReadyMessage : readyMessage,
      lastHeartbeatTime: seconds(at),
      lastTransitionTime: seconds(at - 60_000),
    }));
}

/** A DaemonSet of the add-on whose pods carry `labels`. */
export function daemonSetObject(
  name: string,
  labels: Readonly<Record<string, string>>,
  container: JsonObject,
  serviceAccountName: string,
): KubeObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace: systemNamespace, labels },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { serviceAccountName, containers: [container] } },
    },
  };
}

/** Karpenter as its chart installs it: no gate is named, so NodeRepair is off (karpenter pkg/operator/options). */
export function karpenterObject(): KubeObject {
  const labels = { 'app.kubernetes.io/name': 'karpenter' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'karpenter', namespace: systemNamespace, labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers: [{ name: 'controller', image: 'public.ecr.aws/karpenter/controller:1.8.1', env: [] }],
        },
      },
    },
  };
}

/** Of NMA's pods (nma.md §8.1). */
export const nmaLabels = { 'app.kubernetes.io/name': nmaName, 'app.kubernetes.io/instance': nmaName };
/** Of the DCGM server's pods (nma.md §8.3). */
export const dcgmServerLabels = { 'k8s-app': 'dcgm-server', version: 'v1' };

/** A pod of a DaemonSet on this node, before it has a status. */
export function podObject(
  row: NodeRow,
  name: string,
  labels: Readonly<Record<string, string>>,
  pod: {
    image: string;
    serviceAccountName: string;
    environment?: Readonly<Record<string, string>>;
    volumes?: readonly string[];
    /** Its DaemonSet: such pods go with their node. */
    owner?: OwnerReference;
  },
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: systemNamespace,
      labels,
      ...(pod.owner === undefined ? {} : { ownerReferences: [pod.owner] }),
    },
    spec: {
      nodeName: row.name,
      serviceAccountName: pod.serviceAccountName,
      containers: [
        {
          name,
          image: pod.image,
          env: Object.entries(pod.environment ?? {}).map(([key, value]) => ({ name: key, value })),
        },
      ],
      volumes: (pod.volumes ?? []).map((volume) => ({ name: volume, emptyDir: {} })),
    },
  };
}

/** Running and Ready since `now` (ms). */
export function podStatus(name: string, now: number): JsonObject {
  return {
    phase: 'Running',
    startTime: seconds(now),
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: [
      {
        name,
        ready: true,
        restartCount: 0,
        image: '',
        imageID: '',
        state: { running: { startedAt: seconds(now) } },
      },
    ],
  };
}

/** What EKS' pod identity webhook puts into a pod whose ServiceAccount has a role (nma.md §4.6). */
export const roleAnnotation = 'eks.amazonaws.com/role-arn';
/** What EKS' webhook sets in a container whose ServiceAccount has an IAM role. */
export const roleEnvironment = {
  AWS_ROLE_ARN: 'arn:aws:iam::111122223333:role/eks-node-monitoring-agent',
  AWS_WEB_IDENTITY_TOKEN_FILE: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token',
};
/** The projected token volume that the webhook adds. */
export const roleVolume = 'aws-iam-token';

/** The node's GPU as a healthy driver reports it; empty: it has none. */
export function gpuFacts(row: NodeRow): readonly GpuFacts[] {
  if (row.gpu === undefined) return [];
  const { driver, ...identity } = row.gpu;
  return [
    {
      index: 0,
      ...identity,
      minor: 0,
      driverVersion: driver,
      temperatureCelsius: 34,
      powerWatts: 21.5,
      smClockMhz: 300,
      memoryClockMhz: 405,
      ecc: {
        enabled: true,
        volatileCorrected: 0,
        volatileUncorrected: 0,
        aggregateCorrected: 0,
        aggregateUncorrected: 0,
      },
      remappedRows: { correctable: 0, uncorrectable: 0, pending: false, failed: false },
      migEnabled: null,
      notes: ['migEnabled: NVML_ERROR_NOT_SUPPORTED'],
    },
  ];
}

/** metav1.Time has whole seconds. */
function seconds(milliseconds: number): string {
  return isoFromMillis(milliseconds).replace(/\.\d{3}Z$/, 'Z');
}
