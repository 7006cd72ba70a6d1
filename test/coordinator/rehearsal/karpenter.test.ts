import t from 'tap';
import { startActorSubject } from '../../contract/karpenter/actor.ts';
import { karpenterContract } from '../../contract/karpenter/drills.ts';

/** The rehearsal's Karpenter does in every scenario what the real one does (test/cluster/karpenter-*.test.ts). */

for (const version of ['1.14.3', '1.15.0'] as const)
  t.test(`Karpenter ${version}`, async (t) => karpenterContract(t, await startActorSubject(t, version)));
