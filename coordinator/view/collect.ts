import { parse } from 'yaml';
import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import { heartbeatStaleMs } from '../../shared/nma-timing.ts';
import type { Agents } from '../agents/port.ts';
import { monitors } from '../catalogue/nma/conditions.ts';
import { type FoundNmaVersion, findNmaVersion } from '../catalogue/nma/versions.ts';
import { findKarpenterVersion } from '../catalogue/repair/karpenter.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import {
  type AgentFacts,
  type DrillFacts,
  type Facts,
  isUnread,
  type NmaFacts,
  type PodFacts,
  type RepairFacts,
  type Unread,
} from './facts.ts';
import { karpenterFacts } from './karpenter-facts.ts';
import { conditionsOf, field, text, textMap } from './node.ts';
import { type PoolBudget, readPoolBudgets } from './node-pools.ts';
import { imageOf, nodeFacts, podFacts, podImage, serviceAccountOf, tolerationsOf } from './object-facts.ts';
import { projectNode } from './projections.ts';
import { createSharedReads } from './shared-reads.ts';
import type { View } from './view.ts';

/** What only some of the questions need. */
const notAsked: Unread = { unread: 'they were not asked for' };

const logLines = 400;

/** How long NMA's ServiceAccount and configuration count as read: the same two objects serve every target. */
const sharedForMs = 10_000;

/** Collects what a diagnosis needs. It only reads; a part that cannot be read is reported as unread and stops nothing. */
export type Collector = {
  /**
   * Facts from the view, and what only a request shows: the agent's inventory and NMA's log unless the reaction has come, and,
   * without a drill, the pods that delay a repair. Refuses with `node_missing`; rejects with the signal's reason when it
   * is aborted while the agent is asked.
   */
  facts(node: string, drill?: DrillFacts, signal?: AbortSignal): Promise<Facts>;
  /** The same without any request to the API server beyond what is shared by all nodes: enough to plan by. */
  basics(node: string, signal?: AbortSignal): Promise<Facts>;
  /** The monitoring agent's version on each node that has a pod of it, and under '' that of its DaemonSet. */
  nmaVersions(): Promise<ReadonlyMap<string, FoundNmaVersion>>;
};

type Extent = {
  readonly drill?: DrillFacts | undefined;
  /** Default true. */
  readonly asksAgent?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly log: boolean;
  readonly pods: boolean;
  readonly pools: boolean;
};

/** Facts from the view; what the view does not hold is read once for all that ask at the same time. */
export function createCollector(options: {
  readonly cluster: Cluster;
  readonly view: View;
  readonly agents: Agents;
  readonly clock: Clock;
}): Collector {
  const { cluster, view, agents, clock } = options;
  const shared = createSharedReads(clock, sharedForMs);

  async function collect(
    name: string,
    { drill, signal, log, pods, pools, asksAgent = true }: Extent,
  ): Promise<Facts> {
    const node = await freshNode(name);
    if (node === undefined)
      throw new Refusal('node_missing', `there is no node "${name}"`, { field: 'node', value: name });
    const [nma, agent, doNotDisruptPods, budgets] = await Promise.all([
      nmaFacts(node, log),
      asksAgent ? agentFacts(name, signal) : unaskedAgent(name),
      pods ? readDoNotDisruptPods(name) : notAsked,
      pools ? poolBudgets(node) : notAsked,
    ]);
    return {
      at: isoFromMillis(clock.now()),
      node: nodeFacts(node),
      nma,
      agent,
      repair: { ...repairFacts(node), doNotDisruptPods, budgets },
      view: view.states(),
      ...(drill === undefined ? {} : { drill }),
    };
  }

  /**
   * From the view, unless that would make a verdict rest on what it cannot see: its watch of nodes is broken, it knows no
   * such node, or NMA's heartbeats look old, which is also how a node looks whose watch went silent.
   */
  async function freshNode(name: string): Promise<KubeObject | undefined> {
    const known = view.node(name);
    if (known !== undefined && view.isCurrent('nodes') && !hasOldHeartbeat(known, clock.now())) return known;
    const found = await cluster.read('nodes', { name });
    return found === undefined ? undefined : projectNode(found);
  }

  async function nmaFacts(node: KubeObject, isLogRead: boolean): Promise<NmaFacts> {
    const { name } = node.metadata;
    const [daemonSet] = view.all('nmaDaemonSets');
    const found = view.podsOf('nmaPods', name)[0];
    const [dcgmDaemonSet] = view.all('dcgmServerDaemonSets');
    const dcgmPod = view.podsOf('dcgmServerPods', name)[0];
    const pod = found === undefined ? undefined : podFacts(found);
    const namespace = pod?.namespace ?? daemonSet?.metadata.namespace;
    const image = pod?.image ?? (daemonSet === undefined ? undefined : imageOf(daemonSet));
    const [account, configuration, log] = await Promise.all([
      readServiceAccount(namespace, pod?.serviceAccount ?? serviceAccountOf(daemonSet)),
      readDisabledPlugins(namespace),
      isLogRead ? readLog(pod) : { unread: 'it was not asked for' },
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
        ...unreadAs('pods', view.unread('nmaPods')),
        ...unreadAs('daemonSets', view.unread('nmaDaemonSets')),
        ...unreadAs('dcgmServer', view.unread('dcgmServerPods') ?? view.unread('dcgmServerDaemonSets')),
      },
      dcgmServer: {
        daemonSet: dcgmDaemonSet !== undefined,
        ...(dcgmDaemonSet === undefined ? {} : { tolerations: tolerationsOf(dcgmDaemonSet) }),
        pod: dcgmPod === undefined ? undefined : podFacts(dcgmPod),
      },
    };
  }

  async function readServiceAccount(namespace: string | undefined, name: string | undefined) {
    if (namespace === undefined || name === undefined) return undefined;
    return shared(`serviceaccounts ${namespace}/${name}`, async () => {
      const found = await unlessKept(namespace, cluster.read('serviceaccounts', { namespace, name }));
      if (found === undefined || isUnread(found)) return found;
      return { namespace, name, annotations: found.metadata.annotations ?? {} };
    });
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
  async function readDisabledPlugins(namespace: string | undefined): Promise<readonly string[] | Unread> {
    if (namespace === undefined) return [];
    const name = 'eks-node-monitoring-agent-monitor-config';
    return shared(`configmaps ${namespace}/${name}`, async () => {
      const found = await unlessKept(namespace, cluster.read('configmaps', { namespace, name }));
      if (isUnread(found)) return found;
      const yaml = found === undefined ? undefined : text(found, 'data', 'config.yaml');
      return yaml === undefined ? [] : disabledIn(yaml);
    });
  }

  async function agentFacts(node: string, signal: AbortSignal | undefined): Promise<AgentFacts> {
    const url = await unlessRefused(agents.find(node));
    if (url === undefined) return { url, inventory: { unread: 'no agent is known for this node' } };
    if (typeof url !== 'string') return { url: undefined, inventory: url, directory: url };
    try {
      return { url, inventory: await agents.inventory(node, signal) };
    } catch (thrown) {
      signal?.throwIfAborted();
      return { url, inventory: unreadBecause(thrown) };
    }
  }

  async function unaskedAgent(node: string): Promise<AgentFacts> {
    const url = await unlessRefused(agents.find(node));
    return {
      url: typeof url === 'string' ? url : undefined,
      inventory: { unread: 'it was not asked for again: NMA had reacted' },
    };
  }

  /** Only a Karpenter that disrupts by budgets is asked about; one read serves all nodes of the pool. */
  async function poolBudgets(node: KubeObject): Promise<readonly PoolBudget[] | Unread> {
    const pool = node.metadata.labels?.['karpenter.sh/nodepool'];
    const { karpenter } = repairFacts(node);
    const engine = karpenter === undefined ? undefined : findKarpenterVersion(karpenter.image).row?.engine;
    if (pool === undefined || engine !== 'voluntary') return notAsked;
    return shared(`nodepools ${pool}`, () => readPoolBudgets(cluster, pool));
  }

  function repairFacts(node: KubeObject): Omit<RepairFacts, 'doNotDisruptPods' | 'budgets'> {
    const [deployment] = view.all('karpenterDeployments');
    return {
      peers: view.peersOf(node),
      karpenter: deployment === undefined ? undefined : karpenterFacts(deployment),
      ...unreadAs('karpenterUnread', view.unread('karpenterDeployments')),
    };
  }

  async function readDoNotDisruptPods(node: string): Promise<readonly string[] | Unread> {
    const query = { fieldSelector: `spec.nodeName=${node}`, project: projectBare };
    const pods = await unlessRefused(cluster.list('pods', query));
    if (isUnread(pods)) return pods;
    return pods.items
      .filter(({ metadata }) => metadata.annotations?.['karpenter.sh/do-not-disrupt'] === 'true')
      .map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`);
  }

  return {
    facts: (name, drill, signal) => {
      const hasReacted = drill?.timeline.some(({ match }) => match) === true;
      // Before its order the agent was asked; what it has now does not change what NMA showed.
      const asksAgent = !hasReacted || drill.expectation.kind === 'none';
      return collect(name, {
        drill,
        signal,
        log: !hasReacted,
        pods: drill === undefined,
        pools: true,
        asksAgent,
      });
    },
    basics: (name, signal) => collect(name, { signal, log: false, pods: false, pools: false }),
    async nmaVersions() {
      const versions = view
        .all('nmaPods')
        .map((pod) => [text(pod, 'spec', 'nodeName') ?? '', podImage(pod)] as const);
      const installed = view.all('nmaDaemonSets').map((daemonSet) => ['', imageOf(daemonSet)] as const);
      // Thousands of pods have a handful of images.
      const found = new Map<string, FoundNmaVersion>();
      const versionOf = (image: string) => {
        const known = found.get(image) ?? findNmaVersion(image);
        found.set(image, known);
        return known;
      };
      return new Map([...versions, ...installed].map(([node, image]) => [node, versionOf(image)]));
    },
  };
}

/** The newest heartbeat of NMA's conditions, where it has one, is older than any that is still written. */
function hasOldHeartbeat(node: KubeObject, now: number): boolean {
  const times = conditionsOf(node)
    .filter(({ type }) => monitors.some(({ conditionType }) => conditionType === type))
    .map(({ lastHeartbeatTime }) => Date.parse(lastHeartbeatTime ?? ''))
    .filter((time) => !Number.isNaN(time));
  return times.length > 0 && now - Math.max(...times) > heartbeatStaleMs;
}

function disabledIn(yaml: string): readonly string[] {
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

/** Names and annotations are all that is asked of the pods of a node. */
function projectBare({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  return { apiVersion, kind, metadata };
}

function unreadAs<K extends string>(key: K, unread: Unread | undefined): { readonly [key in K]?: Unread } {
  return (unread === undefined ? {} : { [key]: unread }) as { readonly [key in K]?: Unread };
}

/** Rights on the monitoring agent's namespace are given for one namespace; it may be in another. */
function unlessKept<T>(namespace: string, answer: Promise<T>): Promise<T | Unread> {
  const remedy = `let the coordinator read it: with its chart nma.namespace=${namespace}`;
  return unlessRefused(answer, ({ message }) => ({ unread: `${message}; ${remedy}` }));
}

/** What is refused for want of a right is unread; what may pass is thrown. */
async function unlessRefused<T>(
  answer: Promise<T>,
  asUnread: (refusal: Refusal) => Unread = unreadBecause,
): Promise<T | Unread> {
  try {
    return await answer;
  } catch (thrown) {
    if (thrown instanceof Refusal && thrown.reason === 'cluster_refused') return asUnread(thrown);
    throw thrown;
  }
}

function unreadBecause(thrown: unknown): Unread {
  const remedy = thrown instanceof Refusal ? thrown.details.remedy : undefined;
  return { unread: messageFromUnknown(thrown), ...(remedy === undefined ? {} : { remedy }) };
}
