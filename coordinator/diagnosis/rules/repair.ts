import { conditionRows } from '../../catalogue/repair/actions.ts';
import { type BlockCode, forecastRepair, type RepairForecast } from '../../repair/forecast.ts';
import type { Facts } from '../../view/facts.ts';
import { expectedType, reactionEntry } from '../drill.ts';
import { ageSeconds, renderAge, seen, seenCondition } from '../evidence.ts';
import { conditionOf } from '../liveness.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';
import { seenEntry } from './severity.ts';

/** What keeps the controllers from repairing, one rule per code of the forecast. */
function repairRule(code: BlockCode, title: string, remedy: (facts: Facts) => string): Rule {
  return {
    code,
    title,
    link: 'taint',
    verdict: 'fail',
    judge: (facts) => judgeBlock(facts, code, remedy),
  };
}

/** Feature gate NodeRepair (karpenter.md); off by default. */
export const karpenterGateOff = repairRule(
  'karpenter-gate-off',
  'Karpenter’s NodeRepair gate is off',
  (facts) =>
    `Switch it on: Helm value settings.featureGates.nodeRepair=true of ${facts.repair.karpenter?.deployment ?? 'Karpenter'} ` +
    '(--feature-gates NodeRepair=true). A condition that is False already then counts from its transition: the node may be deleted at once.',
);

/** What AWS documents per reason (repair/actions.ts). */
export const repairNoAction = repairRule(
  'repair-no-action',
  'The controller takes no action for this reason',
  () =>
    'Drill a reason that leads to an action (Xid 79: replace), or set it in nodeRepairConfigOverrides of the node group.',
);

/** The share or number of unhealthy nodes above which a controller waits. */
export const repairThreshold = repairRule(
  'repair-threshold',
  'Too many nodes are unhealthy for a repair',
  (facts) =>
    `Clear or replace the other unhealthy nodes first: kubectl get nodes -o custom-columns=N:.metadata.name,C:'.status.conditions[?(@.type=="${expectedType(facts)}")].status'. ` +
    'Karpenter rounds 20 % up and has no setting for it; EKS has maxUnhealthyNodeThresholdPercentage.',
);

function judgeBlock(facts: Facts, code: BlockCode, remedy: (facts: Facts) => string): Judgement {
  const forecasts = forecastRepair(facts);
  const blocked = forecasts.find(({ blockedBy }) => blockedBy.some((block) => block.code === code));
  if (blocked === undefined) return notBlocked(code, forecasts);
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
    remedy: remedy(facts),
  });
}

function notBlocked(code: BlockCode, forecasts: readonly RepairForecast[]): Judgement {
  if (code === 'karpenter-gate-off') {
    const karpenter = forecasts.find(({ controller }) => controller === 'Karpenter');
    if (karpenter === undefined) return irrelevant;
    return karpenter.willAct === 'unknown' ? irrelevant : refuted('the NodeRepair gate is on');
  }
  if (forecasts.length === 0) return irrelevant;
  return refuted(
    code === 'repair-threshold'
      ? 'few enough nodes are unhealthy'
      : 'the controller has an action for this condition',
  );
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
    if (first === undefined) {
      const source = `nodes/${facts.node.name} metadata.labels`;
      return proven({
        summary:
          'Nothing repairs this node: it belongs to no managed node group, no node pool of Karpenter, and not to EKS Auto.',
        evidence: [seen(facts, source, Object.keys(facts.node.labels).join(', ') || 'none')],
        remedy:
          'Replace the node by hand, or run GPU nodes in a managed node group with --node-repair-config enabled=true.',
      });
    }
    const group = forecasts.find(({ blockedBy }) =>
      blockedBy.some(({ code }) => code === 'repair-not-enabled'),
    );
    if (group === undefined) {
      // Its own rules say what keeps a Karpenter back that was found.
      if (first.controller !== 'Karpenter' || facts.repair.karpenter !== undefined) return irrelevant;
      const { karpenterUnread } = facts.repair;
      if (karpenterUnread !== undefined) return unknown(karpenterUnread.unread);
      return likely({
        summary: `The node belongs to node pool ${facts.repair.nodePool}, but no Karpenter was found in the cluster.`,
        evidence: evidenceOf(facts, first),
        remedy:
          'See where it runs and whether its NodeRepair gate is on: kubectl get deployments -A | grep -i karpenter.',
      });
    }
    const name = facts.repair.nodeGroup ?? 'NODEGROUP';
    const type = expectedType(facts);
    const wait = conditionRows.find((row) => row.type === type)?.waitSeconds ?? 0;
    return likely({
      summary:
        `Auto repair of managed node group ${name} is off unless somebody switched it on, and the API server does not show it. ` +
        `If it is on, it waits ${renderAge(wait)} for ${type} and acts by reason.`,
      evidence: evidenceOf(facts, group),
      remedy: `aws eks describe-nodegroup --cluster-name CLUSTER --nodegroup-name ${name} --query nodegroup.nodeRepairConfig; to switch it on: aws eks update-nodegroup-config --cluster-name CLUSTER --nodegroup-name ${name} --node-repair-config enabled=true.`,
    });
  },
};

/** 10 min for AcceleratedHardwareReady, 30 min for the others: most drills end before. */
export const repairNotDue: Rule = {
  code: 'repair-not-due',
  title: 'The repair is not due yet',
  link: 'taint',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill } = facts;
    if (drill?.waitedUntil === undefined || reactionEntry(facts)?.kind !== 'condition') return irrelevant;
    const acting = forecastRepair(facts).find(({ willAct }) => willAct === 'yes');
    if (acting === undefined) return irrelevant;
    const { afterSeconds } = acting;
    if (afterSeconds === null || afterSeconds === 0) return refuted(`${acting.controller}’s wait is over`);
    const condition = conditionOf(facts, drill.expectation.type);
    const since = ageSeconds(facts.at, condition?.lastTransitionTime);
    return proven({
      summary: `${acting.controller} will ${acting.action} the node in ${renderAge(afterSeconds)}: it waits on purpose, and the condition is ${since === undefined ? 'new' : `${renderAge(since)} old`}.`,
      evidence: [...(condition === undefined ? [] : [seenCondition(facts, condition)]), ...acting.evidence],
      remedy: `Wait ${renderAge(afterSeconds + 60)} more: kubectl get node ${facts.node.name} -w.`,
    });
  },
};

function evidenceOf(facts: Facts, forecast: RepairForecast) {
  const entry = reactionEntry(facts);
  return [...(entry === undefined ? [] : [seenEntry(entry)]), ...forecast.evidence];
}
