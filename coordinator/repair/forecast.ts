import {
  type ConditionRow,
  conditionRows,
  karpenterLimits,
  managedGroupLimits,
  type RepairAction,
  reasonRows,
} from '../catalogue/repair/actions.ts';
import type { Evidence } from '../store/explanation.ts';
import { type Facts, isUnread } from '../view/facts.ts';

/** Who would repair the node. A managed node group's repair is opt-in, that of Auto Mode is always on. */
export type RepairController = 'EKS managed node group auto repair' | 'EKS Auto Mode' | 'Karpenter';

/** Why a controller will not act; the causes of the diagnosis have the same codes. */
export type BlockCode = 'repair-not-enabled' | 'karpenter-gate-off' | 'repair-threshold' | 'repair-no-action';

/** What one controller would do about the drilled condition on this node. */
export type RepairForecast = {
  readonly controller: RepairController;
  /** `unknown`: the cluster does not show what decides it; `notes` has what to look at. */
  readonly willAct: 'yes' | 'no' | 'unknown';
  /** What it does when it acts; `none` where it never will. */
  readonly action: RepairAction;
  /**
   * Seconds until it acts, counted from the condition's transition; from now where the condition has turned already
   * (0: it is due). null: it will not act by itself.
   */
  readonly afterSeconds: number | null;
  /** All that stands against it; empty where it will act. */
  readonly blockedBy: readonly { readonly code: BlockCode; readonly because: string }[];
  readonly evidence: readonly Evidence[];
  /** What else will surprise: how it shows, what it overrides, what does not follow. */
  readonly notes: readonly string[];
};

type Case = {
  readonly facts: Facts;
  /** The condition that is drilled, or AcceleratedHardwareReady. */
  readonly condition: ConditionRow;
  readonly reason: string | undefined;
  /** The reaction is an event, or nothing: no controller looks at those. */
  readonly isCondition: boolean;
  readonly waitSeconds: number;
};

type Block = RepairForecast['blockedBy'][number];

/** One row per controller that owns the node; none: nothing repairs it. Pure, from what the API server shows. */
export function forecastRepair(facts: Facts): RepairForecast[] {
  const { repair } = facts;
  const drilled = caseOf(facts);
  const forecasts: RepairForecast[] = [];
  if (repair.nodeGroup !== undefined) forecasts.push(forecastNodeGroup(drilled, repair.nodeGroup));
  if (repair.computeType === 'auto') forecasts.push(forecastAuto(drilled));
  else if (repair.nodePool !== undefined) forecasts.push(forecastKarpenter(drilled, repair.nodePool));
  return forecasts;
}

function caseOf(facts: Facts): Case {
  const { drill, node } = facts;
  const type = drill?.expectation.type ?? 'AcceleratedHardwareReady';
  const found = conditionRows.find((row) => row.type === type);
  const condition = found ?? {
    type,
    unhealthy: 'False',
    waitSeconds: 0,
    action: 'none',
    edition: managedGroupLimits.edition,
  };
  const current = node.conditions.find((candidate) => candidate.type === type);
  const isUnhealthy = current?.status === condition.unhealthy;
  const since = isUnhealthy ? Date.parse(current?.lastTransitionTime ?? '') : Number.NaN;
  const elapsed = Number.isNaN(since) ? 0 : Math.max(0, Math.floor((Date.parse(facts.at) - since) / 1000));
  return {
    facts,
    condition,
    reason: isUnhealthy ? current?.reason : drill?.expectation.reason,
    isCondition: drill === undefined || drill.expectation.kind === 'condition',
    waitSeconds: Math.max(0, condition.waitSeconds - (Number.isNaN(elapsed) ? 0 : elapsed)),
  };
}

function forecastNodeGroup(drilled: Case, nodeGroup: string): RepairForecast {
  const { facts } = drilled;
  const { action, evidence } = actionByReason(drilled);
  const threshold = groupThreshold(facts);
  const query = `aws eks describe-nodegroup --cluster-name CLUSTER --nodegroup-name ${nodeGroup} --query nodegroup.nodeRepairConfig`;
  const blockedBy: Block[] = [
    ...noAction(drilled, action),
    ...threshold,
    {
      code: 'repair-not-enabled',
      because: `off unless switched on for node group ${nodeGroup}; the API server does not show it: ${query}`,
    },
  ];
  // Only that it may be switched off is not to be read; the other two hold by the documented defaults.
  const willAct = blockedBy.length > 1 ? 'no' : 'unknown';
  return {
    controller: 'EKS managed node group auto repair',
    willAct,
    action,
    afterSeconds: willAct === 'no' ? null : drilled.waitSeconds,
    blockedBy,
    evidence: [
      label(facts, 'eks.amazonaws.com/nodegroup', nodeGroup),
      ...evidence,
      peers(facts, `node group ${nodeGroup}`),
    ],
    notes: [
      'thresholds, waits and actions can be set otherwise in nodeRepairConfig; these are the defaults',
      'pauses as well during a zonal shift or autoshift of the cluster’s zone',
      ...heldPods(facts, 'whether it waits for them cannot be seen from here'),
    ],
  };
}

function forecastAuto(drilled: Case): RepairForecast {
  const { facts, condition } = drilled;
  const action: RepairAction = condition.action === 'none' ? 'none' : 'replace';
  const blockedBy = noAction(drilled, action);
  return {
    controller: 'EKS Auto Mode',
    willAct: blockedBy.length > 0 ? 'no' : 'yes',
    action,
    afterSeconds: blockedBy.length > 0 ? null : drilled.waitSeconds,
    blockedBy,
    evidence: [label(facts, 'eks.amazonaws.com/compute-type', 'auto'), edition(facts, condition)],
    notes: [
      'repairs by default and always replaces',
      idleNote,
      ...heldPods(facts, 'whether it waits for them cannot be seen from here'),
    ],
  };
}

function forecastKarpenter(drilled: Case, nodePool: string): RepairForecast {
  const { facts, condition } = drilled;
  const { karpenter } = facts.repair;
  const action: RepairAction = condition.action === 'none' ? 'none' : 'replace';
  const blockedBy: Block[] = [
    ...noAction(drilled, action),
    ...gate(karpenter),
    ...karpenterBudget(facts, nodePool),
  ];
  const willAct = blockedBy.length > 0 ? 'no' : karpenter === undefined ? 'unknown' : 'yes';
  return {
    controller: 'Karpenter',
    willAct,
    action,
    afterSeconds: willAct === 'no' ? null : drilled.waitSeconds,
    blockedBy,
    evidence: [
      label(facts, 'karpenter.sh/nodepool', nodePool),
      karpenter === undefined
        ? {
            source: 'deployments',
            observed: facts.repair.karpenterUnread?.unread ?? 'no Deployment of Karpenter was found',
            at: facts.at,
          }
        : {
            source: `deployments/${karpenter.deployment}`,
            observed: `${karpenter.image}; ${karpenter.evidence}`,
            at: facts.at,
          },
      edition(facts, condition),
      peers(facts, `node pool ${nodePool}`),
    ],
    notes: [
      'it taints karpenter.sh/disrupted:NoSchedule and does not cordon; counted from lastTransitionTime, so that a condition that is False already counts',
      `blocked by its budget it shows NodeRepairBlocked on the node and tries again after ${karpenterLimits.retrySeconds / 60} min`,
      idleNote,
      ...heldPods(facts, 'it sets the termination time to now, so that they are deleted by force'),
    ],
  };
}

const idleNote =
  'a replacement comes only for pods that wait for a node: an idle node is deleted and nothing replaces it';

function actionByReason({ facts, condition, reason }: Case): { action: RepairAction; evidence: Evidence[] } {
  const row = reason === undefined ? undefined : reasonRows.find(({ pattern }) => pattern.test(reason));
  if (row === undefined) return { action: condition.action, evidence: [edition(facts, condition)] };
  const observed = `${reason}: ${row.action} (read ${row.edition.read})`;
  return {
    action: row.action,
    evidence: [{ source: row.edition.source, observed, at: facts.at }, edition(facts, condition)],
  };
}

function noAction({ isCondition, condition, reason, facts }: Case, action: RepairAction): Block[] {
  if (!isCondition) {
    const kind = facts.drill?.expectation.kind === 'event' ? 'an event' : 'nothing';
    return [
      {
        code: 'repair-no-action',
        because: `the reaction is ${kind}, and only a condition leads to a repair`,
      },
    ];
  }
  if (action !== 'none') return [];
  const what = condition.action === 'none' ? `condition ${condition.type}` : `reason ${reason}`;
  return [{ code: 'repair-no-action', because: `the documented action for ${what} is none` }];
}

function gate(karpenter: Facts['repair']['karpenter']): Block[] {
  if (karpenter === undefined || karpenter.nodeRepairGate === true) return [];
  const how =
    karpenter.nodeRepairGate === false ? 'is switched off' : 'is not named, and its default is off (alpha)';
  return [
    {
      code: 'karpenter-gate-off',
      because: `feature gate NodeRepair of ${karpenter.deployment} ${how} (${karpenter.evidence}); without it the controller is not even started`,
    },
  ];
}

function karpenterBudget({ repair }: Facts, nodePool: string): Block[] {
  const { total, unhealthyOthers } = repair.peers;
  const allowed = Math.ceil(karpenterLimits.unhealthyShare * total);
  const unhealthy = unhealthyOthers + 1;
  if (unhealthy <= allowed || total === 0) return [];
  const because = `${unhealthy} of ${total} nodes of pool ${nodePool} would be unhealthy, this one included; 20 % rounded up allows ${allowed}`;
  return [{ code: 'repair-threshold', because }];
}

function groupThreshold({ repair }: Facts): Block[] {
  const { total, unhealthyOthers } = repair.peers;
  const unhealthy = unhealthyOthers + 1;
  const { smallestCounted, unhealthyShare } = managedGroupLimits;
  if (total <= smallestCounted || unhealthy <= unhealthyShare * total) return [];
  const share = Math.round((unhealthy / total) * 100);
  const because = `${unhealthy} of ${total} nodes (${share} %) would be unhealthy, this one included; with more than 5 nodes it pauses above 20 %`;
  return [{ code: 'repair-threshold', because }];
}

function label({ node, at }: Facts, name: string, observed: string): Evidence {
  return { source: `nodes/${node.name} metadata.labels[${name}]`, observed, at };
}

function edition({ at }: Facts, condition: ConditionRow): Evidence {
  const observed = `${condition.type}: ${condition.action} after ${condition.waitSeconds / 60} min (read ${condition.edition.read})`;
  return { source: condition.edition.source, observed, at };
}

function peers({ repair, at }: Facts, source: string): Evidence {
  return {
    source: `nodes of ${source}`,
    observed: `${repair.peers.total} nodes, ${repair.peers.unhealthyOthers} others unhealthy`,
    at,
  };
}

function heldPods({ repair }: Facts, consequence: string): string[] {
  const { doNotDisruptPods } = repair;
  if (isUnread(doNotDisruptPods))
    return [`whether pods on it are marked do-not-disrupt is not known: ${doNotDisruptPods.unread}`];
  return doNotDisruptPods.length === 0
    ? []
    : [`held by a PodDisruptionBudget or do-not-disrupt: ${doNotDisruptPods.join(', ')}; ${consequence}`];
}
