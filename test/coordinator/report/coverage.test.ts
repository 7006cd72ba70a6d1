import { Registry } from 'prom-client';
import t from 'tap';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import { coverageOf } from '../../../coordinator/report/coverage.ts';
import { registerCoverageMetrics } from '../../../coordinator/report/coverage-metrics.ts';
import type { Injection } from '../../../coordinator/store/store.ts';
import type { Verdict } from '../../../coordinator/store/timeline.ts';

const rows = [
  { name: 'xid', needsGpu: true },
  { name: 'task-blocked', needsGpu: false },
];

function node(name: string, labels: Readonly<Record<string, string>>, gpus = '0'): KubeObject {
  return {
    metadata: { name, labels },
    status: { capacity: { 'nvidia.com/gpu': gpus } },
  } as unknown as KubeObject;
}

const allowed = { 'xidrill.dev/drill': 'allowed' };
const nodes = [
  node('g1', { ...allowed, 'karpenter.sh/nodepool': 'gpu' }, '1'),
  node('g2', { 'karpenter.sh/nodepool': 'gpu' }, '1'),
  node('c1', { ...allowed, 'eks.amazonaws.com/nodegroup': 'cpu' }),
  node('c2', { 'eks.amazonaws.com/nodegroup': 'system' }),
  node('own', allowed),
];

let count = 0;
function injection(
  fault: string,
  on: string,
  at: string,
  verdict: Verdict | undefined,
  spec: Partial<Injection['spec']> = {},
  seconds?: number,
): Injection {
  count += 1;
  return {
    metadata: { name: `i${count}` },
    spec: {
      experiment: `e${count}`,
      node: on,
      nodeUid: 'u',
      fault,
      parameters: {},
      chain: [],
      ...spec,
    },
    status: {
      phase: 'Completed',
      endedAt: at,
      ...(verdict === undefined ? {} : { verdict }),
      ...(seconds === undefined
        ? {}
        : { latency: { seconds, clock: 'coordinator', from: 'order', to: 'reaction' } }),
    },
  };
}

const gpu = 'Karpenter node pool gpu';
const cpu = 'managed node group cpu';

function cells(injections: readonly Injection[], of: readonly KubeObject[] | undefined = nodes) {
  return Object.fromEntries(
    coverageOf({ rows, nodes: of, injections }).cells.map((cell) => [`${cell.fault}, ${cell.pool}`, cell]),
  );
}

t.test('pools come from nodes that could be drilled, and a GPU fault asks for a GPU', async (t) => {
  const { pools } = coverageOf({ rows, nodes, injections: [] });
  t.strictSame(pools, [
    { pool: gpu, nodes: 2, drillAllowed: 1 },
    { pool: cpu, nodes: 1, drillAllowed: 1 },
    { pool: 'no pool', nodes: 1, drillAllowed: 1 },
  ]);
  const found = cells([]);
  t.same(Object.keys(found), [
    `xid, ${gpu}`,
    `task-blocked, ${gpu}`,
    `task-blocked, ${cpu}`,
    'task-blocked, no pool',
  ]);
  t.ok(
    Object.values(found).every(({ state, last, lastProven }) => state === 'never' && !last && !lastProven),
  );
});

t.test('the newest drill that was decided says how it stands', async (t) => {
  const at = (day: number) => `2026-03-0${day}T00:00:00Z`;
  const of = (...runs: readonly (readonly [number, Verdict | undefined])[]) =>
    cells(runs.map(([day, verdict]) => injection('xid', 'g1', at(day), verdict)))[`xid, ${gpu}`];
  t.match(of([1, 'pass']), { state: 'proven', runs: 1, passes: 1, last: { at: at(1) } });
  t.match(of([2, 'fail'], [1, 'pass']), {
    state: 'broken',
    lastProven: { at: at(1) },
    last: { at: at(2), verdict: 'fail' },
  });
  t.match(of([1, 'fail'], [2, 'pass']), { state: 'proven' });
  t.match(of([1, 'pass'], [2, 'inconclusive']), { state: 'proven', last: { verdict: 'inconclusive' } });
  t.match(of([1, 'error'], [2, 'aborted']), { state: 'undecided', runs: 2, passes: 0, lastProven: null });
  const ignored = {
    id: 'd',
    link: 'detection',
    role: 'fault',
    expected: '',
    expectation: { kind: 'ignored' },
  };
  const alone = injection('xid', 'g1', at(3), 'pass', { chain: [ignored as never] });
  t.match(cells([alone])[`xid, ${gpu}`], { state: 'undecided', passes: 0, last: { expected: 'ignored' } });
  const failed = injection('xid', 'g1', at(1), 'fail');
  t.match(cells([failed, alone])[`xid, ${gpu}`], { state: 'broken' }, 'that it was written is no detection');
  t.match(of([1, undefined]), { state: 'never', runs: 0 }, 'one that runs proves nothing');
  const times = [5, 1, 9].map((seconds, index) => injection('xid', 'g1', at(index + 1), 'pass', {}, seconds));
  t.match(cells(times)[`xid, ${gpu}`], { medianSeconds: 5, lastProven: { seconds: 9 } });
  t.strictSame(cells(times), cells(times.toReversed()), 'whatever the order of the objects');
});

t.test('a node that is gone or was moved counts for the pool that it had', async (t) => {
  const at = '2026-03-01T00:00:00Z';
  t.match(cells([injection('xid', 'gone', at, 'pass', { pool: gpu })])[`xid, ${gpu}`], { state: 'proven' });
  const owner = { nodePool: 'gpu' };
  t.match(cells([injection('xid', 'gone', at, 'pass', { owner })])[`xid, ${gpu}`], { state: 'proven' });
  t.match(cells([injection('xid', 'gone', at, 'pass')])['xid, no pool'], { state: 'proven' });
  t.match(cells([injection('xid', 'g2', at, 'pass')])[`xid, ${gpu}`], { state: 'proven' }, 'by its node now');
  t.match(
    cells([injection('task-blocked', 'g1', at, 'pass', { pool: cpu })], undefined),
    { [`task-blocked, ${cpu}`]: { state: 'proven' } },
    'without nodes the drilled pools are known',
  );
  t.equal(cells([injection('other-fault', 'g1', at, 'pass')])['other-fault, gpu'], undefined);
});

t.test('each Xid that was drilled stands for itself', async (t) => {
  const of = (xid: unknown, day: number, verdict: Verdict, seconds?: number) =>
    injection('xid', 'g1', `2026-03-0${day}T00:00:00Z`, verdict, { parameters: { xid } as never }, seconds);
  const found = cells([
    of(79, 1, 'pass', 12),
    of(48, 2, 'fail'),
    of(79, 3, 'fail'),
    of('x', 4, 'pass'),
    of(999, 4, 'pass'),
  ]);
  const cell = found[`xid, ${gpu}`];
  t.match(cell, { state: 'proven', runs: 5 });
  t.match(cell?.byXid, [
    { xid: 48, state: 'broken', runs: 1, passes: 0, lastProven: null },
    { xid: 79, state: 'broken', runs: 2, passes: 1, lastProven: { seconds: 12 }, medianSeconds: 12 },
  ]);
  t.equal(cell?.byXid?.length, 2, 'what is no Xid has none');
  t.notOk('byXid' in (found[`task-blocked, ${cpu}`] ?? {}));

  const registry = new Registry();
  const known: Record<string, readonly unknown[]> = {
    nodes,
    injections: [of(79, 1, 'pass'), of(48, 2, 'fail')],
  };
  registerCoverageMetrics(registry, { rows: faults, view: { all: (kind) => (known[kind] ?? []) as never } });
  const series = (await registry.metrics())
    .split('\n')
    .filter((line) => line.startsWith('xidrill_coverage_xid_'));
  t.strictSame(series, [
    `xidrill_coverage_xid_proven_timestamp_seconds{xid="79",pool="${gpu}"} ${Date.parse('2026-03-01') / 1000}`,
  ]);
});
