import t from 'tap';
import { activeUntil, removalsOf } from '../../../coordinator/run/retention.ts';
import { experimentFrom, type Injection, injectionFrom } from '../../../coordinator/store/store.ts';
import { cpuNode, gpuNode, only, startCoordinator, startRig, until } from '../rig.ts';

const day = 86_400_000;

/** An order that goes on for 300 s and was sent at midnight. */
const spec = {
  experiment: 'e',
  node: 'n',
  nodeUid: 'u',
  fault: 'dcgm-field',
  parameters: {},
  chain: [
    {
      id: 'order',
      link: 'order',
      role: 'fault',
      expected: '',
      order: {
        orderId: 'o',
        method: 'InjectDcgmField',
        body: { gpu: { index: 0 }, field: 230, value: 79, forSeconds: 300 },
      },
    },
  ],
};
const baseline = { at: '2026-06-01T00:00:00.000Z', events: {} };
const link = { id: 'order', link: 'order', state: 'reached', expected: '', baseline, evidence: [] };

const unanswered = injection({ phase: 'Completed', links: [link] });

t.test('N11: what is removed, and what never', async (t) => {
  const now = Date.parse('2026-06-01T00:00:00Z');
  const experiment = (name: string, daysAgo: number | null) =>
    experimentFrom({
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { fault: { name: 'task-blocked' } },
      ...(daysAgo !== null && {
        status: { phase: 'Completed', endedAt: new Date(now - daysAgo * day).toISOString() },
      }),
    });
  const all = [
    experiment('open', null),
    ...[40, 31, 30, 5, 3, 1].map((days) => experiment(`d${days}`, days)),
  ];
  const removed = (keepMs: number, keepCount: number, held: readonly string[] = []) =>
    removalsOf(
      all,
      (name) => (held.includes(name) ? [sustained('2026-06-01T00:10:00Z')] : []),
      { keepMs, keepCount },
      now,
    ).map(({ experiment: { metadata }, why }) => `${metadata.name} ${why}`);
  t.same(removed(30 * day, 500), ['d40 age', 'd31 age'], 'what ended exactly 30 days ago stays');
  t.same(removed(30 * day, 2), ['d40 age', 'd31 age', 'd30 count', 'd5 count']);
  t.same(removed(day, 1), ['d40 age', 'd31 age', 'd30 age', 'd5 age', 'd3 age'], 'one that runs never');
  t.same(removed(30 * day, 6), ['d40 age', 'd31 age']);
  t.same(removed(365 * day, 6), []);
  t.same(removed(day, 1, ['d40', 'd5']), ['d31 age', 'd30 age', 'd3 age'], 'one that holds something never');
  t.equal(activeUntil(sustained('2026-06-01T00:10:00Z')), Date.parse('2026-06-01T00:10:00Z'));
  t.equal(activeUntil(sustained('2026-06-01T00:10:00Z', 'ended')), 0, 'it was seen to end');
  t.equal(
    activeUntil(unanswered),
    Date.parse('2026-06-01T00:05:00Z'),
    'an order without an answer may have been carried out',
  );
});

function sustained(until: string, state: 'running' | 'ended' = 'running'): Injection {
  const surface = { surface: 'dcgm', outcome: 'injected', undo: '', notes: [], sustained: { until } };
  const receipt = { state, acceptedAt: baseline.at, surfaces: [surface] };
  return injection({ phase: 'Completed', links: [{ ...link, receipt }] });
}

function injection(status: object): Injection {
  return injectionFrom({ apiVersion: '', kind: 'Injection', metadata: { name: 'e-n' }, spec, status });
}

t.test('N11: a coordinator removes what is over its limits', async (t) => {
  const rig = await startRig(t, { rows: [cpuNode('plain'), gpuNode('gpu')] });
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'drills' },
  });
  const retention = { keepMs: day, keepCount: 2 };
  const { rest } = await startCoordinator(t, rig, { namespace: 'drills', retention });
  const names = async () =>
    (await rest.ask<{ items: { name: string }[] }>('GET', '/api/v1/experiments?form=short')).body.items
      .map(({ name }) => name)
      .toSorted();
  // It runs all the time.
  await rest.create({
    name: 'endless',
    fault: { name: 'task-blocked' },
    target: only('gpu'),
    expectation: { message: 'never', within: '1h' },
  });
  for (const name of ['first', 'second', 'third', 'fourth'])
    t.equal(
      (await rest.drill({ name, fault: { name: 'task-blocked' }, target: only('plain') })).verdict,
      'pass',
    );
  await until(t, 'the two newest and the open one', async () => (await names()).length === 3);
  t.same(await names(), ['endless', 'fourth', 'third']);
  const left = await rig.cluster.list('injections', { namespace: 'drills' });
  t.same(
    left.items.map(({ metadata }) => metadata.labels?.['xidrill.dev/experiment']).toSorted(),
    ['endless', 'fourth', 'third'],
    'the injections went with them',
  );
  t.match(
    await (await fetch(`${rest.url}/metrics`)).text(),
    /xidrill_removed_experiments_total\{why="count"\} 2\n/,
  );
  t.equal((await rest.ask('GET', '/api/v1/experiments/first')).status, 404);
});
