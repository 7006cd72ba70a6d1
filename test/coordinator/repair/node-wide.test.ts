import t from 'tap';
import type { NodeRepairConfig } from '../../../coordinator/catalogue/repair/eks.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import type { KarpenterFacts } from '../../../coordinator/view/facts.ts';
import type { PoolBudget } from '../../../coordinator/view/node-pools.ts';
import {
  before,
  type Change,
  condition,
  facts,
  healthyConditions,
  now,
  peers,
  planned,
  withCondition,
} from '../diagnosis/builder.ts';

function forecast(change: Change) {
  const [first, ...others] = forecastRepair(facts(change));
  if (first === undefined || others.length > 0) throw new Error(`${others.length + 1} forecasts`);
  return first;
}

function karpenter(tag: string, over: Partial<KarpenterFacts> = {}): KarpenterFacts {
  return {
    deployment: 'kube-system/karpenter',
    image: `public.ecr.aws/karpenter/controller:${tag}`,
    nodeRepairGate: true,
    evidence: 'feature gates "NodeRepair=true"',
    ...over,
  };
}

const threeDays = 3 * 86_400;

t.test('F4: the earliest due condition of the whole node decides', async (t) => {
  const conditions = withCondition('NetworkingReady', {
    status: 'False',
    reason: 'InterfaceNotUp',
    lastTransitionTime: before(threeDays),
  });
  t.match(forecast({ node: { conditions }, drill: planned() }), {
    willAct: 'yes',
    action: 'replace',
    afterSeconds: 0,
    dueAt: now,
    latestSeconds: 0,
    trigger: { type: 'NetworkingReady', status: 'False', reason: 'InterfaceNotUp', waitSeconds: 1800 },
  });
});

t.test('each condition and status has its own wait from its own transition', async (t) => {
  const rows: readonly (readonly [type: string, status: string, age: number, after: number | null])[] = [
    ['Ready', 'Unknown', 60, 1740],
    ['Ready', 'False', 1800, 0],
    ['KernelReady', 'False', 1700, 100],
    ['StorageReady', 'False', 0, 1800],
    ['ContainerRuntimeReady', 'False', 900, 900],
    ['AcceleratedHardwareReady', 'False', 240, 360],
    // No policy looks at these.
    ['AcceleratedHardwareReady', 'Unknown', threeDays, null],
    ['KernelReady', 'Unknown', threeDays, null],
    ['DiskPressure', 'True', threeDays, null],
    ['MemoryPressure', 'True', threeDays, null],
    ['Custom', 'False', threeDays, null],
  ];
  const event = planned({
    order: { method: 'WriteKernelMessage', body: { text: 'a line that nobody reads' } },
    expectation: { kind: 'event', type: 'KernelReady', reason: 'SoftLockup', withinSeconds: 60 },
  });
  for (const [type, status, age, after] of rows) {
    const conditions = [
      ...healthyConditions.filter((one) => one.type !== type),
      condition(type, { status, reason: 'X', lastTransitionTime: before(age) }),
    ];
    for (const tag of ['1.8.1', '1.14.3']) {
      const seen = forecast({ node: { conditions }, repair: { karpenter: karpenter(tag) }, drill: event });
      t.equal(seen.afterSeconds, after, `${tag}: ${type}=${status} for ${age} s`);
      t.equal(seen.willAct, after === null ? 'no' : 'yes');
    }
  }
});

t.test('a transition before the Node counts from its creation in 1.15, and not before', async (t) => {
  const node = {
    createdAt: before(100),
    conditions: withCondition('KernelReady', {
      status: 'False',
      reason: 'X',
      lastTransitionTime: before(2000),
    }),
  };
  t.equal(forecast({ node, repair: { karpenter: karpenter('1.15.0') }, drill: planned() }).afterSeconds, 600);
  t.equal(forecast({ node, repair: { karpenter: karpenter('1.14.3') }, drill: planned() }).afterSeconds, 0);
});

t.test('peers count by type and status of the policies', async (t) => {
  const blocked = (pairs: Readonly<Record<string, number>>, tag = '1.14.3') =>
    forecast({
      repair: { peers: { total: 5, unhealthyOthers: pairs }, karpenter: karpenter(tag) },
      drill: planned(),
    }).blockedBy.map(({ code }) => code);
  for (const tag of ['1.14.3', '1.15.0']) {
    t.same(blocked({ 'Ready=Unknown': 1 }, tag), ['repair-threshold'], `${tag}: a silent kubelet`);
    t.same(blocked({ 'DiskPressure=True,KernelReady=False': 1 }, tag), ['repair-threshold'], tag);
    t.same(blocked({ 'DiskPressure=True': 4 }, tag), [], `${tag}: no policy looks at it`);
    t.same(blocked({ 'KernelReady=Unknown': 4 }, tag), [], tag);
  }
  t.same(blocked({ 'KernelReady=False': 4 }, '1.1.0'), ['repair-no-action'], '1.1 looks at Ready alone');
});

t.test('R7: what this Karpenter was given wins over the policies of its version', async (t) => {
  const settings = {
    karpenterPolicies: [
      { type: 'AcceleratedHardwareReady', status: 'False', waitSeconds: 90, action: 'replace' },
    ],
  } as const;
  const seen = forecast({ repair: { settings }, drill: planned() });
  t.match(seen, { willAct: 'yes', afterSeconds: 90, trigger: { waitSeconds: 90 } });
  t.ok(seen.evidence.some(({ source }) => source === 'the policies that this Karpenter was given'));
});

t.test('switches of Karpenter 1.15', async (t) => {
  const xid109 = planned({
    parameters: { xid: 109, surfaces: ['dcgm'] },
    expectation: {
      kind: 'condition',
      type: 'AcceleratedHardwareReady',
      reason: 'NvidiaXID109Error',
      withinSeconds: 60,
    },
  });
  const with109 = (over: Partial<KarpenterFacts>, tag = '1.15.0') =>
    forecast({ repair: { karpenter: karpenter(tag, over) }, drill: xid109 });
  t.equal(with109({}).action, 'replace', 'the reboot gate is off by default');
  t.equal(with109({ rebootGate: true }).action, 'reboot');
  t.equal(with109({ rebootGate: true }, '1.14.3').action, 'replace', '1.14 has no reboot');
  t.match(with109({ rebootGate: true, legacyRepair: true }), {
    willAct: 'yes',
    action: 'replace',
    unread: [],
  });
  t.match(with109({}).unread, [{ what: /budgets/, command: /kubectl get nodepool gpu/ }]);
  t.match(with109({ readyReplicas: 0 }), { willAct: 'no', blockedBy: [{ code: 'karpenter-not-running' }] });
  const settingsUnread = { unread: 'FEATURE_GATES comes from another object, which is not read' };
  t.match(with109({ nodeRepairGate: undefined, settingsUnread }, '1.14.3'), {
    willAct: 'unknown',
    blockedBy: [],
    unread: [{ what: /FEATURE_GATES comes from another object/ }],
  });
});

t.test('budgets of the NodePool, Karpenter 1.15', async (t) => {
  const with15 = (budgets: readonly PoolBudget[], total = 10) => {
    const { willAct, blockedBy, unread } = forecast({
      repair: { karpenter: karpenter('1.15.0'), budgets, peers: peers(total, 0) },
      drill: planned(),
    });
    return [willAct, ...blockedBy.map(({ code }) => code), ...unread.map(() => 'look')];
  };
  const rows: readonly (readonly [budgets: readonly PoolBudget[], expected: readonly string[]])[] = [
    [[{ nodes: '10%' }], ['yes']],
    [[{ nodes: '1%' }], ['yes']],
    [[{ nodes: '0' }], ['no', 'repair-budget']],
    [[{ nodes: '0%' }], ['no', 'repair-budget']],
    [
      [{ nodes: '5' }, { nodes: '0', reasons: ['Unhealthy'] }],
      ['no', 'repair-budget'],
    ],
    [[{ nodes: '0', reasons: ['Drifted', 'Empty'] }], ['yes']],
    [[{ nodes: '0', reasons: ['Drifted', 'Unhealthy'] }], ['no', 'repair-budget']],
    [[], ['yes']],
    [
      [{ nodes: '10%' }, { nodes: '0', schedule: '0 9 * * mon-fri' }],
      ['unknown', 'look'],
    ],
    [[{ nodes: '10%' }, { nodes: '2', schedule: '0 9 * * mon-fri' }], ['yes']],
    [[{ nodes: 'x' }], ['no', 'repair-budget']],
  ];
  for (const [budgets, expected] of rows) t.strictSame(with15(budgets), expected, JSON.stringify(budgets));

  // Karpenter subtracts the nodes that are being disrupted (karpenter.md §3).
  for (const [version, nodes, leavingOthers, expected] of [
    ['1.15.0', '10%', 1, 'unknown'],
    ['1.15.0', '2', 1, 'yes'],
    ['1.15.0', '2', 3, 'unknown'],
    ['1.15.0', '0', 1, 'no'],
    ['1.14.3', '10%', 1, 'yes'],
  ] as const) {
    const { willAct, unread } = forecast({
      repair: {
        karpenter: karpenter(version),
        budgets: [{ nodes }],
        peers: { ...peers(10, 0), leavingOthers },
      },
      drill: planned(),
    });
    t.equal(willAct, expected, `${version}, ${nodes}, ${leavingOthers} leave`);
    if (willAct === 'unknown')
      t.match(unread, [{ what: /being disrupted \(\d\).*budgets allow \d at a time/ }]);
  }
});

t.test('F11: overrides of a managed group, and editions that differ', async (t) => {
  const group = { nodePool: undefined, nodeGroup: 'g1', karpenter: undefined, peers: peers(3, 0) };
  const of = (nodeGroup: NodeRepairConfig | undefined, reason = 'NvidiaXID79Error') =>
    forecast({
      node: {
        conditions: withCondition('AcceleratedHardwareReady', {
          status: 'False',
          reason,
          lastTransitionTime: before(60),
        }),
      },
      repair: { ...group, ...(nodeGroup === undefined ? {} : { settings: { nodeGroup } }) },
    });
  t.match(of({ enabled: true }), { willAct: 'yes', action: 'replace', afterSeconds: 540, unread: [] });
  t.match(of({ enabled: false }), { willAct: 'no', blockedBy: [{ code: 'repair-not-enabled' }] });
  const override = (over: object): NodeRepairConfig => ({
    enabled: true,
    nodeRepairConfigOverrides: [
      {
        nodeMonitoringCondition: 'AcceleratedHardwareReady',
        nodeUnhealthyReason: 'NvidiaXID79Error',
        ...over,
      },
    ],
  });
  t.match(of(override({ minRepairWaitTimeMins: 20, repairAction: 'Reboot' })), {
    action: 'reboot',
    afterSeconds: 1140,
  });
  t.match(of(override({ repairAction: 'NoAction' })), {
    willAct: 'no',
    action: 'none',
    blockedBy: [{ code: 'repair-no-action' }],
  });
  t.match(of(override({ minRepairWaitTimeMins: 20 })), { action: 'replace', afterSeconds: 1140 });
  t.match(
    of(override({ repairAction: 'Reboot' }), 'DCGMHealthCode120'),
    { willAct: 'no', blockedBy: [{ code: 'repair-no-action' }] },
    'an override by reason does not match the reason that it changes to',
  );
  const xid64 = of({ enabled: true }, 'NvidiaXID64Error');
  t.equal(xid64.action, 'replace', 'the newest edition');
  t.match(xid64.notes.join('\n'), /another edition has reboot for this reason: https:/);
});

t.test('F11: what the reason may change to stands in the notes', async (t) => {
  const seen = forecast({ repair: { karpenter: karpenter('1.15.0') }, drill: planned() });
  t.match(
    seen.notes.join('\n'),
    /may change from NvidiaXID79Error to DCGMHealthCode120 \(replace after 30 min\) before the wait is over/,
  );
});

t.test('thresholds of a managed group', async (t) => {
  const rows: readonly (readonly [
    total: number,
    others: number,
    config: Partial<NodeRepairConfig>,
    isBlocked: boolean,
  ])[] = [
    [1, 0, {}, false],
    [5, 4, {}, false],
    [6, 0, {}, false],
    [6, 1, {}, true],
    [10, 1, {}, false],
    [10, 2, {}, true],
    [30, 5, {}, false],
    [30, 6, {}, true],
    [5, 1, { maxUnhealthyNodeThresholdCount: 1 }, true],
    [30, 9, { maxUnhealthyNodeThresholdCount: 10 }, false],
    [4, 1, { maxUnhealthyNodeThresholdPercentage: 40 }, true],
    [10, 4, { maxUnhealthyNodeThresholdPercentage: 50 }, false],
  ];
  for (const [total, others, config, isBlocked] of rows) {
    const seen = forecast({
      repair: {
        nodePool: undefined,
        nodeGroup: 'g1',
        karpenter: undefined,
        peers: peers(total, others),
        settings: { nodeGroup: { enabled: true, ...config } },
      },
      drill: planned(),
    });
    t.equal(seen.willAct, isBlocked ? 'no' : 'yes', `${others + 1} of ${total} ${JSON.stringify(config)}`);
  }
});

t.test('F10: HyperPod repairs by its own rules', async (t) => {
  const labels = { 'sagemaker.amazonaws.com/compute-type': 'hyperpod' };
  t.match(forecast({ node: { labels } }), {
    controller: 'SageMaker HyperPod',
    willAct: 'unknown',
    unread: [{ command: /aws sagemaker describe-cluster/ }],
  });
  const status = 'UnschedulablePendingReboot';
  t.match(
    forecast({ node: { labels: { ...labels, 'sagemaker.amazonaws.com/node-health-status': status } } }),
    {
      willAct: 'yes',
      action: 'reboot',
      afterSeconds: 0,
    },
  );
});
