import { type Advice, advice, explained, run } from '../store/advice.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Restore, RestoreCode, RestoreStep } from '../store/restore.ts';

/** What one cause of a failed restore means, and what to do about it. */
type Cause = {
  readonly summary: (because: string, node: string) => string;
  readonly advice: (about: {
    readonly step: RestoreStep;
    readonly restore: Restore;
    readonly node: string;
  }) => Advice;
};

/** For the remedies by hand: nma.md §3 has the order. */
const inOrder = (node: string) =>
  advice`by hand, in this order: delete the pod of dcgm-server on ${node}, wait until its new pod is Ready and a minute more, delete the pod of NMA on ${node} (${run(`kubectl get pods -A --field-selector spec.nodeName=${node}`)})`;

const again = 'then POST …/restore again';

const stepNames: Readonly<Record<RestoreStep['step'], string>> = {
  stop: 'what the drill sustains',
  engine: 'the restart of the host engine',
  reconnect: 'the connection of NMA to the host engine',
  monitor: 'the restart of NMA',
  condition: 'the condition after the restart of NMA',
  stable: 'the condition up to the next health check',
};

const causes: Readonly<Record<RestoreCode, Cause>> = {
  'restore-not-allowed': {
    summary: (because) => `the coordinator may not delete the pod: ${because}`,
    advice: ({ step, node }) =>
      advice`Install the chart with restore.enabled=true, or ${step.pod === undefined ? inOrder(node) : run(`kubectl -n ${step.pod.namespace} delete pod ${step.pod.name}`)}, ${again}.`,
  },
  'restore-kill-switch': {
    summary: (because) => `no pod is restarted while the kill switch is engaged: ${because}`,
    advice: () => advice`Release the kill switch, ${again}.`,
  },
  'restore-cut-short': {
    summary: (because) => `it was ended before its end: ${because}`,
    advice: ({ node }) => advice`POST …/restore to go on, or ${inOrder(node)}.`,
  },
  'restore-node-busy': {
    summary: (because) => `another experiment works on the node: ${because}`,
    advice: () => advice`Wait until it has ended, ${again}.`,
  },
  'restore-foreign-fault': {
    summary: (because) =>
      `the node has a fault that is not of the drill, and a restart of NMA would hide it: ${because}`,
    advice: ({ node }) =>
      advice`Look at that fault first (${run(`kubectl describe node ${node}`)}). To clear it all the same, ${inOrder(node)}.`,
  },
  'restore-host-process': {
    summary: (because) => `what has to be restarted is no pod: ${because}`,
    advice: ({ node }) =>
      advice`On EKS Auto Mode NMA and the host engine are processes of the host, and nothing in the cluster can restart them: delete the NodeClaim of ${node}, or reboot its instance (aws ec2 reboot-instances). On other nodes restart both on the host, the host engine first (systemctl restart nvidia-dcgm), ${again}.`,
  },
  'restore-pod-unknown': {
    summary: (because) => `the pod to restart is not known for sure: ${because}`,
    advice: ({ node }) => advice`Restart it yourself: ${inOrder(node)}.`,
  },
  'restore-pod-not-back': {
    summary: (because) => `no new pod became Ready in time: ${because}`,
    advice: ({ step, node }) =>
      advice`See why: ${run(`kubectl -n ${step.pod?.namespace ?? 'kube-system'} get events --field-selector involvedObject.kind=Pod`)}; ${run(`kubectl get pods -A --field-selector spec.nodeName=${node}`)}; ${again}.`,
  },
  'restore-agent-unreachable': {
    summary: (because) => `the agent of the node does not say whether NMA is connected: ${because}`,
    advice: ({ node }) => advice`Bring the agent of ${node} back, ${again}.`,
  },
  'restore-no-listener': {
    summary: (because) => `NMA did not connect to the new host engine: ${because}`,
    advice: ({ node }) =>
      advice`See NMA’s log for "failed to reconcile DCGM state". A client that is half initialised is cured by its restart: delete the pod of NMA on ${node}, ${again}.`,
  },
  'restore-condition-false': {
    summary: (because) => `NMA started again, and the condition is not True since: ${because}`,
    advice: ({ node }) =>
      advice`See NMA’s log for "failed to report managed conditions" (its credentials), and whether the fault is real: ${run(`kubectl describe node ${node}`)}; ${again}.`,
  },
  'restore-condition-returned': {
    summary: (because) => `the condition was True and turned again: ${because}`,
    advice: ({ node, restore }) =>
      restore.steps.some(({ step }) => step === 'engine')
        ? advice`Something on ${node} still makes it: a real fault of the GPU, or another host engine that NMA is connected to. Look at the reason, ${again}.`
        : advice`The fault is there, or came back: ${run(`kubectl describe node ${node}`)}.`,
  },
  'restore-not-in-time': {
    summary: (because) => `the repair that the drill forbids comes first: ${because}`,
    advice: ({ node }) =>
      advice`Stop the repair now: ${run(`kubectl annotate node ${node} karpenter.sh/do-not-repair=true`)} (Karpenter 1.15 and later), gate NodeRepair off (before), or auto repair of the node group off; ${again}.`,
  },
  'restore-repair-first': {
    summary: (because) => `a repair controller took the node first: ${because}`,
    advice: ({ node }) =>
      advice`Nothing to restore on a node that goes. To keep it next time restore sooner, or forbid the repair: karpenter.sh/do-not-repair=true on ${node} (Karpenter 1.15 and later), or auto repair off.`,
  },
};

/** Why a restore failed, at which step, and what to do. */
export function explainRestore(
  code: RestoreCode,
  about: {
    readonly step: RestoreStep;
    readonly restore: Restore;
    readonly node: string;
    readonly because: string;
  },
): Explanation {
  const { step, restore, node, because } = about;
  const cause = causes[code];
  const at = step.at ?? restore.startedAt;
  return {
    code,
    link: 'restore',
    summary: `Node ${node} was not restored: ${cause.summary(because, node)}.`,
    evidence: [
      ...restore.steps.filter(({ state }) => state === 'done').flatMap(({ evidence }) => evidence),
      ...step.evidence,
      { source: `restore of ${node}, step ${step.step} (${stepNames[step.step]})`, observed: because, at },
    ],
    ...explained(cause.advice(about)),
    refuted: [],
    alsoFound: [],
  };
}
