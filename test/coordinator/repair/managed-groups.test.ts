import t from 'tap';
import type { NodeRepairConfig } from '../../../coordinator/catalogue/repair/eks.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import { before, facts, peers, withCondition } from '../diagnosis/builder.ts';

/** The documented rules (reference/repair.md, field-cases F11), written again from the guide and not from the code. */

const waitSeconds = 600;
const ageSeconds = 60;

/** Above which number of unhealthy nodes a group of this size pauses. */
function limitOf(total: number, config: NodeRepairConfig): number {
  const { maxUnhealthyNodeThresholdCount: count, maxUnhealthyNodeThresholdPercentage: percentage } = config;
  if (count !== undefined) return count;
  if (percentage !== undefined) return Math.floor((percentage * total) / 100);
  return total > 5 ? Math.floor(total / 5) : total;
}

const thresholds: readonly Partial<NodeRepairConfig>[] = [
  {},
  ...[0, 1, 3, 10].map((count) => ({ maxUnhealthyNodeThresholdCount: count })),
  ...[1, 20, 50, 100].map((percentage) => ({ maxUnhealthyNodeThresholdPercentage: percentage })),
];

/** Reason → action of the newest edition that names it; where none does, the guide leaves it to the reason. */
const actions = {
  NvidiaXID79Error: 'replace',
  NvidiaXID64Error: 'replace',
  NvidiaXID109Error: 'reboot',
  NvidiaXID48Error: 'reboot',
  NvidiaDoubleBitError: 'replace',
  DCGMError: 'none',
  DCGMHealthCode120: 'none',
  NvidiaXID31Error: 'reboot',
} as const;

const overridden = { Replace: 'replace', Reboot: 'reboot', NoAction: 'none' } as const;

const overrides = [
  undefined,
  ...([undefined, 1, 45] as const).flatMap((minutes) =>
    ([undefined, 'Replace', 'Reboot', 'NoAction'] as const).map((action) => ({ minutes, action })),
  ),
];

function forecast(reason: string, total: number, others: number, nodeGroup: NodeRepairConfig | undefined) {
  const conditions = withCondition('AcceleratedHardwareReady', {
    status: 'False',
    reason,
    lastTransitionTime: before(ageSeconds),
  });
  const [only] = forecastRepair(
    facts({
      node: { conditions },
      repair: {
        nodePool: undefined,
        nodeGroup: 'g1',
        karpenter: undefined,
        peers: peers(total, others),
        ...(nodeGroup === undefined ? {} : { settings: { nodeGroup } }),
      },
    }),
  );
  return only;
}

t.test('sizes 1 to 30, every number of unhealthy nodes, every threshold', async (t) => {
  let rows = 0;
  for (let total = 1; total <= 30; total += 1)
    for (let others = 0; others < total; others += 1)
      for (const threshold of thresholds) {
        rows += 1;
        const config = { enabled: true, ...threshold };
        const seen = forecast('NvidiaXID79Error', total, others, config);
        const isPaused = others + 1 > limitOf(total, config);
        const is = seen?.blockedBy.map(({ code }) => code);
        const row = `${others + 1} of ${total} ${JSON.stringify(threshold)}`;
        if (
          (is?.length === 1 && is[0] === 'repair-threshold') !== isPaused ||
          (seen?.willAct === 'no') !== isPaused
        )
          t.fail(`${row}: ${isPaused ? 'paused' : 'allowed'}, and the forecast has ${seen?.willAct}, ${is}`);
      }
  t.equal(rows, 465 * thresholds.length);
});

t.test('every reason with every override: action and due time', async (t) => {
  for (const [reason, documented] of Object.entries(actions))
    for (const override of overrides) {
      const config: NodeRepairConfig = {
        enabled: true,
        ...(override === undefined
          ? {}
          : {
              nodeRepairConfigOverrides: [
                {
                  nodeMonitoringCondition: 'AcceleratedHardwareReady',
                  nodeUnhealthyReason: reason,
                  ...(override.minutes === undefined ? {} : { minRepairWaitTimeMins: override.minutes }),
                  ...(override.action === undefined ? {} : { repairAction: override.action }),
                },
              ],
            }),
      };
      const action = override?.action === undefined ? documented : overridden[override.action];
      const wait = override?.minutes === undefined ? waitSeconds : override.minutes * 60;
      const acts = action !== 'none';
      t.match(
        forecast(reason, 3, 0, config),
        {
          willAct: acts ? 'yes' : 'no',
          action,
          afterSeconds: acts ? Math.max(0, wait - ageSeconds) : null,
          blockedBy: acts ? [] : [{ code: 'repair-no-action' }],
        },
        `${reason} ${JSON.stringify(override)}`,
      );
    }
});

t.test('off, and not known', async (t) => {
  t.match(forecast('NvidiaXID79Error', 3, 0, { enabled: false }), {
    willAct: 'no',
    blockedBy: [{ code: 'repair-not-enabled' }],
  });
  t.match(forecast('NvidiaXID79Error', 3, 0, undefined), {
    willAct: 'unknown',
    unread: [{ what: /off by default/, command: /--cluster-name CLUSTER --nodegroup-name g1/ }],
  });
  const unread = {
    unread: 'EKS was asked for node group g1: throttled',
    remedy: 'aws eks describe-nodegroup …',
  };
  const [asked] = forecastRepair(
    facts({
      repair: {
        nodePool: undefined,
        nodeGroup: 'g1',
        karpenter: undefined,
        peers: peers(3, 0),
        settings: { nodeGroupUnread: unread },
      },
    }),
  );
  t.match(asked, { willAct: 'unknown', unread: [{ what: /throttled\)$/, command: unread.remedy }] });
});
