import type { NodeRow } from './objects.ts';

const allowed = { 'xidrill.dev/drill': 'allowed' };
const nodeGroup = { 'eks.amazonaws.com/nodegroup': 'gpu-arm' };
const nodePool = { 'karpenter.sh/nodepool': 'gpu' };

/** The nodes of the account behind the story, and one amd64 GPU node beside them. */
export const storyNodes = {
  arm: {
    name: 'ip-192-168-31-7',
    instanceType: 'g5g.xlarge',
    arch: 'arm64',
    gpu: {
      name: 'NVIDIA T4G',
      uuid: 'GPU-9ca02968-f496-c0c4-01d9-509cb6c32f5f',
      pci: '00000000:00:1F.0',
      driver: '580.105.08',
    },
    labels: { ...allowed, ...nodeGroup },
  },
  amd: {
    name: 'ip-192-168-52-19',
    instanceType: 'g5.xlarge',
    arch: 'amd64',
    gpu: {
      name: 'NVIDIA A10G',
      uuid: 'GPU-5d1c7e02-7b8e-4a5c-9f43-0c6a2be1d7f8',
      pci: '00000000:00:1E.0',
      driver: '580.105.08',
    },
    labels: { ...allowed, ...nodePool },
  },
  graviton: {
    name: 'ip-192-168-44-2',
    instanceType: 'c7g.2xlarge',
    arch: 'arm64',
    labels: allowed,
  },
  intel: {
    name: 'ip-192-168-61-3',
    instanceType: 'c6i.2xlarge',
    arch: 'amd64',
    labels: {},
  },
} as const satisfies Record<string, NodeRow>;

/** What `npm run serve` shows: one node where everything is right, a broken one, one without GPU. */
export const serveNodes = {
  gpu: {
    name: 'gpu-1',
    instanceType: 'g5.xlarge',
    arch: 'amd64',
    gpu: {
      name: 'NVIDIA A10G',
      uuid: 'GPU-5d1c7e02-7b8e-4a5c-9f43-0c6a2be1d7f8',
      pci: '00000000:00:1F.0',
      driver: '580.105.08',
    },
    labels: { ...allowed, ...nodePool },
  },
  broken: {
    name: 'gpu-broken',
    instanceType: 'g5g.xlarge',
    arch: 'arm64',
    gpu: {
      name: 'NVIDIA T4G',
      uuid: 'GPU-9ca02968-f496-c0c4-01d9-509cb6c32f5f',
      pci: '00000000:00:1E.0',
      driver: '580.105.08',
    },
    labels: { ...allowed, ...nodeGroup },
  },
  plain: { name: 'cpu-1', instanceType: 'c6i.2xlarge', arch: 'amd64', labels: allowed },
} as const satisfies Record<string, NodeRow>;
