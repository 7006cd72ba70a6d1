import t from 'tap';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { chainSeconds } from '../../../coordinator/drill/chain.ts';
import { links } from '../../../coordinator/drill/links.ts';
import { createPlanner } from '../../../coordinator/plan/planner.ts';
import { previewExperiment } from '../../../coordinator/preview/experiment.ts';
import { previewTarget } from '../../../coordinator/preview/preview.ts';
import type { ExperimentSpec } from '../../../coordinator/store/experiment.ts';
import type { Facts } from '../../../coordinator/view/facts.ts';
import { optInLabel, optInValue } from '../../../coordinator/view/node.ts';
import { Refusal } from '../../../shared/errors.ts';
import {
  type Change,
  deafEngine,
  engine,
  facts,
  inventory,
  pod,
  withCondition,
} from '../diagnosis/builder.ts';

const xid: ExperimentSpec = { fault: { name: 'xid', parameters: { xid: 79 } } };

const preview = (change: Change, spec = xid) =>
  previewTarget(facts(change), { spec, orderId: 'order-1', marker: 'abc123' });

t.test('what the preflight would find is a refusal too, and said once', async (t) => {
  t.same(preview({}).refusals, []);
  const rows: readonly (readonly [string, Change, readonly string[]])[] = [
    [
      'no agent',
      { agent: { url: undefined, inventory: { unread: 'no agent is known' } } },
      ['agent_unknown'],
    ],
    ['disarmed', { agent: { inventory: inventory({ armed: false }) } }, ['disarmed']],
    [
      'no consent',
      { agent: { inventory: inventory({ optIn: { given: false, because: 'ENOENT' } }) } },
      ['node_not_opted_in'],
    ],
    [
      'another coordinator',
      { agent: { inventory: inventory({ caller: { user: 'b', coordinator: 'a', methods: [] } }) } },
      ['policy_refused'],
    ],
    ['consent', { agent: { inventory: inventory({ optIn: { given: true } }) } }, []],
    ['nobody listens', { agent: { inventory: inventory({ engines: [deafEngine] }) } }, ['nobody_listens']],
    ['arm64', { node: { architecture: 'arm64' } }, ['arm64-gate']],
  ];
  for (const [name, change, reasons] of rows) {
    t.same(
      preview(change).refusals.map(({ reason }) => reason),
      reasons,
      name,
    );
    for (const { message, remedy } of preview(change).refusals) t.ok(message !== '' && remedy !== '', name);
  }
});

t.test('what is broken without being a refusal lowers the confidence', async (t) => {
  t.equal(preview({}).confidence.level, 'high');
  const rows: readonly (readonly [string, Change])[] = [
    ['nma-not-installed', { node: { conditions: [] }, nma: { daemonSet: undefined, pod: undefined } }],
    ['nma-not-running', { nma: { pod: pod('a', { phase: 'Pending', ready: false }) } }],
    [
      'already-false',
      { node: { conditions: withCondition('AcceleratedHardwareReady', { status: 'False' }) } },
    ],
  ];
  for (const [code, change] of rows) {
    const { confidence } = preview(change);
    t.equal(confidence.level, 'low', code);
    t.ok(
      confidence.because.some((text) => text.startsWith(`${code}: `)),
      `${code} in ${confidence.because}`,
    );
  }
});

t.test('what repair would follow', async (t) => {
  t.match(preview({}).repair, [
    { controller: 'Karpenter', willAct: 'yes', action: 'replace', afterSeconds: 600 },
  ]);
  const event = preview({}, { fault: { name: 'xid', parameters: { xid: 13 } } });
  t.match(event.repair, [{ willAct: 'no', blockedBy: [{ code: 'repair-no-action' }] }]);
});

/** A planner over so many nodes; `read` is what reading the facts of one does. */
function planning(count: number, read: (node: string) => Promise<Facts>, nma = '1.7.2') {
  const names = Array.from({ length: count }, (_, index) => `n${index}`);
  const planner = createPlanner({
    nodes: () =>
      names.map((name) => ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, uid: `uid-${name}`, labels: { [optInLabel]: optInValue } },
        status: {
          conditions: [{ type: 'Ready', status: 'True' }],
          capacity: { 'nvidia.com/gpu': '1' },
        },
      })),
    collector: {
      basics: read,
      repairBasics: read,
      nmaVersions: async () => new Map([['', findNmaVersion(nma)]]),
    },
    store: { listInjections: async () => [], listExperiments: async () => [] },
    rows: faults,
    links,
    assertRepair: () => undefined,
  });
  type Asked = Parameters<typeof planner.choose>[0];
  const preview = (asked: Asked) => previewExperiment({ planner, collector: { facts: read } }, asked);
  return { ...planner, preview };
}

const factsOf = (name: string, change: Change = {}) =>
  facts({ ...change, node: { name }, agent: { inventory: inventory({ node: name }), ...change.agent } });

t.test('at most 16 agents are asked at a time, and the answers keep their order', async (t) => {
  let asked = 0;
  let most = 0;
  const { preview: previewAll } = planning(40, async (node) => {
    asked += 1;
    most = Math.max(most, asked);
    await new Promise((resolve) => setImmediate(resolve));
    asked -= 1;
    return factsOf(node);
  });
  const spec: ExperimentSpec = { ...xid, target: { mode: 'all' } };
  const { targets } = await previewAll({ metadata: { name: 'drill' }, spec });
  t.equal(most, 16);
  t.equal(targets.length, 40);
  t.same(
    targets.map(({ node }) => node),
    targets.map(({ order }) => targetOf(order.orderId, targets)),
  );
});

/** The id of an order is made of experiment and node, so that no two are the same. */
function targetOf(orderId: string, targets: readonly { node: string; order: { orderId: string } }[]) {
  return targets.find(({ order }) => order.orderId === orderId)?.node;
}

t.test('a drill of a health check is planned by the engine that the node has', async (t) => {
  const spec: ExperimentSpec = { fault: { name: 'health-recovery-action', parameters: { action: 4 } } };
  const experiment = { metadata: { name: 'drill', uid: 'u' }, spec } as never;
  const old = inventory({ node: 'n0', engines: [engine({ version: '4.5.2' })] });
  const rows = [
    ['4.5.2', async () => factsOf('n0', { nma: { version: version('1.7.2') }, agent: { inventory: old } })],
    ['unread', async () => Promise.reject(new Refusal('node_unknown', 'gone'))],
  ] as const;
  for (const [name, read] of rows) {
    const [spec] = await planning(1, read).injections(experiment, ['n0']);
    t.match(spec?.chain[1]?.expectation?.reason, /^DCGMHealthCode/, name);
  }
});

t.test('R3: the engine that the request names judges, not that of the chart', async (t) => {
  // The check of field 393 is new in 4.6.0; the chart of 1.6.4 installs 4.5.2.
  const engines = [
    engine({ version: '4.5.2' }),
    { ...deafEngine, version: '4.6.0', pid: 777, address: '127.0.0.1:5556' },
  ];
  const read = async () =>
    factsOf('n0', {
      nma: { version: version('1.6.4') },
      agent: { inventory: inventory({ node: 'n0', engines }) },
    });
  const fault = (asked: object) => ({
    metadata: { name: 'drill', uid: 'u' },
    spec: { fault: { name: 'health-row-remap-limit', parameters: { force: true, ...asked } } },
  });
  const chart = planning(1, read, '1.6.4');
  const named = [{ pid: 777 }, { address: '127.0.0.1:5556' }];
  for (const asked of named) {
    const request = fault({ engine: asked });
    t.match(await chart.choose(request), { nodes: ['n0'] });
    const [spec] = await chart.injections(request as never, ['n0']);
    t.match(spec?.chain[1]?.expectation, { reason: /^DCGMHealthCode/, via: 'health-check' });
    const [previewed] = (await chart.preview(request)).targets;
    t.match(previewed?.expectation.reason, /^DCGMHealthCode/);
    t.ok(
      previewed?.writes.every(({ where }) => where.includes('4.6.0')),
      'and it is what is written to',
    );
  }
  for (const asked of [{}, { engine: { pid: 1 } }]) {
    const refused = await chart.choose(fault(asked)).catch((thrown: unknown) => thrown);
    t.match(refused, { reason: 'expectation_invalid', message: /host engine 4\.5\.2/ });
  }
});

function version(text: string): NonNullable<Facts['nma']['version']> {
  return { text, ...findNmaVersion(text) };
}

t.test('nodes that differ in nothing but their names are planned once when they are selected', async (t) => {
  let asked = 0;
  const old = inventory({ engines: [engine({ version: '4.5.2' })] });
  const { choose, injections } = planning(40, async (name) => {
    asked += 1;
    return factsOf(name, {
      nma: { version: version('1.7.2') },
      agent: { inventory: { ...old, node: name } },
    });
  });
  const spec: ExperimentSpec = {
    fault: { name: 'health-recovery-action', parameters: { action: 4 } },
    target: { mode: 'all' },
  };
  const { nodes, longestSeconds } = await choose({ metadata: { name: 'drill' }, spec });
  t.equal(nodes.length, 40);
  t.equal(asked, 0, 'no agent is asked to select');
  const specs = await injections({ metadata: { name: 'drill', uid: 'u' }, spec, status: undefined }, nodes);
  t.equal(asked, 40, 'each is asked once when its Injection is made, as the host engine decides');
  const ids = specs.map(({ chain }) => chain[0]?.order?.orderId);
  t.equal(new Set(ids).size, 40, 'each has an order of its own');
  for (const { chain } of specs) t.equal(chainSeconds(chain), longestSeconds);
});
