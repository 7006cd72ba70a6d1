import t from 'tap';
import { gpuNode, startRig } from './rig.ts';
import { closeUntouched } from './untouched.ts';

t.test('what somebody leaves on a node is found, the values too', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  const g0 = rig.node('g0');
  const engine = g0.engines[0];
  const patch = (metadata: object) => rig.cluster.patch('nodes', { name: 'g0' }, { metadata });
  for (const [leave, takeBack, found] of [
    [
      () => patch({ labels: { 'xidrill.dev/drill': 'other' } }),
      () => patch({ labels: { 'xidrill.dev/drill': 'allowed' } }),
      /\+ xidrill\.dev\/drill=other; - xidrill\.dev\/drill=allowed/,
    ],
    [() => patch({ annotations: { ours: 'x' } }), () => patch({ annotations: { ours: null } }), /\+ ours=x/],
    [() => engine?.suspend(), () => engine?.resume(), /host engine \d+ is paused/],
    [() => undefined, () => undefined, undefined],
  ] as const) {
    let end: () => Promise<void> = async () => undefined;
    const teardown = (given: typeof end) => {
      end = given;
    };
    await closeUntouched({ teardown }, { ...rig, close: async () => undefined }).remember();
    await leave();
    const said = await end().then(() => undefined, String);
    if (found === undefined) t.equal(said, undefined);
    else t.match(said, found);
    await takeBack();
  }
});
