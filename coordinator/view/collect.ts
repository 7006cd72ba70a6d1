import { parse } from 'yaml';
import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Agents } from '../agents/port.ts';
import { monitors } from '../catalogue/nma/conditions.ts';
import { type FoundNmaVersion, findNmaVersion } from '../catalogue/nma/versions.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import {
  type AgentFacts,
  type DrillFacts,
  type Facts,
  isUnread,
  type NmaFacts,
  type NodeFacts,
  type PodFacts,
  type RepairFacts,
  type Unread,
} from './facts.ts';
import { conditionsOf, field, list, text, textMap } from './node.ts';

/** Labels of the monitoring agent's chart (nma.md §8). */
const nmaSelector = 'app.kubernetes.io/name=eks-node-monitoring-agent';
const dcgmServerSelector = 'k8s-app=dcgm-server';
const karpenterSelector = 'app.kubernetes.io/name=karpenter';

const logLines = 400;

/** The conditions that repair controllers look at (EKS guide "node-repair", Karpenter's repair policies). */
const repairConditionTypes: readonly string[] = [
  'Ready',
  ...monitors.map(({ conditionType }) => conditionType),
];

/** Reads what a diagnosis needs. It only reads; a part that cannot be read is said to be unread and stops nothing. */
export type Collector = {
  /** Rejects with the signal's reason when it is aborted while the agent is asked. */
  facts(node: string, drill?: DrillFacts, signal?: AbortSignal): Promise<Facts>;
  /** The monitoring agent's version on each node that has a pod of it, and under '' that of its DaemonSet. */
  nmaVersions(): Promise<ReadonlyMap<string, FoundNmaVersion>>;
};

export function createCollector(options: {
  readonly cluster: Cluster;
  readonly agents: Agents;
  readonly clock: Clock;
}): Collector {
  const { cluster, agents, clock } = options;

  async function facts(name: string, drill?: DrillFacts, signal?: AbortSignal): Promise<Facts> {
    const node = await cluster.read('nodes', { name });
    if (node === undefined)
      throw new Refusal('node_unknown', `there is no node "${name}"`, { field: 'node', value: name });
    const [nma, agent, repair] = await Promise.all([
      nmaFacts(node),
      agentFacts(name, signal),
      repairFacts(node),
    ]);
    return {
      at: isoFromMillis(clock.now()),
      node: nodeFacts(node),
      nma,
      agent,
      repair,
      ...(drill === undefined ? {} : { drill }),
    };
  }

  async function nmaFacts(node: KubeObject): Promise<NmaFacts> {
    const { name } = node.metadata;
    const [daemonSets, pods, dcgmSets, dcgmPods] = await Promise.all([
      cluster.list('daemonsets', { labelSelector: nmaSelector }),
      cluster.list('pods', { labelSelector: nmaSelector, fieldSelector: `spec.nodeName=${name}` }),
      cluster.list('daemonsets', { labelSelector: dcgmServerSelector }),
      cluster.list('pods', { labelSelector: dcgmServerSelector, fieldSelector: `spec.nodeName=${name}` }),
    ]);
    const daemonSet = daemonSets.items[0];
    const pod = pods.items[0] === undefined ? undefined : podFacts(pods.items[0]);
    const namespace = pod?.namespace ?? daemonSet?.metadata.namespace;
    const image = pod?.image ?? (daemonSet === undefined ? undefined : imageOf(daemonSet));
    const [account, log, configuration] = await Promise.all([
      unlessKept(
        namespace,
        readServiceAccount(namespace, pod?.serviceAccount ?? serviceAccountOf(daemonSet)),
      ),
      readLog(pod),
      unlessKept(namespace, readDisabledPlugins(namespace)),
    ]);
    return {
      daemonSet:
        daemonSet === undefined
          ? undefined
          : {
              namespace: daemonSet.metadata.namespace ?? '',
              name: daemonSet.metadata.name,
              image: imageOf(daemonSet),
              nodeSelector: textMap(daemonSet, 'spec', 'template', 'spec', 'nodeSelector'),
            },
      pod,
      serviceAccount: isUnread(account) ? undefined : account,
      mayBeHostProcess: node.metadata.labels?.['eks.amazonaws.com/compute-type'] === 'auto',
      version: image === undefined ? undefined : { text: image, ...findNmaVersion(image) },
      log,
      disabledPlugins: isUnread(configuration) ? [] : configuration,
      kept: {
        ...(isUnread(account) ? { serviceAccount: account } : {}),
        ...(isUnread(configuration) ? { configuration } : {}),
      },
      dcgmServer: {
        daemonSet: dcgmSets.items.length > 0,
        pod: dcgmPods.items[0] === undefined ? undefined : podFacts(dcgmPods.items[0]),
      },
    };
  }

  async function readServiceAccount(namespace: string | undefined, name: string | undefined) {
    if (namespace === undefined || name === undefined) return undefined;
    const found = await cluster.read('serviceaccounts', { namespace, name });
    if (found === undefined) return undefined;
    return { namespace, name, annotations: found.metadata.annotations ?? {} };
  }

  async function readLog(pod: PodFacts | undefined): Promise<readonly string[] | Unread> {
    if (pod === undefined) return { unread: 'there is no pod on this node' };
    try {
      const log = await cluster.podLog({ namespace: pod.namespace, name: pod.name }, { tailLines: logLines });
      return log === undefined
        ? { unread: 'the pod has no log yet' }
        : log.split('\n').filter((line) => line !== '');
    } catch (thrown) {
      return { unread: messageFromUnknown(thrown) };
    }
  }

  /** `monitors:` of the chart's ConfigMap (nma.md §4.4); absent means all enabled. */
  async function readDisabledPlugins(namespace: string | undefined): Promise<readonly string[]> {
    if (namespace === undefined) return [];
    const found = await cluster.read('configmaps', {
      namespace,
      name: 'eks-node-monitoring-agent-monitor-config',
    });
    const yaml = found === undefined ? undefined : text(found, 'data', 'config.yaml');
    if (yaml === undefined) return [];
    try {
      const monitors = field(parse(yaml), 'monitors');
      return Object.entries((monitors ?? {}) as object).flatMap(([plugin, settings]) =>
        field(settings, 'enabled') === false ? [plugin] : [],
      );
    } catch {
      // The agent refuses such a file and does not start: its pod shows that.
      return [];
    }
  }

  async function agentFacts(node: string, signal: AbortSignal | undefined): Promise<AgentFacts> {
    const url = await agents.find(node);
    if (url === undefined) return { url, inventory: { unread: 'no agent is known for this node' } };
    try {
      return { url, inventory: await agents.inventory(node, signal) };
    } catch (thrown) {
      signal?.throwIfAborted();
      return { url, inventory: unreadBecause(thrown) };
    }
  }

  async function repairFacts(node: KubeObject): Promise<RepairFacts> {
    const labels = node.metadata.labels ?? {};
    const nodePool = labels['karpenter.sh/nodepool'];
    const nodeGroup = labels['eks.amazonaws.com/nodegroup'];
    const [nodes, deployments, pods] = await Promise.all([
      cluster.list('nodes', peerQuery(nodePool, nodeGroup)),
      cluster.list('deployments', { labelSelector: karpenterSelector }),
      cluster.list('pods', { fieldSelector: `spec.nodeName=${node.metadata.name}` }),
    ]);
    const others = nodes.items.filter(({ metadata }) => metadata.name !== node.metadata.name);
    const deployment = deployments.items[0];
    return {
      nodeGroup,
      computeType: labels['eks.amazonaws.com/compute-type'],
      nodePool,
      peers: { total: nodes.items.length, unhealthyOthers: others.filter(isUnhealthy).length },
      karpenter: deployment === undefined ? undefined : karpenterFacts(deployment),
      doNotDisruptPods: pods.items
        .filter(({ metadata }) => metadata.annotations?.['karpenter.sh/do-not-disrupt'] === 'true')
        .map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`),
    };
  }

  return {
    facts,
    async nmaVersions() {
      const [pods, daemonSets] = await Promise.all([
        cluster.list('pods', { labelSelector: nmaSelector }),
        cluster.list('daemonsets', { labelSelector: nmaSelector }),
      ]);
      const versions = pods.items.map(
        (pod) => [text(pod, 'spec', 'nodeName') ?? '', podFacts(pod).image] as const,
      );
      const installed = daemonSets.items.map((daemonSet) => ['', imageOf(daemonSet)] as const);
      return new Map([...versions, ...installed].map(([node, image]) => [node, findNmaVersion(image)]));
    },
  };
}

/** Karpenter judges the nodes of one pool, EKS those of one node group; else all of the cluster. */
function peerQuery(nodePool: string | undefined, nodeGroup: string | undefined): { labelSelector?: string } {
  if (nodePool !== undefined) return { labelSelector: `karpenter.sh/nodepool=${nodePool}` };
  return nodeGroup === undefined ? {} : { labelSelector: `eks.amazonaws.com/nodegroup=${nodeGroup}` };
}

function isUnhealthy(node: KubeObject): boolean {
  return conditionsOf(node).some(
    ({ type, status }) => status === 'False' && repairConditionTypes.includes(type),
  );
}

function nodeFacts(node: KubeObject): NodeFacts {
  const labels = node.metadata.labels ?? {};
  return {
    name: node.metadata.name,
    uid: node.metadata.uid ?? '',
    createdAt: node.metadata.creationTimestamp ?? '',
    labels,
    architecture: labels['kubernetes.io/arch'] ?? text(node, 'status', 'nodeInfo', 'architecture') ?? '',
    instanceType: labels['node.kubernetes.io/instance-type'],
    allocatableGpus: Number(text(node, 'status', 'allocatable', 'nvidia.com/gpu') ?? 0),
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

function podFacts(pod: KubeObject): PodFacts {
  const [container] = list(pod, 'spec', 'containers');
  const [status] = list(pod, 'status', 'containerStatuses');
  const environment = list(container, 'env').map(
    (entry) => [text(entry, 'name') ?? '', text(entry, 'value') ?? ''] as const,
  );
  return {
    namespace: pod.metadata.namespace ?? '',
    name: pod.metadata.name,
    uid: pod.metadata.uid ?? '',
    phase: text(pod, 'status', 'phase') ?? 'Unknown',
    ready: list(pod, 'status', 'conditions').some(
      (condition) => text(condition, 'type') === 'Ready' && text(condition, 'status') === 'True',
    ),
    startedAt: text(status, 'state', 'running', 'startedAt') ?? text(pod, 'status', 'startTime') ?? null,
    restarts: Number(field(status, 'restartCount') ?? 0),
    reason:
      text(status, 'state', 'waiting', 'reason') ??
      text(status, 'state', 'terminated', 'reason') ??
      text(status, 'lastState', 'terminated', 'reason'),
    image: text(container, 'image') ?? '',
    serviceAccount: text(pod, 'spec', 'serviceAccountName') ?? 'default',
    environment: Object.fromEntries(environment),
    volumes: list(pod, 'spec', 'volumes').map((volume) => text(volume, 'name') ?? ''),
  };
}

function imageOf(workload: KubeObject): string {
  return text(list(workload, 'spec', 'template', 'spec', 'containers')[0], 'image') ?? '';
}

function serviceAccountOf(workload: KubeObject | undefined): string | undefined {
  return workload === undefined
    ? undefined
    : text(workload, 'spec', 'template', 'spec', 'serviceAccountName');
}

/** Karpenter reads `--feature-gates` and FEATURE_GATES, both as `Name=true,…` (karpenter pkg/operator/options). */
function karpenterFacts(deployment: KubeObject): NonNullable<RepairFacts['karpenter']> {
  const [container] = list(deployment, 'spec', 'template', 'spec', 'containers');
  const args = list(container, 'args').filter((arg): arg is string => typeof arg === 'string');
  const argument = args
    .map((arg) => /^--feature-gates[= ](.*)$/.exec(arg)?.[1])
    .find((value) => value !== undefined);
  const variable = list(container, 'env').find((entry) => text(entry, 'name') === 'FEATURE_GATES');
  const gates = argument ?? (variable === undefined ? undefined : text(variable, 'value'));
  const set = /(?:^|,)\s*NodeRepair=(true|false)/.exec(gates ?? '')?.[1];
  return {
    deployment: `${deployment.metadata.namespace ?? ''}/${deployment.metadata.name}`,
    image: imageOf(deployment),
    nodeRepairGate: set === undefined ? undefined : set === 'true',
    evidence:
      gates === undefined ? 'neither --feature-gates nor FEATURE_GATES is set' : `feature gates "${gates}"`,
  };
}

/** Rights on the monitoring agent's namespace are given for one namespace; it may be in another. */
async function unlessKept<T>(namespace: string | undefined, answer: Promise<T>): Promise<T | Unread> {
  try {
    return await answer;
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.reason !== 'cluster_refused') throw thrown;
    const remedy = `let the coordinator read it: with its chart nma.namespace=${namespace}`;
    return { unread: `${thrown.message}; ${remedy}` };
  }
}

function unreadBecause(thrown: unknown): Unread {
  const remedy = thrown instanceof Refusal ? thrown.details.remedy : undefined;
  return { unread: messageFromUnknown(thrown), ...(remedy === undefined ? {} : { remedy }) };
}
