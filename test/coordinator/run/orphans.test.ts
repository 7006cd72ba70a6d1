import t from 'tap';
import { cpuNode, only, recordsWith, startCoordinator, startRig, until } from '../rig.ts';

t.test('L6 injections whose experiment is gone free their nodes', async (t) => {
  const rig = await startRig(t, { rows: ['left', 'twice'].map((name) => cpuNode(name)) });
  const namespace = 'orphans';
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const first = await startCoordinator(t, rig, { namespace });
  const waiting = { fault: { name: 'conntrack-full' }, expectation: { message: 'never', within: '30m' } };
  for (const node of ['left', 'twice']) {
    await first.rest.create({ ...waiting, name: node, target: only(node) });
    await until(t, `${node} waits`, async () => {
      const [injection] = await first.rest.injections(node);
      return injection?.status?.phase === 'Verifying';
    });
  }
  const injectionOf = (node: string) =>
    rig.apiServer.store
      .list('injections')
      .find(
        ({ metadata, spec }) => metadata.namespace === namespace && (spec as { node?: string }).node === node,
      );
  /** As `kubectl delete --cascade=orphan` does: the owner goes, what it owned stays. */
  const orphan = async (node: string) => {
    const name = injectionOf(node)?.metadata.name ?? '';
    await rig.cluster.patch('injections', { name, namespace }, { metadata: { ownerReferences: null } });
    await rig.cluster.remove('experiments', { name: node, namespace });
  };
  const phaseOf = (node: string) => (injectionOf(node)?.status as { phase?: string } | undefined)?.phase;
  /** Free, or not within ten looks of a minute each, by the coordinator's own clock. */
  const untilFree = async (node: string) => {
    const began = rig.clock.elapsed();
    const isLate = () => rig.clock.elapsed() - began > 600_000;
    await until(t, `${node} is free`, () => phaseOf(node) === 'Completed' || isLate());
    t.equal(phaseOf(node), 'Completed', `${node} is free`);
  };

  // While nobody looks.
  await first.kill();
  await orphan('left');
  const second = await startCoordinator(t, rig, { namespace });
  await untilFree('left');
  t.match(injectionOf('left')?.status, {
    verdict: 'aborted',
    explanation: {
      code: 'experiment-gone',
      evidence: [{ source: 'experiments/left', observed: 'not found' }],
    },
  });

  // While it is driven.
  await until(t, 'the other goes on', async () => (await second.rest.injections('twice')).length === 1);
  await orphan('twice');
  await untilFree('twice');

  for (const node of ['left', 'twice']) {
    const before = recordsWith(rig, node, 'blocked for more than');
    t.match(
      await second.rest.drill({ name: `again-${node}`, fault: { name: 'task-blocked' }, target: only(node) }),
      { verdict: 'pass' },
      `${node} can be drilled again`,
    );
    t.equal(recordsWith(rig, node, 'blocked for more than'), before + 1);
  }
});
