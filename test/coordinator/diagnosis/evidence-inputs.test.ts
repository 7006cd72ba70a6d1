import t from 'tap';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { channelOf } from '../../../coordinator/catalogue/channels.ts';
import { xidReaction } from '../../../coordinator/catalogue/nma/reactions.ts';
import { type NmaVersion, nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import { exampleParameters, resolveParameters } from '../../../coordinator/catalogue/parameters.ts';
import { reasonTables } from '../../../coordinator/catalogue/repair/eks.ts';
import type { Judgement } from '../../../coordinator/diagnosis/rule.ts';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import type { DrillFacts, Facts } from '../../../coordinator/view/facts.ts';
import type { NodeCondition } from '../../../coordinator/view/node.ts';
import {
  before,
  condition,
  deafEngine,
  facts,
  healthyConditions,
  inventory,
  now,
  plannedFault,
  pod,
  version,
} from './builder.ts';
import { ruleRows } from './rows.ts';

/** What a rule answers, without its words. */
function answer(judgement: Judgement): string {
  if (judgement.is !== 'cause') return judgement.is;
  return `${judgement.certainty}${judgement.blocks ? '!' : ''}${judgement.incidental ? ' incidental' : ''}`;
}

const healthy = facts();
const withNode = (given: Facts, node: Partial<Facts['node']>) => ({
  ...given,
  node: { ...given.node, ...node },
});
const withNma = (given: Facts, nma: Partial<Facts['nma']>) => ({ ...given, nma: { ...given.nma, ...nma } });
const withDrill = (given: Facts, drill: Partial<DrillFacts>) =>
  given.drill === undefined ? given : { ...given, drill: { ...given.drill, ...drill } };
const withInventory = (given: Facts, change: Parameters<typeof inventory>[0] = {}) => ({
  ...given,
  agent: { ...given.agent, inventory: inventory(change) },
});

function turned(given: Facts, change: (condition: NodeCondition) => Partial<NodeCondition>): Facts {
  const conditions = given.node.conditions.map((one) => ({ ...one, ...change(one) }));
  return withNode(given, { conditions });
}

/** Each kind of source, and how the world would have to look for the evidence not to stand there. */
const contrary: readonly (readonly [source: RegExp, change: (given: Facts) => readonly Facts[]])[] = [
  [
    /status\.conditions/,
    (given) => [
      withNode(given, { conditions: healthyConditions }),
      withNode(given, { conditions: [] }),
      turned(given, () => ({ lastHeartbeatTime: now })),
      turned(given, () => ({ lastHeartbeatTime: before(7200) })),
      turned(given, ({ type }) =>
        type === 'Ready' ? {} : { status: 'False', reason: 'Other', message: 'other' },
      ),
      withDrill(given, { conditionBefore: undefined }),
      withDrill(given, { timeline: [] }),
    ],
  ],
  [/nodeInfo\.architecture$/, (given) => [withNode(given, { architecture: 'amd64' })]],
  [
    /metadata\.labels|status\.allocatable|nodes of node (pool|group)/,
    (given) => [
      withNode(given, { labels: {}, instanceType: undefined, hasGpu: !given.node.hasGpu, offeredGpus: 8 }),
      withNode(given, { labels: {}, expectedGpus: { count: 1, source: 'x' } }),
      withNode(given, { instanceType: 'inf2.xlarge', hasGpu: true }),
      { ...given, repair: { ...given.repair, peers: { total: 100, unhealthyOthers: {} } } },
      { ...given, repair: { ...given.repair, peers: { total: 2, unhealthyOthers: { x: 2 } } } },
    ],
  ],
  [
    /metadata\.(uid|creationTimestamp)$/,
    (given) => [withNode(given, { uid: given.drill?.nodeUid ?? 'other' })],
  ],
  [/spec\.taints$/, (given) => [withNode(given, { taints: [] })]],
  [
    /^(pods|daemonsets|serviceaccounts|version of NMA|configmaps|fatal Xids|kernel log patterns)/,
    (given) => [
      withNma(given, healthy.nma),
      withNma(given, { pod: undefined, dcgmServer: { daemonSet: true, pod: undefined } }),
      withNma(given, { pod: given.nma.pod && { ...given.nma.pod, environment: {}, volumes: [] } }),
      withNma(given, { pod: pod('x', { startedAt: before(10) }) }),
      withNma(given, { version: version('v1.7.2-eksbuild.1') }),
      withNma(given, { version: version('v1.6.0-eksbuild.1') }),
      withNma(given, { disabledPlugins: [], serviceAccount: undefined }),
      // Agents are pods as well.
      { ...given, agent: healthy.agent },
    ],
  ],
  [/^log /, (given) => [withNma(given, { log: [] })]],
  [
    /^agent .*(GetInventory|ListHostEngines)/,
    (given) => [
      withInventory(given),
      withInventory(given, { engines: [] }),
      withInventory(given, { engines: [deafEngine] }),
      withInventory(given, { gpus: [], identities: [] }),
    ],
  ],
  [
    /^(agent|order|the plan|end of the wait|events)/,
    (given) => [
      withDrill(given, { refusal: undefined, receipt: undefined }),
      withDrill(given, { refusal: undefined, receipt: undefined, timeline: [], waitedUntil: undefined }),
      withDrill(given, { timeline: [] }),
      withDrill(given, { waitedUntil: before(-3600) }),
      { ...withNma(given, { log: [] }), drill: undefined } as unknown as Facts,
      { ...given, agent: healthy.agent },
    ],
  ],
  [
    /^a fault of a GPU, supposed$/,
    (given) => [
      { ...withNode(given, { conditions: healthyConditions }), drill: plannedFault('task-blocked') },
    ],
  ],
  [
    /^(deployments|aws\/karpenter|https:\/\/docs\.aws)/,
    (given) => [
      { ...given, repair: { ...given.repair, karpenter: undefined } },
      { ...given, repair: { ...given.repair, karpenter: healthy.repair.karpenter } },
      withNode(given, { labels: {} }),
    ],
  ],
  [/^link /, (given) => [{ ...given, drill: plannedFault('task-blocked') }]],
];

/** The row of `contrary` for a source. */
function sourceOf(source: string): RegExp {
  const row = contrary.find(([pattern]) => pattern.test(source));
  if (row === undefined) throw new RangeError(source);
  return row[0];
}

/** What stands beside a proof to place it; without it the cause is the same. */
const context: readonly (readonly [code: string, source: RegExp, why: 'remedy' | `because ${string}`])[] = [
  ['monitor-not-registered', sourceOf('nodes/n metadata.labels'), 'remedy'],
  ['monitor-not-registered', sourceOf('agent n GetInventory gpus'), 'remedy'],
  ['dcgm-server-missing', sourceOf('nodes/n spec.taints'), 'remedy'],
  [
    'dcgm-server-missing',
    sourceOf('nodes/n metadata.labels'),
    'because its affinity lists instance types, which nobody but the reader can compare',
  ],
  [
    'kernel-log-not-read',
    sourceOf('kernel log patterns'),
    'because no version of NMA reads it: the table of all of them',
  ],
  [
    'other-reaction',
    sourceOf('version of NMA'),
    'because the reader may want to know which version’s table was asked',
  ],
  [
    'reason-not-given',
    sourceOf('version of NMA'),
    'because no version has the reason, so that none changes it',
  ],
  [
    'reason-not-given',
    sourceOf('agent n GetInventory engines'),
    'because no engine has the reason, so that none changes it',
  ],
  [
    'arm64-gate',
    sourceOf('nodes/n status.conditions'),
    'because it says True although nothing is seen: the point of the cause',
  ],
  [
    'karpenter-gate-off',
    sourceOf('nodes/n status.conditions'),
    'because without its gate no condition is repaired',
  ],
  [
    'karpenter-gate-off',
    sourceOf('a fault of a GPU, supposed'),
    'because no fault was asked for: the forecast supposes one',
  ],
  [
    'karpenter-not-running',
    sourceOf('a fault of a GPU, supposed'),
    'because no fault was asked for: the forecast supposes one',
  ],
  [
    'repair-budget',
    sourceOf('a fault of a GPU, supposed'),
    'because no fault was asked for: the forecast supposes one',
  ],
  [
    'repair-threshold',
    sourceOf('a fault of a GPU, supposed'),
    'because no fault was asked for: the forecast supposes one',
  ],
  [
    'repair-not-enabled',
    sourceOf('a fault of a GPU, supposed'),
    'because no fault was asked for: the forecast supposes one',
  ],
  ['karpenter-gate-off', sourceOf('order'), 'because it keeps the repair away whatever the fault is'],
  ['repair-vetoed', sourceOf('order'), 'because it keeps the repair away whatever the fault is'],
];

t.test('evidence is an input: with the contrary fact the cause does not stand as it did', async (t) => {
  let pairs = 0;
  const deaf: string[] = [];
  for (const { code, judge } of rules) {
    const bySource = new Map<RegExp, boolean>();
    const byRemedy = new Set<RegExp>();
    for (const [, name, , given] of ruleRows.filter(([of]) => of === code)) {
      const judgement = judge(given);
      if (judgement.is !== 'cause') continue;
      for (const { source } of judgement.evidence) {
        const row = contrary.find(([pattern]) => pattern.test(source));
        if (row === undefined) {
          t.fail(`${code}, ${name}: no contrary fact is known for evidence from "${source}"`);
          continue;
        }
        const isHeard = row[1](given).some((other) => answer(judge(other)) !== answer(judgement));
        const remedies = row[1](given).map((other) => judge(other));
        if (remedies.some((other) => other.is === 'cause' && other.remedy !== judgement.remedy))
          byRemedy.add(row[0]);
        bySource.set(row[0], isHeard || bySource.get(row[0]) === true);
      }
    }
    for (const [pattern, isHeard] of bySource) {
      pairs += 1;
      const known = context.find(([of, source]) => of === code && source.source === pattern.source);
      if (known?.[2] === 'remedy')
        t.ok(byRemedy.has(pattern), `${code}: ${pattern.source} decides the remedy`);
      if (!isHeard && known === undefined) deaf.push(`${code}: ${pattern.source}`);
      if (isHeard && known !== undefined) deaf.push(`${code}: ${pattern.source} is an input after all`);
    }
  }
  t.same(deaf, [], 'whatever is shown as evidence decides, or the table says why it is there');
  t.ok(pairs > 60, `${pairs} pairs of a rule and a kind of source`);
});

/** What decides nothing that a drill of any fault shows, with the reason. */
const sameAsBefore: Readonly<Record<string, string>> = {
  '1.6.1': 'Calico chains are allowed: a matter of IPTables rules that no fault of ours writes',
  '1.6.3': 'the metrics port can be removed',
  '1.7.1': 'its row says what it changed, none of which a fault of ours meets',
};

/** All that a version answers to any fault of the catalogue, as reasons, kinds and windows. */
function answersOf(row: NmaVersion): string {
  const on = { nma: row, engineVersion: row.engineVersion };
  const reactions = faults.map((fault) => {
    const parameters = resolveParameters(fault, exampleParameters(fault), 'a1b2c3');
    const work = { channel: fault.channel, parameters, gpu: { index: 0 }, marker: 'a1b2c3' };
    return channelOf(fault.channel).reactions(work, on);
  });
  const xids = Array.from({ length: 200 }, (_, xid) => xidReaction(row, xid).appearsAs);
  const { version: _, released, notes, source, knownFrom, ...rules } = row;
  return JSON.stringify([reactions, xids, rules]);
}

t.test('each version of NMA that is shown changes something, or says why not', async (t) => {
  for (const [index, row] of nmaVersions.entries()) {
    const previous = nmaVersions[index - 1];
    if (previous === undefined) continue;
    const isSame = answersOf(previous) === answersOf(row);
    t.equal(isSame, sameAsBefore[row.version] !== undefined, `${row.version} after ${previous.version}`);
    if (isSame) t.ok(row.notes.length > 0, `${row.version}: its row says what it changed`);
  }
});

t.test('Xids and engine of a version of NMA are inputs of the reactions', async (t) => {
  const row = nmaVersions.at(-1);
  if (row === undefined) throw new Error('no version');
  const reactionsOf = (other: NmaVersion) =>
    JSON.stringify((JSON.parse(answersOf(other)) as unknown[]).slice(0, 2));
  const flipped: Partial<NmaVersion> = { fatalXids: [], engineVersion: '4.4.2' };
  for (const [name, value] of Object.entries(flipped))
    t.ok(reactionsOf(row) !== reactionsOf({ ...row, [name]: value }), name);
});

t.test('each row of an edition of the EKS guide is an input of the forecast', async (t) => {
  const reasons = [
    '79',
    '48',
    '63',
    '74',
    '95',
    '109',
    '119',
    '143',
    '151',
    '13',
    '31',
    '94',
    '121',
    '140',
  ].map((xid) => `NvidiaXID${xid}Error`);
  const named = [...reasons, 'DCGMError', 'NvidiaDoubleBitError', 'NeuronDMAError'];
  for (const [at, { edition, rows }] of reasonTables.entries())
    for (const { pattern, action } of rows) {
      const reason = named.find((one) => pattern.test(one));
      t.not(reason, undefined, `${pattern} is tried`);
      const newer = reasonTables
        .slice(0, at)
        .some((table) => table.rows.some((row) => row.pattern.test(reason ?? '')));
      const conditions = [
        ...healthyConditions.filter(({ type }) => type !== 'AcceleratedHardwareReady'),
        condition('AcceleratedHardwareReady', {
          status: 'False',
          reason: reason ?? '',
          lastTransitionTime: before(60),
        }),
      ];
      const [forecast] = forecastRepair(
        facts({
          node: { conditions },
          repair: { nodePool: undefined, nodeGroup: 'g', karpenter: undefined },
        }),
      );
      if (newer) continue;
      t.equal(forecast?.action, action, `${reason} by ${edition.source}`);
      const page = edition.source.split(',')[0] ?? '';
      t.ok(JSON.stringify(forecast).includes(page), `${reason}: names its edition`);
    }
});
