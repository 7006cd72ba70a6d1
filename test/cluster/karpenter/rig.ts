import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { GivenPolicy } from '../../../coordinator/catalogue/repair/given-policies.ts';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { karpenterDeployment } from '../../../coordinator/rehearsal/karpenter/objects.ts';
import { type RehearsalNode, startNode } from '../../../coordinator/rehearsal/node.ts';
import {
  daemonSetObject,
  dcgmServerLabels,
  nmaImage,
  nmaLabels,
  nmaName,
  systemNamespace,
} from '../../../coordinator/rehearsal/objects.ts';
import { customResourceDefinitions } from '../../../coordinator/store/crds.ts';
import { isReady, poolOf, text } from '../../../coordinator/view/node.ts';
import { createRealClock } from '../../../shared/clock.ts';
import type { PoolRow } from '../../contract/karpenter/scenarios.ts';
import { createRest, gpuNode, log, type Rest } from '../../coordinator/rig.ts';
import type { ControlPlane } from '../controlplane/start.ts';
import { startControlPlane } from '../controlplane/start.ts';
import { freePort, isServing, start, until } from '../processes.ts';
import { namespace } from '../rig.ts';
import type { KarpenterVersion } from './build.ts';
import { type Controllers, startControllers } from './start.ts';

/** A real Karpenter of one version beside a real control plane, and our coordinator as a process. */
export type KarpenterRig = {
  readonly plane: ControlPlane;
  readonly cluster: Cluster;
  readonly controllers: Controllers;
  readonly rest: Rest;
  /** Names of the nodes of each pool as they were at the start. */
  readonly pools: ReadonlyMap<string, readonly string[]>;
  node(name: string): RehearsalNode;
  /** NMA and the engine that it is connected to, both new, as when their pods are deleted. */
  restartNma(node: string): Promise<void>;
  /** What Karpenter's Deployment says of it, and the process that runs. */
  installKarpenter(options: { readonly nodeRepair: boolean }): Promise<void>;
};

/** Pods of the pools. */
const workNamespace = 'work';
/** Of the NMA on every node. */
export const nmaVersion = '1.6.4';

/** Starts all of it, and waits until NMA listens on every node of every pool. Karpenter runs without repair. */
export async function startKarpenterRig(
  t: Test,
  options: {
    readonly version: KarpenterVersion;
    readonly policies: readonly GivenPolicy[];
    readonly pools: readonly PoolRow[];
  },
): Promise<KarpenterRig> {
  const { version, pools } = options;
  const say = (line: string) => t.comment(line);
  const plane = await startControlPlane();
  t.teardown(() => plane.stop());
  const cluster = createClusterClient({
    kubeconfig: { path: plane.kubeconfigPath },
    userAgent: 'xidrill-test',
    fieldManager: 'xidrill-test',
    log,
  });
  for (const name of [namespace, workNamespace])
    await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  const controllers = await startControllers(plane, { ...options, log: say });
  t.teardown(async () => {
    if (!t.passing()) t.comment(await controllers.logs());
    await controllers.stop();
  });

  async function installKarpenter({ nodeRepair }: { readonly nodeRepair: boolean }): Promise<void> {
    await apply(plane, deploymentOf(version, nodeRepair));
    await controllers.startKarpenter({ nodeRepair });
    await until('Karpenter’s Deployment has a ready pod', async () => {
      const found = await cluster.read('deployments', { namespace: systemNamespace, name: 'karpenter' });
      return (found?.status as { readyReplicas?: number } | undefined)?.readyReplicas === 1;
    });
  }

  await apply(plane, systemNode, ...nmaObjects());
  await apply(plane, nodeClass, ...pools.flatMap(poolObjects));
  await installKarpenter({ nodeRepair: false });
  const made = await nodesOf(cluster, pools);

  const stateDir = join(plane.kubeconfigPath, '..', 'agents');
  const nodes = new Map<string, RehearsalNode>();
  t.teardown(() => Promise.all([...nodes.values()].map((node) => node.close())));
  for (const name of [...made.values()].flat()) {
    const node = await startNode({
      row: { ...gpuNode(name), instanceType: 'g5.4xlarge' },
      cluster,
      clock: createRealClock(),
      random: Math.random,
      newId: randomUUID,
      stateDir,
      port: 0,
      armed: true,
      podLog: () => undefined,
      log,
    });
    nodes.set(name, node);
  }
  const node = (name: string): RehearsalNode => {
    const found = nodes.get(name);
    if (found === undefined) throw new RangeError(`no node ${name}`);
    return found;
  };

  async function restartNma(name: string): Promise<void> {
    const pod = await podOf(cluster, 'k8s-app=dcgm-server', name);
    await node(name).startNma({
      version: nmaVersion,
      credentials: 'healthy',
      enginePodUid: pod.metadata.uid,
    });
  }

  for (const name of nodes.keys()) {
    await podOf(cluster, `app.kubernetes.io/name=${nmaName}`, name);
    await restartNma(name);
  }
  for (const { url } of nodes.values()) await until('NMA listens', () => isListening(url));

  const address = `127.0.0.1:${await freePort()}`;
  const coordinator = await start(
    'coordinator/main.ts',
    [
      ...['--kubeconfig', plane.kubeconfigPath, '--namespace', namespace, '--listen', address],
      ...['--karpenter-policies-file', controllers.policiesFile, '--lease-seconds', '5'],
      ...[...nodes].flatMap(([name, { url }]) => ['--agent', `${name}=${url}`]),
    ],
    () => isServing(`http://${address}`),
  );
  t.teardown(() => coordinator.kill('SIGKILL'));
  return {
    plane,
    cluster,
    controllers,
    rest: createRest(`http://${address}`),
    pools: made,
    node,
    restartNma,
    installKarpenter,
  };
}

export async function apply(plane: ControlPlane, ...items: readonly object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items };
  const { exitCode, stderr } = await plane.kubectl(['apply', '-f', '-'], JSON.stringify(list));
  if (exitCode !== 0) throw new Error(stderr);
}

/** Where Karpenter’s own pod runs: a node that is none of its own. */
const systemNode = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: 'system',
    labels: { role: 'system', 'kubernetes.io/hostname': 'system' },
    annotations: { 'kwok.x-k8s.io/node': 'fake' },
  },
  status: { allocatable: { cpu: '4', memory: '8Gi', pods: '50' } },
};

function deploymentOf(version: KarpenterVersion, nodeRepair: boolean): KubeObject {
  const made = karpenterDeployment({ version, nodeRepair }, systemNamespace);
  const spec = made.spec as { template: { spec: object } };
  Object.assign(spec.template.spec, {
    nodeSelector: { role: 'system' },
    automountServiceAccountToken: false,
  });
  return made;
}

/** The add-on as EKS installs it; its pods are made by the real DaemonSet controller and played by kwok. */
function nmaObjects(): readonly KubeObject[] {
  const image = nmaImage(nmaVersion);
  return [
    daemonSetObject(nmaName, nmaLabels, { name: nmaName, image }, 'default'),
    daemonSetObject('dcgm-server', dcgmServerLabels, { name: 'dcgm-server', image }, 'default'),
  ];
}

const nodeClass = {
  apiVersion: 'karpenter.kwok.sh/v1alpha1',
  kind: 'KWOKNodeClass',
  metadata: { name: 'default' },
  spec: { nodeRegistrationDelay: '1s' },
};

function poolObjects({
  name,
  nodes,
  budgets,
  podAnnotations = {},
  minAvailable,
}: PoolRow): readonly object[] {
  const labels = { pool: name };
  const consolidation = { consolidationPolicy: 'WhenEmpty', consolidateAfter: 'Never' };
  return [
    {
      apiVersion: 'karpenter.sh/v1',
      kind: 'NodePool',
      metadata: { name },
      spec: {
        disruption: budgets === undefined ? consolidation : { ...consolidation, budgets },
        template: {
          metadata: { labels: { 'xidrill.dev/drill': 'allowed' } },
          spec: {
            nodeClassRef: { group: 'karpenter.kwok.sh', kind: 'KWOKNodeClass', name: 'default' },
            expireAfter: 'Never',
            requirements: [{ key: 'karpenter.sh/capacity-type', operator: 'In', values: ['on-demand'] }],
          },
        },
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: workNamespace },
      spec: {
        replicas: nodes,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels, annotations: podAnnotations },
          spec: {
            automountServiceAccountToken: false,
            terminationGracePeriodSeconds: 1,
            nodeSelector: { 'karpenter.sh/nodepool': name },
            containers: [
              {
                name: 'job',
                image: 'job:1',
                resources: { limits: { 'nvidia.com/gpu': '1' }, requests: { cpu: '1' } },
              },
            ],
          },
        },
      },
    },
    ...(minAvailable === undefined
      ? []
      : [
          {
            apiVersion: 'policy/v1',
            kind: 'PodDisruptionBudget',
            metadata: { name, namespace: workNamespace },
            spec: { minAvailable, selector: { matchLabels: labels } },
          },
        ]),
  ];
}

async function nodesOf(
  cluster: Cluster,
  pools: readonly PoolRow[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const made = new Map<string, readonly string[]>();
  await until(
    'Karpenter has made the nodes, and their pods run',
    async () => {
      const [nodes, pods] = await Promise.all([
        cluster.list('nodes'),
        cluster.list('pods', { namespace: workNamespace }),
      ]);
      for (const { name } of pools)
        made.set(
          name,
          nodes.items
            .filter((node) => poolOf(node) === name && isReady(node))
            .map(({ metadata }) => metadata.name)
            .toSorted(),
        );
      const wanted = pools.reduce((sum, { nodes: count }) => sum + count, 0);
      const running = pods.items.filter((pod) => text(pod, 'status', 'phase') === 'Running').length;
      return running === wanted && pools.every(({ name, nodes: count }) => made.get(name)?.length === count);
    },
    120,
  );
  return made;
}

/** A running pod of the add-on on the node, once there is one. */
export async function podOf(cluster: Cluster, labelSelector: string, node: string): Promise<KubeObject> {
  let found: KubeObject | undefined;
  await until(`a pod ${labelSelector} runs on ${node}`, async () => {
    const pods = await cluster.list('pods', { namespace: systemNamespace, labelSelector });
    found = pods.items.find(
      (pod) =>
        text(pod, 'spec', 'nodeName') === node &&
        text(pod, 'status', 'phase') === 'Running' &&
        pod.metadata.deletionTimestamp === undefined,
    );
    return found !== undefined;
  });
  if (found === undefined) throw new Error(`no pod on ${node}`);
  return found;
}

/** Whether NMA is connected to an engine of the node, by the agent at this address. */
export async function isListening(url: string): Promise<boolean> {
  const response = await fetch(`${url}/xidrill.agent.v1.AgentService/ListHostEngines`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  const { engines } = (await response.json()) as { engines: { nma: { listening: boolean } }[] };
  return engines.some((engine) => engine.nma.listening);
}
