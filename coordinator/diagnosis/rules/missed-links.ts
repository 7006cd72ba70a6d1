import { type Advice, advice, run } from '../../store/advice.ts';
import type { LinkCause, NodeOwner } from '../../store/experiment.ts';
import type { Facts } from '../../view/facts.ts';
import { ownerOf } from '../../view/node.ts';
import { seen } from '../evidence.ts';
import { irrelevant, proven, type Rule, refuted } from '../rule.ts';

/** What the objects that a link looks at showed when its time was over; the link found it, and says so by its code. */
export type MissedLinkRow = {
  readonly link: 'taint' | 'drain' | 'reboot' | 'termination' | 'replacement';
  readonly title: string;
  readonly verdict: Rule['verdict'];
  /** What to do where Karpenter owns the node, and where nothing depends on the owner; `node` and `pool` are names. */
  readonly advice: (node: string, pool: string) => Advice;
  /** What to do on a node of that managed node group, where that is something else. */
  readonly ofGroup?: (node: string, group: string) => Advice;
};

/** What becomes of the instances of a managed node group is in the EKS API and in its Auto Scaling group only. */
export const groupHealth = (group: string) =>
  `aws eks describe-nodegroup --cluster-name CLUSTER --nodegroup-name ${group} --query nodegroup.health`;

const claims = (pool: string) => `kubectl get nodeclaims -l karpenter.sh/nodepool=${pool} -o wide`;
const logs = 'kubectl -n kube-system logs -l app.kubernetes.io/name=karpenter';

/** One row a cause: a new one is a code in the store and a row here. */
export const missedLinks: Readonly<Record<LinkCause, MissedLinkRow>> = {
  'condition-recovered': {
    link: 'taint',
    title: 'The condition was True again before the repair was due',
    verdict: 'fail',
    advice: (node) =>
      advice`See what restarted NMA or its engine: ${run(`kubectl get pods -A --field-selector spec.nodeName=${node}`)}. A repair needs the condition False for the whole wait.`,
  },
  'rebooted-instead': {
    link: 'taint',
    title: 'Karpenter reboots the node and does not replace it',
    verdict: 'fail',
    advice: () =>
      advice`Drill a reason that leads to a replacement (Xid 79), or switch the gate RebootForRepair of the AWS provider off.`,
  },
  'removed-by-other': {
    link: 'taint',
    title: 'The node went away and nothing shows that Karpenter repaired it',
    verdict: 'inconclusive',
    advice: (node) =>
      advice`See who removed it: ${run(`kubectl get events -A --field-selector involvedObject.name=${node}`)}, and ${run(`${logs} | grep ${node}`)}.`,
    ofGroup: (node, group) =>
      advice`See who removed it: ${run(`kubectl get events -A --field-selector involvedObject.name=${node}`)}, and whether the group did: ${run(groupHealth(group))}.`,
  },
  'pods-held': {
    link: 'drain',
    title: 'Pods are held on the node',
    verdict: 'fail',
    advice: (node) =>
      advice`Give the budget room or remove the annotation: ${run('kubectl get pdb -A')}; ${run(`kubectl get pods -A --field-selector spec.nodeName=${node}`)}. From 1.15 on Karpenter removes them at the bound of its policy.`,
    ofGroup: (node) =>
      advice`Give the budget room or remove the annotation: ${run('kubectl get pdb -A')}; ${run(`kubectl get pods -A --field-selector spec.nodeName=${node}`)}.`,
  },
  'pods-terminating': {
    link: 'drain',
    title: 'Pods do not finish terminating',
    verdict: 'fail',
    advice: (node) =>
      advice`See whether the kubelet answers and what the finalizers are for: ${run(`kubectl describe node ${node}`)}. Karpenter counts a pod as gone 1 min after its grace.`,
    ofGroup: (node) =>
      advice`See whether the kubelet answers and what the finalizers are for: ${run(`kubectl describe node ${node}`)}.`,
  },
  'replaced-instead': {
    link: 'reboot',
    title: 'The node was replaced and not rebooted',
    verdict: 'fail',
    advice: () =>
      advice`Drill this reason with repair: expect, or one that leads to a reboot; preflight shows the action of each controller.`,
  },
  'not-rebooted': {
    link: 'reboot',
    title: 'The node was taken and did not start again',
    verdict: 'fail',
    advice: (node) =>
      advice`See whether its controller may reboot instances (ec2:RebootInstances), and what it reports: ${run(`kubectl get events -A --field-selector involvedObject.name=${node}`)}.`,
  },
  'not-ready-again': {
    link: 'reboot',
    title: 'The node started again and is not Ready',
    verdict: 'fail',
    advice: (node) => advice`See why: ${run(`kubectl describe node ${node}`)}, and its console output.`,
  },
  'repair-undone': {
    link: 'termination',
    title: 'The node was taken and is not deleted',
    verdict: 'fail',
    advice: () =>
      advice`Karpenter restarted, or its replacement did not come up: ${run(`${logs} | grep -E "command reached timeout|failed"`)}. It starts again by itself.`,
    ofGroup: (_node, group) =>
      advice`The group drains a node before it terminates the instance, and may have paused since: ${run(groupHealth(group))}; allow more time with then: [{link: termination, within: 30m}].`,
  },
  'termination-held': {
    link: 'termination',
    title: 'The termination waits for a step or a finalizer',
    verdict: 'fail',
    advice: (node, pool) =>
      advice`See which controller owns what it waits for: ${run(`kubectl get node ${node} -o jsonpath='{.metadata.finalizers}'`)}; ${run(claims(pool))}; ${run('kubectl get volumeattachments')}.`,
    ofGroup: (node, group) =>
      advice`See what it waits for: ${run(`kubectl get node ${node} -o jsonpath='{.metadata.finalizers}'`)}; ${run(groupHealth(group))}.`,
  },
  'instance-not-terminated': {
    link: 'termination',
    title: 'The instance is not terminated yet',
    verdict: 'inconclusive',
    advice: (_node, pool) =>
      advice`It stays until the cloud has terminated the instance: ${run(claims(pool))}; allow more time with then: [{link: termination, within: 30m}].`,
    ofGroup: (_node, group) =>
      advice`It stays until the group has terminated the instance: ${run(groupHealth(group))}; allow more time with then: [{link: termination, within: 30m}].`,
  },
  'no-nodeclaim': {
    link: 'replacement',
    title: 'Karpenter has made no new NodeClaim',
    verdict: 'fail',
    advice: () =>
      advice`A node is replaced only for pods that wait for one: ${run('kubectl get pods -A --field-selector status.phase=Pending')}, and the limits of the NodePool.`,
  },
  'no-capacity': {
    link: 'replacement',
    title: 'No instance was launched for the new NodeClaim',
    verdict: 'fail',
    advice: (_node, pool) =>
      advice`See the reason on its condition Launched: ${run(claims(pool))}; let the NodePool use more instance types or zones.`,
  },
  'not-registered': {
    link: 'replacement',
    title: 'The new instance did not register as a node',
    verdict: 'fail',
    advice: (_node, pool) =>
      advice`See its console output and its bootstrap: ${run(claims(pool))}. Karpenter gives it up after 15 min.`,
  },
  'not-initialized': {
    link: 'replacement',
    title: 'The new node is not initialized',
    verdict: 'fail',
    advice: (_node, pool) =>
      advice`It waits for its resources or start-up taints, such as those of the device plugin: ${run(claims(pool))}.`,
  },
  'new-node-not-ready': {
    link: 'replacement',
    title: 'The new node is not Ready',
    verdict: 'inconclusive',
    advice: (_node, pool) =>
      advice`See why: ${run(`kubectl describe nodes -l karpenter.sh/nodepool=${pool}`)}; allow more time with then: [{link: replacement, within: 30m}].`,
    ofGroup: (_node, group) =>
      advice`See why: ${run(`kubectl describe nodes -l eks.amazonaws.com/nodegroup=${group}`)}; allow more time with then: [{link: replacement, within: 30m}].`,
  },
};

/** The advice of a row for a node of that owner. */
export function adviceFor({ advice, ofGroup }: MissedLinkRow, node: string, owner: NodeOwner): Advice {
  const { nodePool, nodeGroup } = owner;
  return nodePool === undefined && nodeGroup !== undefined && ofGroup !== undefined
    ? ofGroup(node, nodeGroup)
    : advice(node, nodePool ?? 'POOL');
}

/** One rule a row; each speaks only where its own link was missed by its own cause. */
const rules: readonly Rule[] = Object.entries(missedLinks).map(([code, row]) => ({
  code,
  title: row.title,
  link: row.link,
  verdict: row.verdict,
  judge(facts: Facts) {
    const missed = facts.drill?.missed;
    if (missed?.link !== row.link) return irrelevant;
    if (missed.cause !== code) return refuted(missed.because);
    const { node } = facts;
    return proven({
      summary: `${row.title}: ${missed.because}.`,
      evidence: [seen(facts, `link ${missed.link} of node ${node.name}`, missed.because)],
      ...adviceFor(row, node.name, ownerOf({ apiVersion: 'v1', kind: 'Node', metadata: node }) ?? {}),
    });
  },
}));

/** Why the node was not taken, by the node itself. */
export const missedTaintRules: readonly Rule[] = rules.filter(({ link }) => link === 'taint');

/** Of the links behind the taint. */
export const missedLaterRules: readonly Rule[] = rules.filter(({ link }) => link !== 'taint');
