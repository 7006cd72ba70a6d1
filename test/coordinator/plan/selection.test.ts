import fc from 'fast-check';
import t from 'tap';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import { noTarget } from '../../../coordinator/plan/no-target.ts';
import { type Candidate, selectNodes } from '../../../coordinator/plan/select.ts';
import type { Target } from '../../../coordinator/store/experiment.ts';
import { seedFromName } from '../../../coordinator/store/store.ts';
import { expectedGpus, hasGpu } from '../../../coordinator/view/node.ts';
import { Refusal } from '../../../shared/errors.ts';

const candidate = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  name,
  uid: `uid-${name}`,
  labels: { 'xidrill.dev/drill': 'allowed' },
  ready: true,
  hasGpu: true,
  deleting: false,
  ...more,
});
const many = (count: number) => Array.from({ length: count }, (_, at) => candidate(`n${at}`));
const namesOf = (nodes: readonly Candidate[], target: Target, seed = 7) =>
  selectNodes(nodes, target, seed).chosen.map(({ name }) => name);

t.test('how many each mode takes', async (t) => {
  const rows: readonly (readonly [Target, number, number, string])[] = [
    [{}, 10, 1, 'one is the default'],
    [{ mode: 'one' }, 10, 1, 'one'],
    [{ mode: 'all' }, 10, 10, 'all'],
    [{ mode: 'fixed', value: 3 }, 10, 3, 'fixed'],
    [{ mode: 'fixed', value: 30 }, 10, 10, 'fixed takes what there is'],
    [{ mode: 'fixed-percent', value: 25 }, 10, 2, 'a percentage is rounded down'],
    [{ mode: 'fixed-percent', value: 1 }, 10, 1, 'and never to nothing'],
    [{ mode: 'fixed-percent', value: 100 }, 10, 10, 'all of them'],
    [{ mode: 'random-max-percent', value: 1 }, 10, 1, 'at least one'],
  ];
  for (const [target, of, expected, name] of rows) t.equal(namesOf(many(of), target).length, expected, name);
  t.strictSame(namesOf([], { mode: 'all' }), [], 'nobody of nobody');
});

t.test('what a mode does not take', async (t) => {
  const rows: readonly (readonly [Target, string])[] = [
    [{ mode: 'fixed' }, 'target.value'],
    [{ mode: 'fixed-percent' }, 'target.value'],
    [{ mode: 'random-max-percent' }, 'target.value'],
    [{ mode: 'one', value: 1 }, 'target.value'],
    [{ mode: 'all', value: 1 }, 'target.value'],
    [{ value: 1 }, 'target.value'],
    [{ mode: 'fixed-percent', value: 101 }, 'target.value'],
    [{ mode: 'random-max-percent', value: 200 }, 'target.value'],
    [{ selector: { names: ['n0', 'nobody'] } }, 'target.selector.names'],
    [
      { selector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
      'target.selector.matchExpressions[0].values',
    ],
    [
      { selector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['x'] }] } },
      'target.selector.matchExpressions[0].values',
    ],
  ];
  for (const [target, field] of rows) {
    try {
      selectNodes(many(3), target, 1);
      t.fail(`${JSON.stringify(target)} was taken`);
    } catch (thrown) {
      t.equal(thrown instanceof Refusal && thrown.details.field, field, JSON.stringify(target));
    }
  }
});

t.test('every node that is left out is told why', async (t) => {
  const nodes = [
    candidate('fits', { labels: { 'xidrill.dev/drill': 'allowed', pool: 'gpu' } }),
    candidate('other', { labels: { 'xidrill.dev/drill': 'allowed', pool: 'gpu' } }),
    candidate('leaving', { deleting: true }),
    candidate('plain', { labels: {} }),
    candidate('unasked', { labels: { pool: 'gpu' } }),
    candidate('busy', { labels: { 'xidrill.dev/drill': 'allowed', pool: 'gpu' }, busyWith: 'drill-1' }),
  ];
  const target: Target = { selector: { matchLabels: { pool: 'gpu' } } };
  const { chosen, skipped } = selectNodes(nodes, target, 3);
  const because = Object.fromEntries(skipped.map((row) => [row.node, row.because]));
  t.equal(chosen.length, 1);
  t.equal(chosen.length + skipped.length, nodes.length, 'nobody is forgotten');
  t.match(because, {
    leaving: 'it is being deleted',
    plain: 'label pool is absent, not gpu',
    unasked: 'not opted in: kubectl label node unasked xidrill.dev/drill=allowed',
    busy: 'experiment drill-1 works on it',
  });
  const codes = Object.fromEntries(skipped.map((row) => [row.node, row.code]));
  t.match(codes, { leaving: 'deleting', plain: 'not-selected', unasked: 'not-opted-in', busy: 'busy' });
  t.equal(Object.values(codes).filter((code) => code === 'not-picked').length, 1);
  t.match(Object.values(because).join('\n'), /not picked: 1 of 2 fit \(mode one, seed 3\)/);
});

t.test('what does not suit is left out, unless it is named', async (t) => {
  const nodes = [
    candidate('fits'),
    candidate('bare', { hasGpu: false }),
    candidate('down', { ready: false }),
    candidate('both', { hasGpu: false, ready: false }),
  ];
  const pick = (target: Target, needsGpu: boolean) => selectNodes(nodes, target, 1, { needsGpu });
  const gpu = pick({ mode: 'all' }, true);
  t.same(
    gpu.chosen.map(({ name }) => name),
    ['fits'],
  );
  t.match(Object.fromEntries(gpu.skipped.map((row) => [row.node, row.because])), {
    bare: /^it shows no GPU .*target\.selector\.names takes it all the same$/,
    down: /^it is not Ready; target\.selector\.names takes it all the same$/,
    both: /^it is not Ready/,
  });
  t.match(Object.fromEntries(gpu.skipped.map((row) => [row.node, row.code])), {
    bare: 'no-gpu',
    down: 'not-ready',
    both: 'not-ready',
  });
  t.same(
    pick({ mode: 'all' }, false)
      .chosen.map(({ name }) => name)
      .toSorted(),
    ['bare', 'fits'],
  );
  const named: Target = { mode: 'all', selector: { names: ['bare', 'down', 'both'] } };
  t.same(
    pick(named, true)
      .chosen.map(({ name }) => name)
      .toSorted(),
    ['both', 'bare', 'down'].toSorted(),
  );
});

t.test('a Node object shows its GPU', async (t) => {
  const node = (labels: Record<string, string>, status: object): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n', labels },
    status,
  });
  const none = { 'nvidia.com/gpu': '0' };
  const rows: readonly (readonly [boolean, KubeObject])[] = [
    [true, node({}, { allocatable: { 'nvidia.com/gpu': '8' } })],
    [true, node({}, { capacity: { 'nvidia.com/gpu': '8' }, allocatable: none })],
    [true, node({ 'nvidia.com/gpu.present': 'true' }, {})],
    [true, node({ 'karpenter.k8s.aws/instance-gpu-count': '1' }, {})],
    // F8: MIG, shared and DRA nodes have GPUs.
    [true, node({}, { allocatable: { ...none, 'nvidia.com/mig-1g.5gb': '7' } })],
    [true, node({}, { allocatable: { 'nvidia.com/gpu.shared': '10' } })],
    // Quantities as the API server writes them, and as it takes them.
    [true, node({}, { allocatable: { 'nvidia.com/gpu': 1 } })],
    [true, node({}, { allocatable: { 'nvidia.com/gpu.shared': '1k' } })],
    [true, node({}, { capacity: { 'nvidia.com/gpu': '2e0' } })],
    [false, node({}, { allocatable: { 'nvidia.com/gpu': 0, 'nvidia.com/gpu.shared': 'many' } })],
    [false, node({}, { allocatable: { 'nvidia.com/gpu': null, 'nvidia.com/mig-1g.5gb': ['7'] } })],
    [true, node({ 'node.kubernetes.io/instance-type': 'p5.48xlarge' }, {})],
    [true, node({ 'node.kubernetes.io/instance-type': 'g6f.large' }, {})],
    [true, node({ 'eks.amazonaws.com/instance-gpu-count': '8' }, {})],
    [false, node({}, { allocatable: { 'nvidia.com/mig-1g.5gb': '0', 'nvidia.com/hostdev': '4' } })],
    [false, node({ 'node.kubernetes.io/instance-type': 'g4ad.xlarge' }, {})],
    [false, node({ 'node.kubernetes.io/instance-type': 'toString.x' }, {})],
    [
      false,
      node(
        {
          'karpenter.k8s.aws/instance-gpu-count': '1',
          'karpenter.k8s.aws/instance-gpu-manufacturer': 'amd',
        },
        {},
      ),
    ],
    [false, node({ 'nvidia.com/gpu.present': 'false' }, { capacity: none, allocatable: none })],
    [false, node({}, {})],
  ];
  for (const [expected, given] of rows) t.equal(hasGpu(given), expected, JSON.stringify(given));
});

t.test('F8: how many GPUs a node should have', async (t) => {
  const type = 'node.kubernetes.io/instance-type';
  const rows: readonly (readonly [Record<string, string>, number | undefined])[] = [
    [{ 'karpenter.k8s.aws/instance-gpu-count': '4', [type]: 'p5.48xlarge' }, 4],
    [{ 'eks.amazonaws.com/instance-gpu-count': '2' }, 2],
    [{ [type]: 'g5.12xlarge' }, 4],
    [{ [type]: 'g5.2xlarge' }, 1],
    [{ [type]: 'p6e-gb200.36xlarge' }, 4],
    // F10: HyperPod's names of the same machines.
    [{ [type]: 'ml.p5.48xlarge' }, 8],
    [{ [type]: 'ml.g5.12xlarge' }, 4],
    [{ [type]: 'ml.m7i.large' }, undefined],
    [{ [type]: 'ml.ml.p5.48xlarge' }, undefined],
    // Fractions of a GPU, and sizes that the table lacks.
    [{ [type]: 'g6f.large' }, undefined],
    [{ [type]: 'p5.99xlarge' }, undefined],
    [{ [type]: 'm7i.large' }, undefined],
    [{ 'karpenter.k8s.aws/instance-gpu-count': 'x' }, undefined],
    [{}, undefined],
  ];
  for (const [labels, count] of rows) t.equal(expectedGpus(labels)?.count, count, JSON.stringify(labels));
});

t.test('match expressions are those of a label selector', async (t) => {
  const nodes = [candidate('a', { labels: { 'xidrill.dev/drill': 'allowed', zone: 'x' } }), candidate('b')];
  const chosen = (operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', values?: string[]) =>
    namesOf(nodes, {
      mode: 'all',
      selector: { matchExpressions: [{ key: 'zone', operator, ...(values && { values }) }] },
    });
  t.strictSame(chosen('In', ['x', 'y']), ['a']);
  t.strictSame(chosen('NotIn', ['x']), ['b'], 'an absent label is not in any list');
  t.strictSame(chosen('Exists'), ['a']);
  t.strictSame(chosen('DoesNotExist'), ['b']);
});

const nodeNames = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 30 });
const targets: fc.Arbitrary<Target> = fc.oneof(
  fc.constantFrom<Target>({ mode: 'one' }, { mode: 'all' }),
  fc.record({ mode: fc.constantFrom('fixed' as const), value: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    mode: fc.constantFrom('fixed-percent' as const, 'random-max-percent' as const),
    value: fc.integer({ min: 1, max: 100 }),
  }),
);

t.test('the same choice in whatever order the nodes come', async () => {
  const shuffled = nodeNames.chain((names) =>
    fc.tuple(fc.constant(names), fc.shuffledSubarray(names, { minLength: names.length })),
  );
  fc.assert(
    fc.property(shuffled, targets, fc.nat(), ([names, other], target, seed) => {
      const pick = (list: readonly string[]) =>
        namesOf(
          list.map((name) => candidate(name)),
          target,
          seed,
        );
      return pick(names).join() === pick(other).join();
    }),
  );
});

t.test('a node more does not reshuffle the others', async () => {
  fc.assert(
    fc.property(nodeNames, fc.integer({ min: 1, max: 10 }), fc.nat(), (names, value, seed) => {
      const before = names.map((name) => candidate(name));
      const chosen = namesOf(before, { mode: 'fixed', value }, seed);
      const after = namesOf([...before, candidate('NEW')], { mode: 'fixed', value }, seed);
      const gone = chosen.filter((name) => !after.includes(name));
      return gone.length <= (after.includes('NEW') ? 1 : 0);
    }),
  );
});

t.test('a random percentage stays within its bounds, and its seed decides', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 100 }),
      fc.nat(),
      (of, value, seed) => {
        const { length } = namesOf(many(of), { mode: 'random-max-percent', value }, seed);
        return length >= 1 && length <= Math.max(1, Math.floor((of * value) / 100));
      },
    ),
  );
  t.equal(seedFromName('drill-a'), seedFromName('drill-a'));
  t.not(seedFromName('drill-a'), seedFromName('drill-b'));
});

t.test('L2 a label key that every object inherits is no label of every node', (t) => {
  const rows = ['constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__'];
  for (const key of rows) {
    const asked = (operator: 'Exists' | 'DoesNotExist'): Target => ({
      mode: 'all',
      selector: { matchExpressions: [{ key, operator }] },
    });
    t.same(namesOf(many(2), asked('Exists')), [], `${key} exists on none`);
    t.equal(namesOf(many(2), asked('DoesNotExist')).length, 2, `${key} is absent`);
    const labels = JSON.parse(`{"xidrill.dev/drill":"allowed",${JSON.stringify(key)}:"x"}`);
    t.same(
      namesOf([candidate('own', { labels }), ...many(1)], asked('Exists')),
      ['own'],
      `${key} as a label`,
    );
  }
  t.end();
});

t.test('the refusal is about the nodes that were asked for', (t) => {
  const nodes = [...many(5), candidate('zulu', { labels: {} })];
  const refusalOf = (target: Target) => noTarget(selectNodes(nodes, target, 1).skipped);
  const named = refusalOf({ selector: { names: ['zulu'] } });
  t.match(named, {
    reason: 'no_target',
    message: 'no node may be drilled: zulu: not opted in: kubectl label node zulu xidrill.dev/drill=allowed',
    details: { remedy: 'kubectl label node zulu xidrill.dev/drill=allowed', skipped: [{ node: 'zulu' }] },
  });
  t.equal((named.details.skipped as readonly unknown[]).length, 6, 'all of them are in the details');
  const none = refusalOf({ selector: { matchLabels: { pool: 'x' } } });
  t.match(none.message, /n0: label pool is absent, not x; n1: .*; n2: .* \(and 3 more\)$/);
  const open = nodes.map((node) => ({ ...node, labels: {} }));
  t.match(noTarget(selectNodes(open, {}, 1).skipped), { details: { remedy: /label node NODE / } });
  const busy = [candidate('a', { busyWith: 'other' }), ...nodes];
  const target = { selector: { names: ['a', 'zulu'] } };
  t.match(noTarget(selectNodes(busy, target, 1).skipped), { reason: 'node_busy' });
  t.match(noTarget([]), { message: 'the cluster has no nodes' });
  t.end();
});
