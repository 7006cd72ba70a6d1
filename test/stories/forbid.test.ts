import t, { type Test } from 'tap';
import { conditionsOf } from '../../coordinator/view/node.ts';
import { gpuNode, only, type Rig, startRig } from '../coordinator/rig.ts';

/** `repair: forbid`: the node is restored before Karpenter is due, or the drill says in time that it cannot be. */

const labels = { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': 'gpu' };
const xid = (number: number) => ({ name: 'xid', parameters: { xid: number } });

async function rigOf(t: Test, version: string, restartSeconds = {}): Promise<Rig> {
  const rows = ['g0', 'g1', 'g2'].map((name) => gpuNode(name, labels));
  return startRig(t, { rows, karpenter: { version, nodeRepair: true }, restartSeconds });
}

async function restoreOf({ rest }: Rig, name: string) {
  const [injection] = await rest.injections(name);
  return injection?.status?.restore;
}

for (const version of ['1.14.3', '1.15.0']) {
  t.test(`Karpenter ${version} does not come to it`, async (t) => {
    const rig = await rigOf(t, version);
    const before = await rig.cluster.read('nodes', { name: 'g0' });
    const body = { name: 'drill', fault: xid(79), target: only('g0'), expectation: { repair: 'forbid' } };
    const ended = await rig.rest.drill(body);
    t.match(ended, { verdict: 'pass', restore: { state: 'restored' } }, ended.explanation?.summary ?? '');
    const restore = await restoreOf(rig, 'drill');
    const done = restore?.steps.find(({ step }) => step === 'condition');
    t.ok(
      Date.parse(done?.at ?? '') < Date.parse(restore?.repairDueAt ?? ''),
      `True at ${done?.at}, due at ${restore?.repairDueAt}`,
    );
    await rig.clock.sleep(40 * 60_000);
    const after = await rig.cluster.read('nodes', { name: 'g0' });
    t.equal(after?.metadata.uid, before?.metadata.uid, 'it is the same node');
    t.strictSame(after?.spec, before?.spec, 'without a taint');
    t.strictSame(after?.metadata.labels, before?.metadata.labels);
    t.strictSame(after?.metadata.annotations, before?.metadata.annotations);
  });
}

t.test('a restart that is too slow is said before the repair begins', async (t) => {
  const rig = await rigOf(t, '1.14.3', { engine: 280, monitor: 290 });
  const body = { name: 'drill', fault: xid(79), target: only('g0'), expectation: { repair: 'forbid' } };
  const ended = await rig.rest.drill(body);
  t.match(ended, {
    verdict: 'fail',
    explanation: { code: 'restore-not-in-time', remedy: /do-not-repair=true/ },
  });
  const restore = await restoreOf(rig, 'drill');
  t.ok(Date.parse(restore?.endedAt ?? '') < Date.parse(restore?.repairDueAt ?? ''), 'there is time left');
});

t.test('a repair that is due before a restore can be done is refused before the drill', async (t) => {
  const rig = await rigOf(t, '1.14.3');
  await rig.rest.drill({ name: 'first', fault: xid(109), target: only('g0') });
  await rig.clock.sleep(8 * 60_000);
  const body = { name: 'drill', fault: xid(140), target: only('g0'), expectation: { repair: 'forbid' } };
  t.match(await rig.rest.ask('POST', '/api/v1/experiments', body), {
    status: 400,
    body: { code: 'repair_too_soon', blocks: [{ node: 'g0', because: /Karpenter acts/ }] },
  });
});

t.test('what does not go with it is refused by its name', async (t) => {
  const rig = await rigOf(t, '1.14.3');
  const body = { name: 'drill', fault: xid(79), target: only('g0') };
  for (const [field, more] of [
    ['restore', { restore: 'never', expectation: { repair: 'forbid' } }],
    ['expectation.then', { expectation: { repair: 'forbid', then: [{ link: 'taint' }] } }],
  ] as const)
    t.match(await rig.rest.ask('POST', '/api/v1/experiments', { ...body, ...more }), {
      status: 400,
      body: { code: 'expectation_invalid', errors: [{ field }] },
    });
});

t.test(
  'the wrong order: NMA before the host engine turns False again at the next health check',
  async (t) => {
    const rig = await startRig(t, { rows: [gpuNode('g0')] });
    await rig.rest.drill({ name: 'drill', fault: xid(79), target: only('g0') });
    const pods = await rig.cluster.list('pods', {
      namespace: 'kube-system',
      labelSelector: 'app.kubernetes.io/name=eks-node-monitoring-agent',
    });
    const [pod] = pods.items;
    await rig.cluster.remove('pods', { namespace: 'kube-system', name: pod?.metadata.name ?? '' });
    const conditionNow = async () => {
      const node = await rig.cluster.read('nodes', { name: 'g0' });
      return node && conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady');
    };
    await rig.clock.sleep(60_000);
    t.match(await conditionNow(), { status: 'True' }, 'True at first');
    await rig.clock.sleep(6.5 * 60_000);
    t.match(await conditionNow(), { status: 'False', reason: 'DCGMHealthCode120' });
  },
);
