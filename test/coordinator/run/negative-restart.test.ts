import t from 'tap';
import type { Cluster } from '../../../coordinator/cluster/port.ts';
import { Refusal } from '../../../shared/errors.ts';
import { cpuNode, only, recordsWith, startCoordinator, startRig } from '../rig.ts';

/** Status writes of a negative drill with one way, in order. */
const writes = [
  'control before: baseline',
  'control before: receipt',
  'control before: event, baseline',
  'receipt',
  'watched, control after: baseline',
  'control after: receipt',
  'Completed',
] as const;

/** Nobody looked for a part of the watch: from the fault's order on, until its end is written down. */
const inWatch: readonly string[] = [
  'receipt lost',
  'receipt written',
  'watched, control after: baseline lost',
];

t.test('a coordinator dies at each write of a negative drill, and another one goes on', async (t) => {
  const rows = writes.flatMap((name, index) =>
    (['lost', 'written'] as const).map((how) => ({
      index,
      how,
      title: `${name} ${how}`,
      node: `${how}-${index}`,
    })),
  );
  const rig = await startRig(t, { rows: rows.map(({ node }) => cpuNode(node)) });

  /** Lets `index` status writes of injections through; the next one is where it dies. */
  function dying(index: number, how: 'lost' | 'written') {
    const dead = Promise.withResolvers<void>();
    const buried = Promise.withResolvers<never>();
    buried.promise.catch(() => undefined);
    let count = 0;
    const replace: Cluster['replace'] = async (resource, object, subresource) => {
      if (resource !== 'injections') return rig.cluster.replace(resource, object, subresource);
      if (count > index || (count === index && how === 'lost')) {
        count += 1;
        dead.resolve();
        return buried.promise;
      }
      count += 1;
      const written = await rig.cluster.replace(resource, object, subresource);
      if (count <= index) return written;
      dead.resolve();
      return buried.promise;
    };
    const bury = () => buried.reject(new Refusal('cluster_unreachable', 'the coordinator is dead'));
    return { cluster: { ...rig.cluster, replace }, dead: dead.promise, bury };
  }

  for (const { index, how, title, node } of rows)
    await t.test(title, async (t) => {
      await rig.cluster.create('namespaces', {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: node },
      });
      const { cluster, dead, bury } = dying(index, how);
      const first = await startCoordinator(t, rig, { namespace: node, identity: 'first', cluster });
      await first.rest.create({
        name: 'drill',
        fault: { name: 'conntrack-full' },
        target: only(node),
        expectation: { none: true, for: '3s' },
      });
      await dead;
      const killed = first.kill();
      bury();
      await killed;
      const second = await startCoordinator(t, rig, { namespace: node, identity: 'second' });
      const answer = await second.rest.ended('drill');
      const isUnwatched = inWatch.includes(title);
      t.match(answer, {
        phase: 'Completed',
        verdict: isUnwatched ? 'inconclusive' : 'pass',
        explanation: { code: isUnwatched ? 'observation-gap' : 'no-reaction-as-expected' },
      });
      t.equal(recordsWith(rig, node, 'nf_conntrack'), 1, 'the fault once');
      t.equal(recordsWith(rig, node, 'task xidrill-'), 2, 'each control once');
    });
});
