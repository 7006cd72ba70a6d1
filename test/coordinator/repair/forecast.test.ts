import t from 'tap';
import { monitors } from '../../../coordinator/catalogue/nma/conditions.ts';
import { conditionRows, reasonTables } from '../../../coordinator/catalogue/repair/eks.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import type { RepairForecast } from '../../../coordinator/repair/schema.ts';
import {
  before,
  type Change,
  facts,
  peers,
  planned,
  silentLockup,
  withCondition,
} from '../diagnosis/builder.ts';

const karpenter = facts().repair.karpenter;
const group = {
  nodeGroup: 'g1',
  nodePool: undefined,
  karpenter: undefined,
  peers: peers(3, 0),
};
const auto = { computeType: 'auto', nodePool: 'general', karpenter: undefined };

function expecting(reason: string, type = 'AcceleratedHardwareReady') {
  // The order itself leads to nothing: what is expected alone decides.
  const order = { method: 'WriteKernelMessage', body: { text: 'a line that nobody reads' } } as const;
  return planned({ order, expectation: { kind: 'condition', type, reason, withinSeconds: 60 } });
}

const falseSince = (seconds: number) =>
  withCondition('AcceleratedHardwareReady', {
    status: 'False',
    reason: 'NvidiaXID79Error',
    lastTransitionTime: before(seconds),
  });

type Row = readonly [
  name: string,
  change: Change,
  willAct: RepairForecast['willAct'],
  action: RepairForecast['action'],
  afterSeconds: number | null,
  blockedBy: readonly string[],
];

const rows: readonly Row[] = [
  ['Karpenter, gate on', {}, 'yes', 'replace', 600, []],
  ['Karpenter replaces whatever the reason', { drill: expecting('DCGMError') }, 'yes', 'replace', 600, []],
  [
    'Karpenter, another condition',
    { drill: expecting('ForkFailedOutOfPIDs', 'KernelReady') },
    'yes',
    'replace',
    1800,
    [],
  ],
  [
    'Karpenter, the gate is not named',
    { repair: { karpenter: karpenter && { ...karpenter, nodeRepairGate: undefined } } },
    'no',
    'replace',
    null,
    ['karpenter-gate-off'],
  ],
  ['Karpenter, not found', { repair: { karpenter: undefined } }, 'unknown', 'replace', 600, []],
  ['Karpenter, 1 of 1', { repair: { peers: peers(1, 0) } }, 'yes', 'replace', 600, []],
  ['Karpenter, 1 of 5', { repair: { peers: peers(5, 0) } }, 'yes', 'replace', 600, []],
  ['Karpenter, 2 of 5', { repair: { peers: peers(5, 1) } }, 'no', 'replace', null, ['repair-threshold']],
  ['Karpenter, 2 of 6', { repair: { peers: peers(6, 1) } }, 'yes', 'replace', 600, []],
  ['Karpenter, False for 4 min', { node: { conditions: falseSince(240) } }, 'yes', 'replace', 360, []],
  [
    'Karpenter, False for days: at once',
    { node: { conditions: falseSince(200_000) } },
    'yes',
    'replace',
    0,
    [],
  ],
  ['an event leads to nothing', { drill: silentLockup() }, 'no', 'none', null, ['repair-no-action']],
  [
    'a condition that nobody repairs',
    { drill: expecting('X', 'Custom') },
    'no',
    'none',
    null,
    ['repair-no-action'],
  ],
  ['managed group', { repair: group }, 'unknown', 'replace or reboot', 600, []],
  [
    'managed group, Xid 79',
    { repair: group, drill: expecting('NvidiaXID79Error') },
    'unknown',
    'replace',
    600,
    [],
  ],
  [
    'managed group, Xid 48',
    { repair: group, drill: expecting('NvidiaXID48Error') },
    'unknown',
    'reboot',
    600,
    [],
  ],
  [
    'managed group, DCGMError',
    { repair: group, drill: expecting('DCGMError') },
    'no',
    'none',
    null,
    ['repair-no-action'],
  ],
  [
    'managed group, 2 of 5',
    { repair: { ...group, peers: peers(5, 1) } },
    'unknown',
    'replace or reboot',
    600,
    [],
  ],
  [
    'managed group, 1 of 6',
    { repair: { ...group, peers: peers(6, 0) } },
    'unknown',
    'replace or reboot',
    600,
    [],
  ],
  [
    'managed group, 2 of 6',
    { repair: { ...group, peers: peers(6, 1) } },
    'no',
    'replace or reboot',
    null,
    ['repair-threshold'],
  ],
  ['EKS Auto', { repair: auto }, 'yes', 'replace', 600, []],
  ['EKS Auto, DCGMError', { repair: auto, drill: expecting('DCGMError') }, 'yes', 'replace', 600, []],
  [
    'EKS Auto, MemoryPressure',
    { repair: auto, drill: expecting('X', 'MemoryPressure') },
    'no',
    'none',
    null,
    ['repair-no-action'],
  ],
];

t.test('what a controller would do', async (t) => {
  for (const [name, change, willAct, action, afterSeconds, blockedBy] of rows) {
    const forecasts = forecastRepair(facts(change));
    t.equal(forecasts.length, 1, `${name}: one controller`);
    const [first] = forecasts;
    t.same(
      { willAct: first?.willAct, action: first?.action, afterSeconds: first?.afterSeconds },
      { willAct, action, afterSeconds },
      name,
    );
    t.same(
      first?.blockedBy.map(({ code }) => code),
      blockedBy,
      `${name}: blocked by`,
    );
    t.ok((first?.evidence.length ?? 0) > 1, `${name}: evidence`);
  }
});

t.test('nobody owns the node', async (t) => {
  t.same(forecastRepair(facts({ repair: { nodePool: undefined } })), []);
});

t.test('what will surprise stands in the notes', async (t) => {
  const held = { doNotDisruptPods: ['ml/trainer-0'] };
  const [karpenterRow] = forecastRepair(facts({ repair: held }));
  t.match(karpenterRow?.notes.join('\n'), /taints karpenter\.sh\/disrupted:NoSchedule and does not cordon/);
  t.match(karpenterRow?.notes.join('\n'), /idle node is deleted and nothing replaces it/);
  t.match(karpenterRow?.notes.join('\n'), /ml\/trainer-0; it sets the termination time to now/);
  const [groupRow] = forecastRepair(facts({ repair: { ...group, ...held } }));
  t.match(groupRow?.unread[0]?.command, /aws eks describe-nodegroup .*--nodegroup-name g1/);
  t.match(groupRow?.notes.join('\n'), /zonal shift/);
  t.match(groupRow?.notes.join('\n'), /cannot be seen from here/);
  const both = forecastRepair(facts({ repair: { nodeGroup: 'g1' } }));
  t.same(
    both.map(({ controller }) => controller),
    ['EKS managed node group auto repair', 'Karpenter'],
  );
});

t.test('every condition of NMA has a row; every row says where it stands', async (t) => {
  for (const { conditionType } of monitors)
    t.ok(
      conditionRows.some(({ type }) => type === conditionType),
      conditionType,
    );
  for (const { edition } of [...conditionRows, ...reasonTables]) {
    t.match(edition.source, /^https:\/\/docs\.aws\.amazon\.com/);
    t.match(edition.read, /^\d{4}-\d{2}$/);
  }
});
