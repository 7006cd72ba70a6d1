import type { Clock } from '../../../shared/clock.ts';
import type { Cluster, KubeObject } from '../../cluster/port.ts';
import { field, list, poolOf } from '../../view/node.ts';
import { secondsFromMillis } from '../nma/events.ts';
import { nextNodeObject } from '../objects.ts';
import { type KarpenterRow, madeFrom, nodeClaimObject, terminationFinalizer } from './objects.ts';
import { isHeld, isSilent } from './rules.ts';
import { createWorkloads } from './workloads.ts';

/** What a replacement is carried out with. */
export type ReplaceDeps = {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly row: KarpenterRow;
  /** Called when a Node is gone: its machine goes with it. */
  readonly onGone: (node: string) => Promise<void>;
  readonly signal: AbortSignal;
};

/** An event of Karpenter on an object without a namespace, which lies in `default`. */
export type Report = (
  on: KubeObject,
  event: { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string },
) => Promise<void>;

const defaultSeconds = { launch: 40, terminate: 20 };
/** A drain takes this long at least, however soon the pods are gone (karpenter.md §4). */
const shortestDrainMs = 5_000;
/** Up to 1.14 pods are deleted with this grace, and then waited for by nobody (karpenter.md §4). */
const forcedGraceMs = 1_000;
/** A pod that does not end counts as gone so long after its grace (karpenter.md §4). */
const stuckMs = 60_000;

/** Replaces a node as 1.14 does (`forced`) or as 1.15 (`voluntary`), in the steps of karpenter.md §4. */
export function createReplace(deps: ReplaceDeps, report: Report) {
  const { cluster, clock, newId, row, signal } = deps;
  const workloads = createWorkloads(deps);
  const { displacedOn, displace, bindWaiting } = workloads;
  const drain = createDrain(deps, workloads);
  const sleep = (seconds: number) => clock.sleep(seconds * 1000, signal);

  async function taint(node: KubeObject): Promise<void> {
    const taints = [...list(node, 'spec', 'taints'), { key: 'karpenter.sh/disrupted', effect: 'NoSchedule' }];
    await cluster.patch('nodes', { name: node.metadata.name }, { spec: { taints } });
  }

  /** A new NodeClaim, and its Node when that is Ready; answers its name. */
  async function launch(old: KubeObject): Promise<string> {
    const pool = poolOf(old) ?? '';
    const id = newId().slice(0, 8);
    const claim = await cluster.create('nodeclaims', nodeClaimObject(`${pool}-${id}`, pool));
    await sleep(row.launchSeconds ?? defaultSeconds.launch);
    const name = `${pool}-node-${id}`;
    await cluster.create('nodes', madeFrom(nextNodeObject(old, name, clock.now()), claim));
    await cluster.patch(
      'nodeclaims',
      { name: claim.metadata.name },
      { status: { nodeName: name } },
      'status',
    );
    return name;
  }

  async function beginDeletion(node: KubeObject, claim: string, deadline: number): Promise<void> {
    const at = secondsFromMillis(deadline);
    const annotations = { 'karpenter.sh/nodeclaim-termination-timestamp': at };
    await cluster.patch('nodeclaims', { name: claim }, { metadata: { annotations } });
    await cluster.remove('nodeclaims', { name: claim });
    await report(node, {
      type: 'Warning',
      reason: 'TerminationGracePeriodExpiring',
      message: `All pods will be deleted by ${at}`,
    });
    await cluster.remove('nodes', { name: node.metadata.name });
  }

  /** The instance is gone: finalizers go, NodeClaim and Node with them, and the node's own pods. */
  async function terminated(node: KubeObject, claim: string): Promise<void> {
    const { name } = node.metadata;
    await sleep(row.terminateSeconds ?? defaultSeconds.terminate);
    await deps.onGone(name);
    const noFinalizers = { metadata: { finalizers: null } };
    await cluster.patch('nodeclaims', { name: claim }, noFinalizers);
    await cluster.patch('nodes', { name }, noFinalizers);
    const left = await cluster.list('pods', { fieldSelector: `spec.nodeName=${name}` });
    for (const { metadata } of left.items)
      await cluster.remove('pods', { name: metadata.name, namespace: metadata.namespace ?? '' });
  }

  return {
    async forced(node: KubeObject): Promise<void> {
      const claim = claimOf(node);
      await taint(node);
      await beginDeletion(node, claim, clock.now());
      const pods = await displacedOn(node);
      await clock.sleep(forcedGraceMs, signal);
      const isEndless = isSilent(node);
      await displace(pods, { isEvicted: false, isEndless });
      const isAwaited = pods.some(({ metadata }) => metadata.ownerReferences !== undefined);
      const launching = isAwaited ? launch(node).then(bindWaiting) : undefined;
      if (isEndless && pods.length > 0) await clock.sleep(stuckMs, signal);
      await clock.sleep(shortestDrainMs - forcedGraceMs, signal);
      await terminated(node, claim);
      await launching;
    },
    async voluntary(node: KubeObject, boundSeconds: number): Promise<void> {
      const claim = claimOf(node);
      await taint(node);
      const since = secondsFromMillis(clock.now());
      const reason = { type: 'DisruptionReason', status: 'True', reason: 'Unhealthy', message: 'Unhealthy' };
      const conditions = [{ ...reason, lastTransitionTime: since }];
      await cluster.patch('nodeclaims', { name: claim }, { status: { conditions } }, 'status');
      const pods = await displacedOn(node);
      // Before anything is evicted.
      const prepared = pods.length > 0 ? await launch(node) : undefined;
      const message = 'Disrupting Node: Unhealthy';
      await report(node, { type: 'Normal', reason: 'DisruptionTerminating', message });
      const deadline = clock.now() + boundSeconds * 1000;
      await beginDeletion(node, claim, deadline);
      await drain(node, pods, { deadline, prepared });
      await clock.sleep(shortestDrainMs, signal);
      await terminated(node, claim);
    },
  };
}

/** Evicts what may be evicted; what is held is deleted so that its grace ends with the bound (karpenter.md §4). */
function createDrain(
  { cluster, clock, signal }: Pick<ReplaceDeps, 'cluster' | 'clock' | 'signal'>,
  { displace, bindWaiting }: Pick<ReturnType<typeof createWorkloads>, 'displace' | 'bindWaiting'>,
) {
  return async (
    node: KubeObject,
    pods: readonly KubeObject[],
    { deadline, prepared }: { readonly deadline: number; readonly prepared: string | undefined },
  ): Promise<void> => {
    const budgets = (await cluster.list('poddisruptionbudgets')).items;
    const isEndless = isSilent(node);
    const bind = async () => {
      if (prepared !== undefined) await bindWaiting(prepared);
    };
    const held = pods.filter((pod) => isHeld(pod, budgets));
    const free = pods.filter((pod) => !held.includes(pod));
    await displace(free, { isEvicted: true, isEndless });
    await bind();
    if (held.length > 0) {
      const longest = Math.max(...held.map(graceMs));
      await clock.sleep(Math.max(0, deadline - longest - clock.now()), signal);
      await displace(held, { isEvicted: false, isEndless });
      await bind();
    }
    if (isEndless && pods.length > 0) await clock.sleep(Math.max(...pods.map(graceMs)) + stuckMs, signal);
  };
}

function graceMs(pod: KubeObject): number {
  const seconds = field(pod, 'spec', 'terminationGracePeriodSeconds');
  return (typeof seconds === 'number' ? seconds : 30) * 1000;
}

function claimOf({ metadata }: KubeObject): string {
  return metadata.ownerReferences?.find(({ kind }) => kind === 'NodeClaim')?.name ?? '';
}

/** Whether Karpenter made the node, and so may take it. */
export function isOwned(node: KubeObject): boolean {
  const finalizers = (node.metadata.finalizers ?? []) as readonly string[];
  return claimOf(node) !== '' && finalizers.includes(terminationFinalizer);
}
