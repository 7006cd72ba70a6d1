import t, { type Test } from 'tap';
import type { Cluster } from '../../../coordinator/cluster/port.ts';
import type { ExperimentAnswer } from '../../../coordinator/routes/answers.ts';
import { conditionsOf } from '../../../coordinator/view/node.ts';
import { Refusal } from '../../../shared/errors.ts';
import { gpuNode, only, type Rest, type Rig, startCoordinator, startRig, until } from '../rig.ts';

/** A restore that fails says at which step, why, and what to do; it takes back what it can and nothing else. */

const xid79 = { name: 'xid', parameters: { xid: 79 } };
const drill = { name: 'drill', fault: xid79, target: only('g0') };

async function restored(rest: Rest): Promise<ExperimentAnswer> {
  const answer = await rest.ask<ExperimentAnswer>(
    'POST',
    '/api/v1/experiments/drill/restore',
    {},
    {
      prefer: 'wait=240',
    },
  );
  return answer.body;
}

async function failedBy(rest: Rest) {
  const [injection] = await rest.injections('drill');
  const restore = injection?.status?.restore;
  return {
    state: restore?.state,
    step: restore?.steps.find(({ state }) => state === 'failed')?.step,
    code: restore?.explanation?.code,
    summary: restore?.explanation?.summary,
    remedy: restore?.explanation?.remedy,
    link: injection?.links.at(-1)?.state,
  };
}

async function statusOf({ cluster }: Rig, type: string) {
  const node = await cluster.read('nodes', { name: 'g0' });
  return node && conditionsOf(node).find((one) => one.type === type)?.status;
}

async function elsewhere(t: Test, rig: Rig, change: Partial<Cluster> = {}) {
  const metadata = { name: 'second' };
  await rig.cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
  return startCoordinator(t, rig, { namespace: 'second', cluster: { ...rig.cluster, ...change } });
}

t.test('without the right the pod is named, and how to delete it by hand', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  const { rest } = await elsewhere(t, rig, {
    remove: async (resource, key) => {
      throw new Refusal('cluster_refused', `cannot delete resource "${resource}" ${key.name}`);
    },
  });
  const ended = await rest.drill({ ...drill, restore: 'auto' });
  t.match(ended, { verdict: 'fail', explanation: { code: 'restore-not-allowed', link: 'restore' } });
  t.match(await failedBy(rest), {
    state: 'failed',
    step: 'engine',
    remedy: /restore\.enabled=true, or kubectl -n kube-system delete pod dcgm-server-g0/,
    link: 'missed',
  });
});

t.test('a pod that does not come back', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')], restartSeconds: { engine: 3600 } });
  t.match(await rig.rest.drill({ ...drill, restore: 'auto' }), { verdict: 'fail' });
  t.match(await failedBy(rig.rest), { step: 'engine', code: 'restore-pod-not-back', remedy: /get events/ });
});

t.test('NMA that does not connect to the new engine', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  await rig.rest.drill(drill);
  await rig.node('g0').stopNma();
  await restored(rig.rest);
  t.match(await failedBy(rig.rest), {
    step: 'reconnect',
    code: 'restore-no-listener',
    remedy: /half initialised/,
  });
});

t.test('NMA that cannot write its conditions', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  await rig.rest.drill({ ...drill, fault: { name: 'xid', parameters: { xid: 109 } } });
  await rig.installNma({ version: '1.6.4', credentials: 'irsa' });
  await restored(rig.rest);
  t.match(await failedBy(rig.rest), {
    step: 'condition',
    code: 'restore-condition-false',
    remedy: /failed to report managed conditions/,
  });
});

t.test('a fault that is not of the drill is not hidden', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  await rig.rest.drill(drill);
  // As nobody of ours does it: the agent is asked directly, and no Injection knows of it.
  await fetch(`${rig.node('g0').url}/xidrill.agent.v1.AgentService/WriteJournalMessage`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      identifier: 'kubelet',
      text: 'fork/exec /usr/bin/runc: resource temporarily unavailable',
    }),
  });
  await until(t, 'another condition', async () => (await statusOf(rig, 'KernelReady')) === 'False');
  await restored(rig.rest);
  t.match(await failedBy(rig.rest), {
    step: 'engine',
    code: 'restore-foreign-fault',
    summary: /KernelReady is False \(ForkFailedOutOfPIDs\)/,
  });
  t.equal(await statusOf(rig, 'KernelReady'), 'False');
});

t.test('a repair that comes first', async (t) => {
  const rig = await startRig(t, {
    rows: [
      gpuNode('g0', { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': 'gpu' }),
      gpuNode('g1', { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': 'gpu' }),
    ],
    karpenter: { version: '1.14.3', nodeRepair: true },
    restartSeconds: { engine: 280, monitor: 280 },
  });
  // Its restore is still at the second restart when the ten minutes are over.
  await rig.rest.drill({ ...drill, fault: { name: 'xid', parameters: { xid: 79 } } });
  await rig.clock.sleep(120_000);
  await restored(rig.rest);
  t.match(await failedBy(rig.rest), {
    code: 'restore-repair-first',
    summary: /taint karpenter\.sh\/disrupted|being deleted|is gone/,
    remedy: /do-not-repair/,
  });
});

t.test('while the kill switch is engaged no pod is restarted', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  await rig.rest.drill(drill);
  await rig.rest.ask('PUT', '/api/v1/killswitch', { engaged: true, reason: 'incident 42' });
  await restored(rig.rest);
  t.match(await failedBy(rig.rest), { code: 'restore-kill-switch', summary: /incident 42/ });
  await rig.rest.ask('PUT', '/api/v1/killswitch', { engaged: false });
  t.match(await restored(rig.rest), { restore: { request: 2, state: 'restored' } });
});

t.test('an abort ends the restore, and says how far it came', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')], restartSeconds: { engine: 200 } });
  await rig.rest.create({ ...drill, restore: 'auto' });
  await until(t, 'the engine', async () => {
    const [injection] = await rig.rest.injections('drill');
    return injection?.status?.restore?.steps.some(({ step, since }) => step === 'engine' && since) === true;
  });
  await rig.rest.ask('POST', '/api/v1/experiments/drill/abort', {});
  t.match(await rig.rest.ended('drill'), { phase: 'Aborted', verdict: 'aborted' });
  t.match(await failedBy(rig.rest), { step: 'engine', code: 'restore-cut-short', remedy: /POST …\/restore/ });
  const again = await restored(rig.rest);
  t.match(again, { restore: { state: 'restored' } }, JSON.stringify(await failedBy(rig.rest)));
});

t.test('a coordinator that restores nothing refuses it before the drill', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('g0')] });
  const off = await startCoordinator(t, rig, { namespace: 'xidrill', identity: 'off', restore: false });
  t.match(await off.rest.ask('POST', '/api/v1/experiments', { ...drill, restore: 'auto' }), {
    status: 400,
    body: { code: 'restore_disabled', remedy: /restore\.enabled=true/ },
  });
});

t.test(
  'a repair that is due before the node is restored is warned of, and the restore goes on',
  async (t) => {
    const labels = { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': 'gpu' };
    const policy = {
      type: 'AcceleratedHardwareReady',
      status: 'False',
      waitSeconds: 60,
      action: 'replace',
    } as const;
    // The coordinator knows that Karpenter, which is not there: so the node stays.
    const karpenter = { version: '1.14.3', nodeRepair: true, policies: [policy] };
    const rows = ['g0', 'g1', 'g2'].map((name) => gpuNode(name, labels));
    const rig = await startRig(t, { rows, karpenter, restartSeconds: { engine: 120 } });
    await rig.stopRepairs();
    const ended = await rig.rest.drill({ ...drill, restore: 'auto' });
    const warning = /node g0 was due at .*kubectl annotate node g0 karpenter\.sh\/do-not-repair=true/;
    t.match(ended, { verdict: 'pass', restore: { state: 'restored', warning } });
    const [injection] = await rig.rest.injections('drill');
    t.match(injection?.status?.restore, { state: 'restored', warning });
    const said = injection?.status?.timeline?.filter(({ text }) => text.startsWith('warning: ')) ?? [];
    t.equal(said.length, 1, 'once');
  },
);
