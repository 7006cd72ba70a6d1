import { documentedAction } from '../../catalogue/repair/documented.ts';
import {
  type ConditionRow,
  conditionRows,
  type NodeRepairConfig,
  type NodeRepairOverride,
} from '../../catalogue/repair/eks.ts';
import type { KubeObject } from '../../cluster/port.ts';
import { conditionsOf, type NodeCondition } from '../../view/node.ts';

/** Decisions of a managed node group's auto repair as EKS documents them and as users observed them: a model, no code of AWS was read. */

/** What the group does about a node, and when it is due, milliseconds. */
export type GroupRepair = { readonly action: 'replace' | 'reboot'; readonly dueMs: number };

const actions = { Replace: 'replace', Reboot: 'reboot', NoAction: 'none' } as const;

/**
 * The earliest repair of the node; undefined: none. An override of exactly this condition and reason decides, then the table of
 * reasons, then the condition; where the guide leaves replace or reboot open it reboots, as a user saw it (field-cases F11).
 */
export function repairOf(
  node: KubeObject,
  config: NodeRepairConfig,
  /** When it started again, milliseconds: no wait begins before. */
  bootedMs = Number.NEGATIVE_INFINITY,
): GroupRepair | undefined {
  const all = conditionsOf(node).flatMap((condition): readonly GroupRepair[] => {
    const { type, reason, lastTransitionTime } = condition;
    const row = rowOf(condition);
    const since = Date.parse(lastTransitionTime ?? '');
    if (row === undefined || Number.isNaN(since)) return [];
    const own = overrideOf(config, type, reason);
    const documented = documentedAction(reason)?.action ?? row.action;
    const action = own?.repairAction === undefined ? documented : actions[own.repairAction];
    if (action === 'none') return [];
    const waitMs = own?.minRepairWaitTimeMins === undefined ? row.waitSeconds * 1000 : minutes(own);
    return [
      {
        action: action === 'replace or reboot' ? 'reboot' : action,
        dueMs: Math.max(since, bootedMs) + waitMs,
      },
    ];
  });
  return all.toSorted((left, right) => left.dueMs - right.dueMs)[0];
}

function rowOf({ type, status }: NodeCondition): ConditionRow | undefined {
  return conditionRows.find(
    (one) => one.type === type && one.unhealthy.some((unhealthy) => unhealthy === status),
  );
}

/** Also by a reason that leads to no action; pressure, which the group never waits for, is none. */
function isUnhealthy(node: KubeObject): boolean {
  return conditionsOf(node).some((condition) => (rowOf(condition)?.waitSeconds ?? 0) > 0);
}

function overrideOf({ nodeRepairConfigOverrides = [] }: NodeRepairConfig, type: string, reason: string) {
  return nodeRepairConfigOverrides.find(
    (one) => one.nodeMonitoringCondition === type && one.nodeUnhealthyReason === reason,
  );
}

function minutes({ minRepairWaitTimeMins = 0 }: NodeRepairOverride): number {
  return minRepairWaitTimeMins * 60_000;
}

/** Whether the group pauses: by its own threshold, or with more than five nodes above a fifth (EKS guide "node-repair"). */
export function isPaused(group: readonly KubeObject[], config: NodeRepairConfig): boolean {
  const unhealthy = group.filter(isUnhealthy).length;
  const { maxUnhealthyNodeThresholdCount: count, maxUnhealthyNodeThresholdPercentage: share } = config;
  if (count !== undefined) return unhealthy > count;
  if (share !== undefined) return unhealthy > (share / 100) * group.length;
  return group.length > 5 && unhealthy > 0.2 * group.length;
}
