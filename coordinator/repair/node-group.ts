import { documentedAction } from '../catalogue/repair/documented.ts';
import { conditionRows, managedGroupLimits, type NodeRepairOverride } from '../catalogue/repair/eks.ts';
import { describeCommand } from '../eks/port.ts';
import type { Facts } from '../view/facts.ts';
import { type Ruling, type Rulings, scheduleOf } from './due.ts';
import { forecastOf, heldPods, noAction, seenLabel, seenPeers, unhealthyOthers } from './parts.ts';
import type { Block, RepairForecast } from './schema.ts';

const overrideActions = { Replace: 'replace', Reboot: 'reboot', NoAction: 'none' } as const;

/** Auto repair of a managed node group: opt-in, by reason, and set in the EKS API, which the cluster does not show. */
export function forecastNodeGroup(facts: Facts, nodeGroup: string): RepairForecast {
  const config = facts.repair.settings?.nodeGroup;
  const rulings = rulingsWith(config?.nodeRepairConfigOverrides ?? []);
  const schedule = scheduleOf(facts, rulings);
  const others = unhealthyOthers(facts, withoutPressure(rulings));
  const asked = facts.repair.settings?.nodeGroupUnread;
  const command = asked?.remedy ?? describeCommand('CLUSTER', nodeGroup);
  const otherwise = schedule.dues[0] && documentedAction(schedule.dues[0].reason)?.otherwise;
  return forecastOf(facts, schedule, {
    controller: 'EKS managed node group auto repair',
    blockedBy: [
      ...noAction(facts, schedule),
      ...threshold(facts, others),
      ...(config?.enabled === false
        ? [{ code: 'repair-not-enabled', because: `auto repair of node group ${nodeGroup} is off` } as const]
        : []),
    ],
    unread:
      config === undefined
        ? [
            {
              what: `whether auto repair of node group ${nodeGroup} is on (it is off by default), and its overrides of waits, actions and thresholds${asked === undefined ? '' : ` (${asked.unread})`}`,
              command,
            },
          ]
        : [],
    evidence: [
      seenLabel(facts, 'eks.amazonaws.com/nodegroup', nodeGroup),
      seenPeers(facts, `node group ${nodeGroup}`, others),
    ],
    notes: [
      ...(config === undefined ? ['waits, actions and thresholds are the documented defaults'] : []),
      ...(otherwise ?? []).map(
        ({ action, edition }) => `another edition has ${action} for this reason: ${edition.source}`,
      ),
      'it cordons and drains; it pauses as well during a zonal shift or autoshift of the cluster’s zone',
      ...heldPods(facts, 'whether it waits for them cannot be seen from here'),
    ],
  });
}

/** An override of exactly that condition and reason wins; then the reason's row, then that of the condition. */
function rulingsWith(overrides: readonly NodeRepairOverride[]): Rulings {
  return ({ type, status, reason }) => {
    const row = conditionRows.find(
      (candidate) => candidate.type === type && candidate.unhealthy.some((one) => one === status),
    );
    if (row === undefined) return undefined;
    const documented = documentedAction(reason);
    const usual: Ruling = {
      action: documented?.action ?? row.action,
      waitSeconds: row.waitSeconds,
      ...(documented ?? row).edition,
    };
    const override = overrides.find(
      ({ nodeMonitoringCondition, nodeUnhealthyReason }) =>
        nodeMonitoringCondition === type && nodeUnhealthyReason === reason,
    );
    if (override === undefined) return usual;
    const { minRepairWaitTimeMins, repairAction } = override;
    return {
      action: repairAction === undefined ? usual.action : overrideActions[repairAction],
      waitSeconds: minRepairWaitTimeMins === undefined ? usual.waitSeconds : minRepairWaitTimeMins * 60,
      source: 'nodeRepairConfigOverrides of the node group',
    };
  };
}

/** A node that no rule repairs, such as one with DiskPressure, does not count as unhealthy. */
function withoutPressure(rulings: Rulings): Rulings {
  return (condition) => {
    const found = rulings(condition);
    return found?.action === 'none' && found.waitSeconds === 0 ? undefined : found;
  };
}

function threshold({ repair }: Facts, others: number): Block[] {
  const { total } = repair.peers;
  const unhealthy = others + 1;
  const { maxUnhealthyNodeThresholdCount: count, maxUnhealthyNodeThresholdPercentage: percentage } =
    repair.settings?.nodeGroup ?? {};
  const { smallestCounted, unhealthyShare } = managedGroupLimits;
  const share = Math.round((unhealthy / Math.max(1, total)) * 100);
  const would = `${unhealthy} of ${total} nodes (${share} %) would be unhealthy, this one included`;
  const block = (limit: string): Block[] => [{ code: 'repair-threshold', because: `${would}; ${limit}` }];
  if (count !== undefined) return unhealthy > count ? block(`it pauses above ${count}`) : [];
  if (percentage !== undefined)
    return unhealthy > (percentage / 100) * total ? block(`it pauses above ${percentage} %`) : [];
  if (total <= smallestCounted || unhealthy <= unhealthyShare * total) return [];
  return block('with more than 5 nodes it pauses above 20 %');
}
