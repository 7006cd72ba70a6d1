import t from 'tap';
import { namespace } from '../../../coordinator/rehearsal/cluster.ts';
import { measureLateness } from '../../lateness.ts';
import { gpuNode, only, type Rig, startCoordinator, startRig, until } from '../rig.ts';

const name = 'xidrill-killswitch';
const path = '/api/v1/killswitch';
const fault = { name: 'engine-loss', parameters: { forSeconds: 3600 } };

async function runningOn(rig: Rig, node: string): Promise<number> {
  const text = await (await fetch(`${rig.node(node).url}/metrics`)).text();
  return Number(/^xidrill_running_orders (\d+)$/m.exec(text)?.[1]);
}

const switchObject = (data: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data,
});

t.test('the kill switch, set by kubectl and by REST', async (t) => {
  // The switch and its lease count in real time: on a clock that jumps a drill is over before they do anything.
  const rig = await startRig(t, { rows: [gpuNode('one'), gpuNode('two')], needsLease: true, factor: 20 });
  const { rest, cluster } = rig;

  async function pausedDrill(drill: string, node: string): Promise<void> {
    const made = await rest.ask('POST', '/api/v1/experiments', {
      name: drill,
      fault,
      target: only(node),
      deadline: '3000s',
    });
    t.equal(made.status, 202, JSON.stringify(made.body));
    await until(t, `${drill} goes on`, async () => (await runningOn(rig, node)) === 1);
  }

  t.match(await rest.ask('GET', path), { status: 200, body: { engaged: false } });
  await pausedDrill('first', 'one');

  await t.test('kubectl makes the ConfigMap: what goes on has ended within two seconds', async (t) => {
    const lateness = measureLateness();
    const engagedAt = performance.now();
    await cluster.create('configmaps', switchObject({ engaged: 'true', reason: 'incident 42' }));
    await until(t, 'nothing goes on', async () => (await runningOn(rig, 'one')) === 0);
    const tookMs = performance.now() - engagedAt;
    t.ok(tookMs < 2_000 + lateness(), `${Math.round(tookMs)} ms`);
    const { verdict, explanation } = await rest.ended('first');
    t.equal(verdict, 'aborted');
    t.ok(
      explanation?.evidence.some(({ observed }) => observed === 'kill switch engaged: incident 42'),
      'the explanation says by what',
    );
    t.match(await rest.ask('GET', path), { body: { engaged: true, reason: 'incident 42' } });
    t.match(await (await fetch(`${rest.url}/readyz`)).text(), /kill switch engaged: incident 42/);
    t.match(await (await fetch(`${rest.url}/metrics`)).text(), /^xidrill_kill_switch_engaged 1$/m);
  });

  await t.test('nothing starts while it is engaged, whoever asks', async (t) => {
    const before = rig.node('two').kernelLog.records().length;
    t.match(
      await rest.ask('POST', '/api/v1/experiments', {
        fault: { name: 'conntrack-full' },
        target: only('two'),
      }),
      {
        status: 423,
        body: { code: 'kill_switch_engaged', detail: /incident 42/, remedy: /release it/ },
      },
    );
    await cluster.create('experiments', {
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name: 'applied', namespace },
      spec: { fault: { name: 'conntrack-full' }, target: only('two') },
    });
    t.match(await rest.ended('applied'), { verdict: /error|aborted/, injected: 'none' });
    const dry = await rest.ask('POST', '/api/v1/experiments?dryRun=All', {
      fault: { name: 'conntrack-full' },
      target: only('two'),
    });
    t.equal(dry.status, 200, 'a dry run changes nothing');
    await until(t, 'the other agent knows as well', async () => {
      const answer = await fetch(`${rig.node('two').url}/xidrill.agent.v1.AgentService/WriteKernelMessage`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ text: 'xidrill: by hand' }),
      });
      return answer.status === 423;
    });
    t.ok(rig.node('two').kernelLog.records().length - before <= 1, 'no drill wrote anything');
  });

  await t.test('another coordinator finds it engaged, and releases it', async (t) => {
    const second = await startCoordinator(t, rig, { identity: 'second' });
    t.match(await second.rest.ask('GET', path), { body: { engaged: true } });
    t.match(await second.rest.ask('PUT', path, { engaged: 'no' }), { status: 400 });
    t.match(await second.rest.ask('PUT', path, { engaged: false }), {
      status: 200,
      body: { engaged: false },
    });
    t.match((await cluster.read('configmaps', { name, namespace }))?.data, { engaged: 'false' });
    await second.stop();
    // It may have informed the agent of the state before that while it stopped; the other one informs it again.
    await until(t, 'the agent is released', async () => {
      const ready = await (await fetch(`${rig.node('two').url}/readyz`)).text();
      return ready === 'ok\n';
    });
    await pausedDrill('after', 'two');
    t.equal(await runningOn(rig, 'two'), 1, 'drills run again');
    t.match(await rest.ask('PUT', path, { engaged: true, reason: 'again' }), { status: 200 });
    await until(t, 'nothing goes on', async () => (await runningOn(rig, 'two')) === 0);
    await cluster.remove('configmaps', { name, namespace });
    await until(t, 'released', async () => (await rest.ask('GET', path)).body.engaged === false);
  });

  await t.test('what does not say that it is released is engaged', async (t) => {
    for (const data of [{}, { engaged: 'True ' }, { engaged: 'yes' }, { engage: 'true' }] as Record<
      string,
      string
    >[]) {
      await cluster.create('configmaps', switchObject(data));
      t.match(await rest.ask('GET', path), { body: { engaged: true } }, JSON.stringify(data));
      await cluster.remove('configmaps', { name, namespace });
    }
    await cluster.create('configmaps', switchObject({ engaged: ' False\n' }));
    t.match(await rest.ask('GET', path), { body: { engaged: false } });
  });
});
