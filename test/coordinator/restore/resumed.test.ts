import t, { type Test } from 'tap';
import { restoreStepNames } from '../../../coordinator/store/restore.ts';
import {
  assertRestores,
  type RestoredDrill,
  type RestoreSubject,
  restoreKilledAt,
} from '../../contract/restore.ts';
import { gpuNode, startCoordinator, startRig, until } from '../rig.ts';

/** A coordinator that dies in the middle of a restore: another one goes on from the stored step, and no pod is restarted twice. */

const labels = { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': 'gpu' };
const drills: readonly RestoredDrill[] = [
  { node: 'g0', restore: 'auto' },
  { node: 'g1', expectation: { repair: 'forbid' } },
];

async function subjectOf(t: Test): Promise<RestoreSubject> {
  const rows = [gpuNode('g0'), ...['g1', 'g2', 'g3'].map((name) => gpuNode(name, labels))];
  const rig = await startRig(t, { rows, karpenter: { version: '1.15.0', nodeRepair: true } });
  const metadata = { name: 'second' };
  await rig.cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
  return {
    cluster: rig.cluster,
    start: (identity, through) =>
      startCoordinator(t, rig, { namespace: 'second', identity, cluster: through(rig.cluster) }),
    until: (what, isSo) => until(t, what, isSo),
  };
}

for (const step of restoreStepNames)
  t.test(`killed at step ${step}`, async (t) => {
    const subject = await subjectOf(t);
    for (const drill of drills) assertRestores(t, await restoreKilledAt(subject, [step], [drill]));
  });

t.test('killed at every step', async (t) => {
  assertRestores(t, await restoreKilledAt(await subjectOf(t), restoreStepNames, drills));
});
