import { renderDuration } from '../../../shared/duration.ts';
import { karpenterVersions } from '../../catalogue/repair/karpenter.ts';
import { ownersOf, ownerText } from '../../catalogue/repair/owners.ts';
import { forecastRepair } from '../../repair/forecast.ts';
import type { BlockCode, RepairForecast } from '../../repair/schema.ts';
import { advice, run } from '../../store/advice.ts';
import type { Facts } from '../../view/facts.ts';
import { reactionEntry } from '../drill.ts';
import { ageSeconds, seen } from '../evidence.ts';
import { seenEntry } from '../reactions.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

type BlockRule = {
  readonly code: BlockCode;
  readonly title: string;
  /** What it says where the controller is one of these and nothing of the kind is in its way. */
  readonly fine: string;
  readonly controllers?: readonly RepairForecast['controller'][];
  readonly remedy: (facts: Facts, blocked: RepairForecast) => string;
  /** The commands of the remedy, to copy; absent: none. */
  readonly commands?: (facts: Facts) => readonly string[];
};

/** What keeps the controllers from repairing, one rule per code of the forecast. */
function repairRule({ code, title, ...rest }: BlockRule): Rule {
  return {
    code,
    title,
    link: 'taint',
    verdict: 'fail',
    judge: (facts) => judgeBlock(facts, { code, title, ...rest }),
  };
}

const karpenterName = (facts: Facts) => facts.repair.karpenter?.deployment ?? 'Karpenter';

function describeKarpenter(facts: Facts): string {
  const [namespace = 'kube-system', name = 'karpenter'] = karpenterName(facts).split('/');
  return `kubectl -n ${namespace} describe deployment ${name}`;
}

/** Node repair came with 1.1 (karpenter.md §1). */
export const karpenterTooOld = repairRule({
  code: 'karpenter-too-old',
  title: 'This Karpenter has no node repair',
  fine: 'this version of Karpenter has node repair',
  controllers: ['Karpenter'],
  remedy: (facts) =>
    `Upgrade ${karpenterName(facts)} to ${karpenterVersions.find(({ engine }) => engine !== 'none')?.from} or later, and switch its feature gate NodeRepair on.`,
});

/** Of a Karpenter that Helm installed; its chart is where AWS publishes it. */
function gateCommand(facts: Facts): string {
  const [namespace = 'kube-system', name = 'karpenter'] = karpenterName(facts).split('/');
  return `helm upgrade ${name} oci://public.ecr.aws/karpenter/karpenter -n ${namespace} --version VERSION --reuse-values --set settings.featureGates.nodeRepair=true`;
}

/** Feature gate NodeRepair (karpenter.md); off by default. */
export const karpenterGateOff = repairRule({
  code: 'karpenter-gate-off',
  title: 'Karpenter’s NodeRepair gate is off',
  fine: 'the NodeRepair gate is on',
  controllers: ['Karpenter'],
  commands: (facts) => [gateCommand(facts)],
  remedy: (facts) =>
    `Switch it on: Helm value settings.featureGates.nodeRepair=true of ${karpenterName(facts)} ` +
    '(--feature-gates NodeRepair=true). A condition that is False already then counts from its transition: the node may be deleted at once.',
});

/** By the ready replicas of its Deployment. */
export const karpenterNotRunning = repairRule({
  code: 'karpenter-not-running',
  title: 'Karpenter is not running',
  fine: 'Karpenter is running',
  controllers: ['Karpenter'],
  commands: (facts) => [describeKarpenter(facts)],
  remedy: (facts) => {
    return `See why: ${describeKarpenter(facts)}. Its waits go on meanwhile: a repair that is due then comes at its start.`;
  },
});

/** From 1.15 on, karpenter.sh/do-not-repair on the Node (karpenter.md §3). */
export const repairVetoed = repairRule({
  code: 'repair-vetoed',
  title: 'The node is kept from being repaired',
  fine: 'nothing on the node forbids its repair',
  controllers: ['Karpenter'],
  commands: ({ node }) =>
    node.annotations['karpenter.sh/do-not-repair'] === undefined
      ? []
      : [`kubectl annotate node ${node.name} karpenter.sh/do-not-repair-`],
  remedy: ({ node }) =>
    node.annotations['karpenter.sh/do-not-repair'] === undefined
      ? 'Replace the node by hand, or run it from a NodePool.'
      : `Remove the annotation when the node may be repaired: kubectl annotate node ${node.name} karpenter.sh/do-not-repair-. A repair that is due then begins within 10 s.`,
});

/** From 1.15 on, budgets of the NodePool with reason Unhealthy or without reasons (karpenter.md §3). */
export const repairBudget = repairRule({
  code: 'repair-budget',
  title: 'The budgets of the NodePool allow no repair',
  fine: 'no budget of the node pool forbids its repair',
  controllers: ['Karpenter'],
  commands: ({ node }) => [`kubectl edit nodepool ${node.labels['karpenter.sh/nodepool'] ?? 'POOL'}`],
  remedy: ({ node }) =>
    `Give repairs a budget of their own: an entry {nodes: "1", reasons: [Unhealthy]}, and none for all reasons that allows 0: kubectl edit nodepool ${node.labels['karpenter.sh/nodepool'] ?? 'POOL'}. A repair that is due then begins within 10 s.`,
});

/** What AWS documents per reason (catalogue/repair/eks.ts), and conditions that no policy looks at. */
export const repairNoAction = repairRule({
  code: 'repair-no-action',
  title: 'The controller takes no action for this reason',
  fine: 'the controller has an action for this condition',
  remedy: () =>
    'Drill a reason that leads to an action (Xid 79: replace), or set it in nodeRepairConfigOverrides of the node group.',
});

const unhealthyNodes =
  'kubectl get nodes -o custom-columns=N:.metadata.name,C:.status.conditions[*].type,S:.status.conditions[*].status';

/** The share or number of unhealthy nodes above which a controller waits. */
export const repairThreshold = repairRule({
  code: 'repair-threshold',
  title: 'Too many nodes are unhealthy for a repair',
  fine: 'few enough nodes are unhealthy',
  commands: () => [unhealthyNodes],
  remedy: () =>
    `Clear or replace the other unhealthy nodes first: ${unhealthyNodes}. ` +
    'Karpenter rounds 20 % up and has no setting for it; EKS has maxUnhealthyNodeThresholdPercentage.',
});

function judgeBlock(facts: Facts, { code, fine, controllers, remedy, commands }: BlockRule): Judgement {
  const forecasts = forecastRepair(facts);
  const blocked = forecasts.find(({ blockedBy }) => blockedBy.some((block) => block.code === code));
  if (blocked === undefined) {
    const asked = forecasts.filter(
      ({ controller }) => controller !== 'SageMaker HyperPod' && controllers?.includes(controller) !== false,
    );
    // Where the controller itself was not found, nothing of it is known.
    const isFound = controllers === undefined || facts.repair.karpenter !== undefined;
    return asked.length === 0 || !isFound ? irrelevant : refuted(fine);
  }
  // That an event leads to no repair is what was asked for, not a broken link.
  if (
    code === 'repair-no-action' &&
    facts.drill !== undefined &&
    facts.drill.expectation.kind !== 'condition'
  )
    return irrelevant;
  const acting = forecasts.find(({ willAct }) => willAct === 'yes');
  if (acting !== undefined) return refuted(`${acting.controller} repairs the node`);
  const because = blocked.blockedBy.find((block) => block.code === code)?.because ?? '';
  return proven({
    summary: `${blocked.controller} will not repair the node: ${because}.`,
    evidence: evidenceOf(facts, blocked),
    remedy: remedy(facts, blocked),
    ...(commands === undefined ? {} : { commands: commands(facts) }),
  });
}

/** A managed node group's setting is in the EKS API only; and a node may have no controller at all. */
export const repairNotEnabled: Rule = {
  code: 'repair-not-enabled',
  title: 'Nobody is switched on to repair the node',
  link: 'taint',
  verdict: 'fail',
  judge(facts) {
    const forecasts = forecastRepair(facts);
    const acting = forecasts.find(({ willAct }) => willAct === 'yes');
    if (acting !== undefined) return refuted(`${acting.controller} is on`);
    const [first] = forecasts;
    if (first === undefined) return nobody(facts);
    const off = forecasts.find(({ blockedBy }) =>
      blockedBy.some(({ code }) => code === 'repair-not-enabled'),
    );
    const group = forecasts.find(({ controller }) => controller === 'EKS managed node group auto repair');
    if (off !== undefined) return proven({ ...notEnabled(facts, off), summary: offText(off) });
    if (group !== undefined && facts.repair.settings?.nodeGroup === undefined)
      return likely(notEnabled(facts, group));
    if (first.controller === 'SageMaker HyperPod') return unknown(unreadText(first));
    // Its own rules say what keeps a Karpenter back that was found.
    if (first.controller !== 'Karpenter' || facts.repair.karpenter !== undefined) return irrelevant;
    const { karpenterUnread } = facts.repair;
    if (karpenterUnread !== undefined) return unknown(karpenterUnread.unread);
    return likely({
      summary: `The node belongs to ${ownersText(facts)}, but no Karpenter was found in the cluster.`,
      evidence: evidenceOf(facts, first),
      remedy: `See where it runs and whether its NodeRepair gate is on: ${findKarpenter}.`,
      commands: [findKarpenter],
    });
  },
};

const findKarpenter = 'kubectl get deployments -A | grep -i karpenter';

function nobody(facts: Facts): Judgement {
  const source = `nodes/${facts.node.name} metadata.labels`;
  const owners = ownersText(facts);
  const why =
    owners === ''
      ? 'it belongs to no managed node group, no node pool of Karpenter, and neither to EKS Auto Mode nor to HyperPod'
      : `it belongs to ${owners}, which has no repair of its own`;
  return proven({
    summary: `Nothing repairs this node: ${why}.`,
    evidence: [seen(facts, source, Object.keys(facts.node.labels).join(', ') || 'none')],
    remedy:
      'Replace the node by hand, or run GPU nodes in a managed node group with --node-repair-config enabled=true.',
  });
}

function notEnabled(facts: Facts, group: RepairForecast) {
  const name = facts.node.labels['eks.amazonaws.com/nodegroup'] ?? 'NODEGROUP';
  const { trigger } = group;
  const wait =
    trigger === null
      ? 'it acts by the reason of the condition'
      : `it waits ${renderDuration(trigger.waitSeconds)} for ${trigger.type}=${trigger.status} and acts by its reason`;
  const [look] = group.unread;
  const show = look === undefined ? '' : `${look.command}; to switch it on: `;
  const enable = `aws eks update-nodegroup-config --cluster-name CLUSTER --nodegroup-name ${name} --node-repair-config enabled=true`;
  return {
    summary:
      `Auto repair of managed node group ${name} is off unless somebody switched it on, and the API server does not show it. ` +
      `If it is on, ${wait}.`,
    evidence: evidenceOf(facts, group),
    remedy: `${show}${enable}.`,
    commands: [...(look === undefined ? [] : [look.command]), enable],
  };
}

function offText({ controller, blockedBy }: RepairForecast): string {
  const because = blockedBy.find(({ code }) => code === 'repair-not-enabled')?.because ?? '';
  return `${controller} will not repair the node: ${because}.`;
}

function unreadText({ controller, unread }: RepairForecast): string {
  const looks = unread.map(({ what, command }) => `${what}: ${command}`);
  return `${controller} is responsible; the cluster does not show ${looks.join('; ')}`;
}

function ownersText({ node }: Facts): string {
  return ownersOf(node.labels).map(ownerText).join(' and ');
}

/** 10 min or 30 min by condition and reason: most drills end before. */
export const repairNotDue: Rule = {
  code: 'repair-not-due',
  title: 'The repair is not due yet',
  link: 'taint',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill } = facts;
    if (drill?.waitedUntil === undefined || reactionEntry(facts)?.kind !== 'condition') return irrelevant;
    const acting = forecastRepair(facts).find(isWaiting);
    if (acting === undefined) return irrelevant;
    const { afterSeconds, trigger, dueAt, controller, willAct, action } = acting;
    if (afterSeconds === null || afterSeconds === 0) return refuted(`${controller}’s wait is over`);
    const since = ageSeconds(facts.at, trigger?.since);
    const age = since === undefined ? 'new' : `${renderDuration(since)} old`;
    const acts = willAct === 'yes' ? `will ${action} the node in` : 'repairs the node at the earliest in';
    const at = dueAt === null ? '' : ` (${dueAt})`;
    return proven({
      summary: `${controller} ${acts} ${renderDuration(afterSeconds)}${at}: it waits on purpose, and ${trigger?.type ?? 'the condition'} is ${age}.`,
      evidence: acting.evidence,
      ...advice`Wait ${renderDuration(afterSeconds + 60)} more: ${run(`kubectl get node ${facts.node.name} -w`)}.`,
    });
  },
};

/** It acts, or nothing is known to stand against it. Whether a group's repair is on at all is a cause of its own. */
function isWaiting({ willAct, controller }: RepairForecast): boolean {
  return willAct === 'yes' || (willAct === 'unknown' && controller === 'Karpenter');
}

function evidenceOf(facts: Facts, forecast: RepairForecast) {
  const entry = reactionEntry(facts);
  return [...(entry === undefined ? [] : [seenEntry(entry)]), ...forecast.evidence];
}
