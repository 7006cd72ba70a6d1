import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import { heartbeatStaleMs } from '../../shared/nma-timing.ts';
import type { Agents } from '../agents/port.ts';
import { monitors } from '../catalogue/nma/conditions.ts';
import { type FoundNmaVersion, findNmaVersion } from '../catalogue/nma/versions.ts';
import { findKarpenterVersion } from '../catalogue/repair/karpenter.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import type { NodeGroups } from '../eks/port.ts';
import {
  type AgentFacts,
  type DrillFacts,
  type Facts,
  isUnread,
  type RepairFacts,
  type RepairSettings,
  type Unread,
} from './facts.ts';
import { createNmaFacts } from './nma-facts.ts';
import { conditionsOf, text } from './node.ts';
import { type PoolBudget, readPoolBudgets } from './node-pools.ts';
import {
  imageOf,
  karpenterFacts,
  nodeFacts,
  podImage,
  unlessRefused,
  unreadAs,
  unreadBecause,
} from './object-facts.ts';
import { runningDeployment, servingPod } from './one-of-several.ts';
import { readBudgets, readPodsOnNode, type SeenPod, type SeenPods } from './pods-on-node.ts';
import { projectNode } from './projections.ts';
import { createSharedReads, type SharedReads } from './shared-reads.ts';
import type { View } from './view.ts';

/** What only some of the questions need. */
const notAsked: Unread = { unread: 'they were not asked for' };

/** How long an answer of EKS counts, a refusal as well: it throttles, and such settings are changed by hand. */
const eksForMs = 60_000;
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
  /** What decides on the repair of a node, with its pods and its pool's budgets; no agent and no log is asked. */
  repairBasics(node: string): Promise<Facts>;
  /** What decides on detection and repair, from lists alone: no request per node, so no log, no pods and no agent. */
  standing(node: string): Promise<Facts>;
  /** The monitoring agent's version on each node that has a pod of it, and under '' that of its DaemonSet. */
  nmaVersions(): Promise<ReadonlyMap<string, FoundNmaVersion>>;
};

/** What is read of the cluster, and never written. */
export type ReadCluster = Pick<Cluster, 'read' | 'list' | 'podLog'>;

/** The objects that facts are collected from: the live view, or a snapshot. */
export type KnownObjects = Pick<
  View,
  'all' | 'node' | 'podsOf' | 'peersOf' | 'unread' | 'isCurrent' | 'states'
>;

type Extent = {
  readonly drill?: DrillFacts | undefined;
  /** Default true. */
  readonly asksAgent?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly log: boolean;
  readonly pods: boolean;
  readonly pools: boolean;
};

/** Where that comes from which decides on repairs and is not in the API server. */
export type RepairSources = Pick<RepairSettings, 'karpenterPolicies'> & {
  /** Absent: EKS is not asked. */
  readonly nodeGroups?: NodeGroups;
};

/** Facts from the view; what the view does not hold is read once for all that ask at the same time. */
export function createCollector(options: {
  readonly cluster: ReadCluster;
  readonly view: KnownObjects;
  readonly agents: Pick<Agents, 'find' | 'inventory'>;
  readonly clock: Clock;
  /** What decides on repairs and is not in the API server; absent: nothing is known of it. */
  readonly settings?: RepairSources | undefined;
}): Collector {
  const { cluster, view, agents, clock, settings = {} } = options;
  const groupSettings = createGroupSettings(settings.nodeGroups, createSharedReads(clock, eksForMs));
  const shared = createSharedReads(clock, sharedForMs);
  const nmaFacts = createNmaFacts({ cluster, view, shared });
  const budgets = () => shared('poddisruptionbudgets', () => readBudgets(cluster));

  async function collect(
    name: string,
    { drill, signal, log, pods, pools, asksAgent = true }: Extent,
  ): Promise<Facts> {
    const node = await freshNode(name);
    if (node === undefined)
      throw new Refusal('node_missing', `there is no node "${name}"`, { field: 'node', value: name });
    const [nma, agent, onNode, ofPool, ofGroup] = await Promise.all([
      nmaFacts(node, log),
      asksAgent ? agentFacts(name, signal) : unaskedAgent(agents, name, drill),
      pods ? readPodsOnNode(cluster, name, budgets).then(podsOnNode) : noPods,
      pools ? poolBudgets(node) : notAsked,
      pools ? groupSettings(node) : {},
    ]);
    return {
      at: isoFromMillis(clock.now()),
      node: nodeFacts(node),
      nma,
      agent,
      repair: { ...repairFacts(node), ...onNode, budgets: ofPool, ...settingsOf(settings, ofGroup) },
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

  /** Only a Karpenter that disrupts by budgets is asked about; one read serves all nodes of the pool. */
  async function poolBudgets(node: KubeObject): Promise<readonly PoolBudget[] | Unread> {
    const pool = node.metadata.labels?.['karpenter.sh/nodepool'];
    const { karpenter } = repairFacts(node);
    const engine = karpenter === undefined ? undefined : findKarpenterVersion(karpenter.image).row?.engine;
    if (pool === undefined || engine !== 'voluntary') return notAsked;
    return shared(`nodepools ${pool}`, () => readPoolBudgets(cluster, pool));
  }

  function repairFacts(node: KubeObject): Omit<RepairFacts, keyof PodsOnNode | 'budgets'> {
    const deployment = runningDeployment(view.all('karpenterDeployments'));
    return {
      peers: view.peersOf(node),
      karpenter: deployment === undefined ? undefined : karpenterFacts(deployment),
      ...unreadAs('karpenterUnread', view.unread('karpenterDeployments')),
    };
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
    repairBasics: (name) => collect(name, { log: false, pods: true, pools: true, asksAgent: false }),
    standing: (name) => collect(name, { log: false, pods: false, pools: true, asksAgent: false }),
    basics: (name, signal) => collect(name, { signal, log: false, pods: false, pools: false }),
    async nmaVersions() {
      const byNode = Map.groupBy(view.all('nmaPods'), (pod) => text(pod, 'spec', 'nodeName') ?? '');
      const versions = [...byNode].map(([node, pods]) => {
        const pod = servingPod(pods);
        return [node, pod === undefined ? '' : podImage(pod)] as const;
      });
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

/** Where the agent is, and why its inventory was not read. */
async function unaskedAgent(
  agents: Pick<Agents, 'find'>,
  node: string,
  drill: DrillFacts | undefined,
): Promise<AgentFacts> {
  const url = await unlessRefused(agents.find(node));
  const unread =
    drill === undefined ? 'the agent was not asked' : 'it was not asked for again: NMA had reacted';
  return {
    url: typeof url === 'string' ? url : undefined,
    inventory: { unread },
    ...(typeof url === 'object' ? { directory: url } : {}),
  };
}

type GroupSettings = Pick<RepairSettings, 'nodeGroup' | 'nodeGroupUnread'>;

/** Asks EKS about the managed node group of a node; one answer serves all nodes of the group. */
function createGroupSettings(
  nodeGroups: NodeGroups | undefined,
  shared: SharedReads,
): (node: KubeObject) => Promise<GroupSettings> {
  return async (node) => {
    const group = node.metadata.labels?.['eks.amazonaws.com/nodegroup'];
    if (nodeGroups === undefined || group === undefined) return {};
    const found = await shared(group, () => nodeGroups.repairConfig(group));
    return 'unread' in found ? { nodeGroupUnread: found } : { nodeGroup: found };
  };
}

/** Absent where nothing is known beyond the API server. */
function settingsOf(
  { karpenterPolicies }: RepairSources,
  ofGroup: GroupSettings,
): Pick<RepairFacts, 'settings'> {
  const settings = { ...ofGroup, ...(karpenterPolicies === undefined ? {} : { karpenterPolicies }) };
  return Object.keys(settings).length === 0 ? {} : { settings };
}

/** The newest heartbeat of NMA's conditions, where it has one, is older than any that is still written. */
function hasOldHeartbeat(node: KubeObject, now: number): boolean {
  const times = conditionsOf(node)
    .filter(({ type }) => monitors.some(({ conditionType }) => conditionType === type))
    .map(({ lastHeartbeatTime }) => Date.parse(lastHeartbeatTime ?? ''))
    .filter((time) => !Number.isNaN(time));
  return times.length > 0 && now - Math.max(...times) > heartbeatStaleMs;
}

type PodsOnNode = Pick<RepairFacts, 'doNotDisruptPods' | 'displacedPods' | 'budgetedPods'>;

const noPods: PodsOnNode = { doNotDisruptPods: notAsked, displacedPods: notAsked };

/** Pods of a node that have to run elsewhere when it goes, and what holds them. */
function podsOnNode(pods: SeenPods | Unread): PodsOnNode {
  if (isUnread(pods)) return { doNotDisruptPods: pods, displacedPods: pods };
  const named = (isMeant: (pod: SeenPod) => boolean) =>
    pods.here.filter(isMeant).map(({ namespace, name }) => `${namespace}/${name}`);
  const unread = pods.here.map(({ budgets }) => budgets).find((budgets) => isUnread(budgets));
  return {
    doNotDisruptPods: named(({ doNotDisrupt }) => doNotDisrupt),
    displacedPods: named(() => true),
    budgetedPods: unread ?? named(({ budgets = [] }) => !isUnread(budgets) && budgets.length > 0),
  };
}
