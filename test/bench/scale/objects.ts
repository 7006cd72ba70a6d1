import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import {
  dcgmServerLabels,
  type NodeRow,
  nmaImage,
  nmaLabels,
  nmaName,
  nodeObject,
  nodeStatus,
  podObject,
  podStatus,
} from '../../../coordinator/rehearsal/objects.ts';
import { agentSelector } from '../../../coordinator/view/kinds.ts';
import { optInLabel, optInValue } from '../../../coordinator/view/node.ts';

/** The namespace of the coordinator and of the agents' pods, as the chart's README names it. */
export const namespace = 'xidrill';
/** Xid 31 is an event in this version, Xid 109 a condition (nma.md, versions). */
export const nmaVersion = '1.6.4';
/** Experiments choose the first so many nodes by it: `first-100=yes`. */
export const setLabel = (size: number) => `bench.xidrill.dev/first-${size}`;

/** A GPU node of a managed node group; `sets` are the sizes of the sets that it belongs to. */
export function rowOf(index: number, sets: readonly number[]): NodeRow {
  const name = `ip-10-${index >> 16}-${(index >> 8) & 255}-${index & 255}`;
  const digits = index.toString(16).padStart(12, '0');
  return {
    name,
    instanceType: 'g5.xlarge',
    arch: 'amd64',
    gpu: {
      name: 'NVIDIA A10G',
      uuid: `GPU-5d1c7e02-7b8e-4a5c-9f43-${digits}`,
      pci: '00000000:00:1E.0',
      driver: '580.105.08',
    },
    labels: {
      [optInLabel]: optInValue,
      ...Object.fromEntries(sets.filter((size) => index < size).map((size) => [setLabel(size), 'yes'])),
      'eks.amazonaws.com/nodegroup': 'gpu',
      'eks.amazonaws.com/nodegroup-image': 'ami-0123456789abcdef0',
      'eks.amazonaws.com/capacityType': 'ON_DEMAND',
      'topology.kubernetes.io/region': 'ap-northeast-2',
      'topology.kubernetes.io/zone': `ap-northeast-2${'abc'[index % 3]}`,
      'nvidia.com/gpu.present': 'true',
    },
  };
}

/**
 * The Node object of a row, filled up to so many bytes of JSON with what fills a real one: the list of images. A kubelet
 * reports at most 50 (nodeStatusMaxImages); more of them stand here only where that is not enough.
 */
export function fullNode(row: NodeRow, now: number, bytes: number): KubeObject {
  const node = nodeObject(row, now);
  const status = {
    ...nodeStatus(row, now, { version: findNmaVersion(nmaVersion).row, at: now }),
    // Nobody answers there: a container's log is asked of the node, and refused at once.
    addresses: [{ type: 'InternalIP', address: '127.0.0.2' }],
  };
  const annotations = {
    'alpha.kubernetes.io/provided-node-ip': '10.0.0.1',
    'csi.volume.kubernetes.io/nodeid': '{"ebs.csi.aws.com":"i-0123456789abcdef0"}',
    'node.alpha.kubernetes.io/ttl': '0',
    'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
  };
  const images: object[] = [];
  const whole = () => ({
    ...node,
    metadata: { ...node.metadata, annotations },
    status: { ...status, images },
  });
  let length = JSON.stringify(whole()).length;
  for (let image = 0; length < bytes; image += 1) {
    const repository = `602401143452.dkr.ecr.ap-northeast-2.amazonaws.com/team-${image}/service-${image}`;
    const digest = `${row.name}${image}`.replace(/\W/g, '').padEnd(64, '0');
    const added = { names: [`${repository}@sha256:${digest}`, `${repository}:v1.${image}`], sizeBytes: 1e8 };
    images.push(added);
    length += JSON.stringify(added).length + 1;
  }
  return whole();
}

/** A pod and the status that a kubelet would give it. */
export type PlacedPod = { readonly pod: KubeObject; readonly status: KubeObject['status'] };

/** The three pods of a node that the coordinator looks at: NMA, its DCGM server, and the agent at `port` of loopback. */
export function podsOf(
  row: NodeRow,
  now: number,
  port: number,
): Readonly<Record<'nma' | 'dcgm' | 'agent', PlacedPod>> {
  const image = nmaImage(nmaVersion);
  const place = (pod: KubeObject, more: object = {}) => ({
    pod,
    status: { ...podStatus(pod.metadata.name, now), ...more },
  });
  const agent = podObject(row, `xidrill-agent-${row.name}`, agentLabels, {
    image: 'registry.invalid/xidrill-agent:0.1.0',
    serviceAccountName: 'xidrill-agent',
    owner,
  });
  const ports = [{ name: 'agent', containerPort: port }];
  return {
    nma: place(
      podObject(row, `${nmaName}-${row.name}`, nmaLabels, { image, serviceAccountName: nmaName, owner }),
    ),
    dcgm: place(
      podObject(row, `dcgm-server-${row.name}`, dcgmServerLabels, {
        image,
        serviceAccountName: 'default',
        owner,
      }),
    ),
    agent: place(
      {
        ...agent,
        metadata: { ...agent.metadata, namespace },
        spec: {
          ...(agent.spec as object),
          containers: [{ name: 'agent', image: 'registry.invalid/xidrill-agent:0.1.0', ports }],
        },
      },
      { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] },
    ),
  };
}

/** They go with their node; nothing here looks for that DaemonSet. */
const owner = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  name: 'bench',
  uid: '6f1a1a5e-4f0e-4d8c-9d53-6f6f0b0c7a11',
  controller: true,
};

const agentLabels = Object.fromEntries(agentSelector.split(',').map((pair) => pair.split('=', 2)));
