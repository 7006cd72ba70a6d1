import t, { type Test } from 'tap';
import { counting } from '../counting.ts';
import { cpuNode, type Rig, startCoordinator, startRig } from '../rig.ts';

/** What a drill of so many nodes, all of which pass, asks of the API server. */
async function asked(t: Test, rig: Rig, namespace: string, nodes: readonly string[]) {
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const { cluster, counts } = counting(rig.cluster);
  const { rest } = await startCoordinator(t, rig, { namespace, cluster });
  await rest.ask('GET', '/api/v1/nodes');
  counts.clear();
  const answer = await rest.drill({
    name: 'counted',
    fault: { name: 'conntrack-full' },
    target: { selector: { names: nodes }, mode: 'all' },
  });
  t.match(answer, { verdict: 'pass' });
  return new Map([...counts].filter(([call]) => !call.startsWith('watch') && !call.endsWith(' leases')));
}

t.test('what a drill asks of the API server grows with its targets by writes alone', async (t) => {
  const few = ['a1', 'a2'];
  const many = Array.from({ length: 8 }, (_, index) => `b${index}`);
  const rig = await startRig(t, { rows: [...few, ...many].map((name) => cpuNode(name)) });
  const small = await asked(t, rig, 'few', few);
  const large = await asked(t, rig, 'many', many);
  const perTarget = new Map(
    [...large].map(([call, count]) => [call, (count - (small.get(call) ?? 0)) / (many.length - few.length)]),
  );
  const growing = [...perTarget].filter(([call, count]) => count !== 0 && !shared.has(call)).toSorted();
  for (const [call, count] of growing)
    t.ok(count <= (mostPerTarget[call] ?? 0), `${call}: ${count} per target`);
  t.equal(perTarget.get('create injections'), 1, 'and the count itself works');
});

/**
 * Of all targets together: the kill switch is looked at 2.5 times a second, NodeClaims are listed again until somebody serves them, the others are read again every 10 s
 * (collect.test.ts), hence now and then once more.
 */
const shared: ReadonlySet<string> = new Set([
  'get serviceaccounts',
  'get configmaps',
  'list configmaps',
  'list nodeclaims',
]);

/** What is done for each target of a drill that passes. What is read for all targets alike is not here. */
const mostPerTarget: Readonly<Record<string, number>> = {
  'create injections': 1,
  // Baseline, receipt, verdict.
  'update injections': 3,
  // NMA's log, before the order.
  'get pods/log': 1,
};
