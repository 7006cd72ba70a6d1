import type { GivenPolicy } from '../../../coordinator/catalogue/repair/given-policies.ts';
import type { JsonObject } from '../../../coordinator/cluster/port.ts';
import type { BlockCode } from '../../../coordinator/repair/schema.ts';
import type { KarpenterVersion } from '../../cluster/karpenter/build.ts';

/** The scenarios of karpenter.md §8, each in a pool of its own, and what each version does there. */

/** A pool of nodes that Karpenter makes for the pods of one Deployment, one each. */
export type PoolRow = {
  readonly name: string;
  readonly nodes: number;
  /** Of the NodePool; absent: Karpenter's default. */
  readonly budgets?: readonly JsonObject[];
  readonly podAnnotations?: Readonly<Record<string, string>>;
  /** Of its PodDisruptionBudget; absent: it has none. */
  readonly minAvailable?: number;
};

/** Seconds from the condition to the repair; time enough for NMA to start again and write True. */
export const waitSeconds = 25;

/** What is injected turns the condition False with a reason that the first row names. */
export const fault = { name: 'xid', parameters: { xid: 109, surfaces: ['dcgm'] } };

/** 1.15 wants one row without reason in the whole set (karpenter.md §1); up to 1.14 the reason does not matter. */
export const policies: readonly GivenPolicy[] = [
  {
    type: 'AcceleratedHardwareReady',
    status: 'False',
    reason: '.*XID(109|79).*',
    waitSeconds,
    action: 'replace',
    drainSeconds: 10,
  },
  { type: 'AcceleratedHardwareReady', status: 'False', waitSeconds: 40, action: 'replace', drainSeconds: 20 },
  { type: 'Ready', status: 'Unknown', reason: '.*', waitSeconds: 600, action: 'replace', drainSeconds: 20 },
];

/** How it ends where the drill waits for taint, termination and, unless the node is idle, replacement. */
export type Outcome = 'replaced' | 'removed' | { readonly blockedBy: BlockCode };

export type Scenario = {
  /** The letter of karpenter.md, and the name of the pool. */
  readonly pool: PoolRow;
  readonly title: string;
  /** How many nodes of the pool are drilled at once. */
  readonly targets: number;
  /** Annotations that are put on the drilled Node before the drill. */
  readonly nodeAnnotations?: Readonly<Record<string, string>>;
  /** The Deployment has no pods any more when the drill begins. */
  readonly isIdle?: true;
  /** The kubelet of the drilled node is silent: Ready is Unknown, and no pod there ends. */
  readonly isSilent?: true;
  readonly ends: Readonly<Record<KarpenterVersion, Outcome>>;
  /** How its pod leaves, as the drain link shows it; absent: not looked at. */
  readonly pods?: Readonly<Record<KarpenterVersion, RegExp>>;
};

const replaced = { '1.14.3': 'replaced', '1.15.0': 'replaced' } as const;

/**
 * No eviction is let through, so Karpenter deletes the pod when its time is over. An eviction of a pod that is being deleted already does
 * not ask the budget, and marks it as evicted all the same (canIgnorePDB in kube-apiserver's pkg/registry/core/pod/storage/eviction.go).
 */
const deletedInTheEnd = /work\/c-\S+ (deleted|evicted|removed at once)/;

/** With the gate on, all at the same time: a pool's nodes are judged by themselves. */
export const scenarios: readonly Scenario[] = [
  {
    pool: { name: 'a', nodes: 3 },
    title: 'one of three with pods',
    targets: 1,
    ends: replaced,
    pods: {
      '1.14.3': /1 pod left the node: work\/a-\S+ (evicted|deleted|removed at once)/,
      '1.15.0': /work\/a-\S+ evicted/,
    },
  },
  {
    pool: { name: 'b', nodes: 5 },
    title: 'two of five at once',
    targets: 2,
    ends: {
      '1.14.3': { blockedBy: 'repair-threshold' },
      '1.15.0': { blockedBy: 'repair-threshold' },
    },
  },
  {
    pool: { name: 'c', nodes: 1, minAvailable: 1 },
    title: 'a PodDisruptionBudget that allows nothing',
    targets: 1,
    ends: replaced,
    pods: { '1.14.3': deletedInTheEnd, '1.15.0': deletedInTheEnd },
  },
  {
    pool: { name: 'd', nodes: 1, podAnnotations: { 'karpenter.sh/do-not-disrupt': 'true' } },
    title: 'a pod that must not be disrupted',
    targets: 1,
    ends: replaced,
  },
  {
    pool: { name: 'e', nodes: 1 },
    title: 'a node that must not be repaired',
    targets: 1,
    nodeAnnotations: { 'karpenter.sh/do-not-repair': 'true' },
    ends: { '1.14.3': 'replaced', '1.15.0': { blockedBy: 'repair-vetoed' } },
  },
  {
    pool: { name: 'f', nodes: 1, budgets: [{ nodes: '0' }] },
    title: 'a budget of 0',
    targets: 1,
    ends: { '1.14.3': 'replaced', '1.15.0': { blockedBy: 'repair-budget' } },
  },
  {
    pool: { name: 'g', nodes: 1 },
    title: 'an idle node',
    targets: 1,
    isIdle: true,
    pods: { '1.14.3': /no pod on the node/, '1.15.0': /no pod on the node/ },
    ends: { '1.14.3': 'removed', '1.15.0': 'removed' },
  },
  {
    pool: { name: 'k', nodes: 1 },
    title: 'Ready=Unknown besides',
    targets: 1,
    isSilent: true,
    ends: replaced,
  },
];

/** With the gate off, and what the gate then finds. */
export const others = { off: 'h', recovered: 'i', already: 'j' } as const;
