import type { Test } from 'tap';
import { type KarpenterSubject, karpenterContract, pools } from '../../contract/karpenter/drills.ts';
import { policies } from '../../contract/karpenter/scenarios.ts';
import { assertRestores } from '../../contract/restore.ts';
import { until } from '../processes.ts';
import type { KarpenterVersion } from './build.ts';
import { restoreOnRealServer } from './restored.ts';
import { type KarpenterRig, startKarpenterRig } from './rig.ts';

/** All scenarios on a real Karpenter of this version, and restores beside them. */
export async function karpenterScenarios(t: Test, version: KarpenterVersion): Promise<void> {
  t.setTimeout(530_000);
  const rig = await startKarpenterRig(t, { version, policies, pools });
  // Karpenter has no part in it, so that once is enough.
  const restoring = version === '1.15.0' ? restoreOnRealServer(t, rig) : undefined;
  await karpenterContract(t, subjectOf(rig, version));
  if (restoring === undefined) return;
  const title = 'restores with the chart’s rights, their coordinator killed at every step';
  await t.test(title, async (t) => {
    const restored = await restoring;
    if ('because' in restored) t.pass('', { skip: restored.because });
    else assertRestores(t, restored);
  });
}

function subjectOf(rig: KarpenterRig, version: KarpenterVersion): KarpenterSubject {
  const { cluster, rest, pools: made, plane, installKarpenter } = rig;
  return {
    version,
    cluster,
    rest,
    pools: made,
    now: () => Date.now(),
    until,
    installKarpenter,
    stopNma: (node) => rig.node(node).stopNma(),
    async idle(pool) {
      await plane.kubectl(['-n', 'work', 'scale', 'deployment', pool, '--replicas=0']);
      await until('its pods are gone', async () => {
        const left = await cluster.list('pods', { namespace: 'work', labelSelector: `pool=${pool}` });
        return left.items.length === 0;
      });
    },
    /** kwok plays the kubelets of the nodes that have this annotation (--manage-nodes-with-annotation-selector). */
    async silence(name) {
      await cluster.patch('nodes', { name }, { metadata: { annotations: { 'kwok.x-k8s.io/node': null } } });
    },
  };
}
