import t from 'tap';
import { conditionsOf } from '../../coordinator/view/node.ts';
import { gpuNode, only, type Rig, startRig } from '../coordinator/rig.ts';

/** What a drill left is taken back in the order of nma.md §3, and stays gone beyond the next health check. */

const type = 'AcceleratedHardwareReady';

async function conditionOf({ cluster }: Rig, name: string) {
  const node = await cluster.read('nodes', { name });
  return node && conditionsOf(node).find((one) => one.type === type);
}

/** Pods of the add-on on a node, by uid. */
async function podsOn({ cluster }: Rig, node: string): Promise<readonly string[]> {
  const query = { namespace: 'kube-system', fieldSelector: `spec.nodeName=${node}` };
  return (await cluster.list('pods', query)).items.map(({ metadata }) => metadata.uid ?? '').toSorted();
}

t.test(
  'restore: auto takes both pods through a restart, in order, and the condition stays True',
  async (t) => {
    const rig = await startRig(t, { rows: [gpuNode('g0')] });
    const pods = await podsOn(rig, 'g0');
    const body = {
      name: 'drill',
      fault: { name: 'xid', parameters: { xid: 79 } },
      target: only('g0'),
      restore: 'auto',
    };
    const ended = await rig.rest.drill(body);
    t.match(
      ended,
      { verdict: 'pass', restore: { request: 0, state: 'restored', nodes: { restored: 1 } } },
      JSON.stringify(ended.explanation),
    );
    const [injection] = await rig.rest.injections('drill');
    t.match(injection?.links.at(-1), { link: 'restore', state: 'reached' });
    t.match(injection?.status?.restore, {
      steps: ['stop', 'engine', 'reconnect', 'monitor', 'condition', 'stable'].map((step) => ({
        step,
        state: 'done',
      })),
    });
    t.match(await conditionOf(rig, 'g0'), { status: 'True' });
    const after = await podsOn(rig, 'g0');
    t.equal(after.filter((uid) => pods.includes(uid)).length, 0, 'both pods are others');
    t.equal(after.length, 2);
  },
);

t.test('POST …/restore of an experiment that has ended', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  await rig.rest.drill({
    name: 'drill',
    fault: { name: 'xid', parameters: { xid: 109 } },
    target: only('g0'),
  });
  t.match(await conditionOf(rig, 'g0'), { status: 'False' });
  const answer = await rig.rest.ask('POST', '/api/v1/experiments/drill/restore', {}, { prefer: 'wait=240' });
  t.match(
    answer,
    { status: 200, body: { verdict: 'pass', restore: { request: 1, state: 'restored' } } },
    JSON.stringify(answer.body),
  );
  const [injection] = await rig.rest.injections('drill');
  t.match(
    injection?.status?.restore?.steps.map(({ step }) => step),
    ['stop', 'monitor', 'condition', 'stable'],
    'the host engine has no code for Xid 109, and is left alone',
  );
  t.match(await conditionOf(rig, 'g0'), { status: 'True' });
  const again = await rig.rest.ask('POST', '/api/v1/experiments/drill/restore', {}, { prefer: 'wait=240' });
  t.match(again.body, { restore: { request: 2, state: 'nothing' } });
});
