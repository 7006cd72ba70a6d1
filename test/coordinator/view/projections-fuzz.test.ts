import fc from 'fast-check';
import t from 'tap';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import { conditionsOf, isReady, nodeEventFrom } from '../../../coordinator/view/node.ts';
import {
  imageOf,
  karpenterFacts,
  nodeFacts,
  podFacts,
  podImage,
  serviceAccountOf,
  tolerationsOf,
} from '../../../coordinator/view/object-facts.ts';
import { createPeerCounts } from '../../../coordinator/view/peers.ts';
import {
  projectEvent,
  projectNode,
  projectOwn,
  projectPod,
  projectWorkload,
} from '../../../coordinator/view/projections.ts';
import { tryAll } from '../../mutations.ts';

const metadata = {
  name: 'n1',
  namespace: 'kube-system',
  uid: 'u1',
  resourceVersion: '7',
  creationTimestamp: '2026-11-30T00:00:00Z',
  labels: { 'kubernetes.io/arch': 'amd64', 'karpenter.sh/nodepool': 'gpu', 'nvidia.com/gpu.present': 'true' },
  annotations: { 'karpenter.sh/do-not-disrupt': 'true', 'other/x': 'y' },
};
const podSpec = {
  nodeName: 'n1',
  serviceAccountName: 'nma',
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ key: 'nvidia.com/gpu', operator: 'Exists', effect: 'NoSchedule' }],
  volumes: [{ name: 'host-root' }],
  containers: [
    {
      name: 'agent',
      image: 'x/eks-node-monitoring-agent:v1.6.4',
      args: ['--feature-gates=NodeRepair=true'],
      env: [{ name: 'FEATURE_GATES', value: 'NodeRepair=true' }],
      ports: [{ containerPort: 9475 }],
    },
  ],
};
/** As API servers send them, shortened. */
const objects: Readonly<Record<'node' | 'event' | 'pod' | 'workload', KubeObject>> = {
  node: {
    apiVersion: 'v1',
    kind: 'Node',
    metadata,
    spec: {
      taints: [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }],
      unschedulable: true,
      providerID: 'aws:///i-1',
    },
    status: {
      allocatable: { 'nvidia.com/gpu': '8', cpu: '96' },
      capacity: { 'nvidia.com/gpu': '8' },
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'KubeletReady',
          message: 'ok',
          lastHeartbeatTime: '2026-11-30T00:00:00Z',
        },
      ],
      nodeInfo: { architecture: 'amd64', bootID: 'b0', kubeletVersion: 'v1.34.1' },
    },
  },
  event: {
    apiVersion: 'v1',
    kind: 'Event',
    metadata,
    involvedObject: { kind: 'Node', name: 'n1' },
    type: 'Warning',
    reason: 'AcceleratedHardwareReady',
    message: 'NvidiaXID31Warning: detected',
    count: 2,
    series: { count: 3, lastObservedTime: '2026-11-30T00:00:00Z' },
    source: { component: 'eks-node-monitoring-agent' },
    firstTimestamp: '2026-11-30T00:00:00Z',
  },
  pod: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata,
    spec: podSpec,
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      startTime: '2026-11-30T00:00:00Z',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [
        { name: 'agent', restartCount: 1, state: { running: { startedAt: '2026-11-30T00:00:00Z' } } },
      ],
    },
  },
  workload: { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata, spec: { template: { spec: podSpec } } },
};

/** Every place below an object, but the name: an object without one never gets past the reader of lists. */
function placesOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    const place = [...path, key];
    const isName = place.join('.') === 'metadata.name' || place.join('.') === 'metadata';
    return [...(isName ? [] : [place]), ...placesOf(below, place)];
  });
}

/** `missing`: the member goes. */
const missing = Symbol('missing');
const foreign = fc.constantFrom<unknown>(
  missing,
  null,
  0,
  1e308,
  -1,
  'text',
  '',
  true,
  [],
  {},
  [null],
  [7],
  ['x'],
  { x: null },
  [[]],
  {
    length: 3,
  },
);

function withValue(object: KubeObject, path: readonly string[], value: unknown): KubeObject {
  const copy = structuredClone(object);
  let at = copy as unknown;
  for (const key of path.slice(0, -1)) {
    if (typeof at !== 'object' || at === null) return copy;
    at = (at as Record<string, unknown>)[key];
  }
  if (typeof at !== 'object' || at === null) return copy;
  const last = path.at(-1) ?? '';
  if (value === missing && Array.isArray(at)) at.splice(Number(last), 1);
  else if (value === missing) delete (at as Record<string, unknown>)[last];
  else (at as Record<string, unknown>)[last] = value;
  return copy;
}

const mangled = (kind: keyof typeof objects) =>
  fc
    .array(fc.tuple(fc.constantFrom(...placesOf(objects[kind])), foreign), { minLength: 1, maxLength: 3 })
    .map((changes) =>
      changes.reduce((object, [path, value]) => withValue(object, path, value), objects[kind]),
    );

/** Texts where the type says text: what a sentence is made of. */
function assertTexts(facts: object, ...others: readonly string[]): void {
  for (const [key, value] of Object.entries(facts))
    if (!others.includes(key) && value !== null && value !== undefined && typeof value !== 'string')
      throw new Error(`${key}: ${JSON.stringify(value)}`);
}

t.test(
  'objects of any shape are read without a throw, and nothing is in the facts that was not there',
  async (t) => {
    tryAll(mangled('node'), (node) => {
      for (const object of [node, projectNode(node)]) {
        const facts = nodeFacts(object);
        assertTexts(
          facts,
          'labels',
          'annotations',
          'conditions',
          'taints',
          'hasGpu',
          'offeredGpus',
          'expectedGpus',
        );
        for (const taint of facts.taints) assertTexts(taint);
        for (const condition of facts.conditions) assertTexts(condition);
        if (conditionsOf(object).some(({ status }) => !['True', 'Unknown', 'text', ''].includes(status)))
          throw new Error('a status that nobody wrote');
        isReady(object);
      }
      const peers = createPeerCounts();
      peers.apply({ type: 'added', object: projectNode(node), at: 0 });
      peers.of(projectNode(node));
    });
    tryAll(mangled('event'), (event) => {
      const found = nodeEventFrom(projectEvent(event));
      assertTexts(found, 'count');
      if (![1, 2, 3].includes(found.count)) throw new Error(`${found.count} times`);
    });
    tryAll(mangled('pod'), (pod) => {
      const projected = projectPod(pod);
      const facts = podFacts(projected);
      assertTexts(facts, 'ready', 'restarts', 'environment', 'volumes');
      assertTexts(facts.environment);
      assertTexts(facts.volumes);
      if (![0, 1, -1].includes(facts.restarts)) throw new Error(`${facts.restarts} restarts`);
      podImage(projected);
    });
    tryAll(mangled('workload'), (workload) => {
      const projected = projectWorkload(workload);
      imageOf(projected);
      serviceAccountOf(projected);
      for (const toleration of tolerationsOf(projected)) assertTexts(toleration);
      karpenterFacts(projected);
      projectOwn(workload);
    });
    t.pass('held');
  },
);
