import t from 'tap';
import { createHostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { dcgmOver } from '../../agent/dcgm/simulated.ts';
import { drill } from '../catalogue/nma/drill.ts';

type Drill = ReturnType<typeof drill>;

/** The agent's own DCGM code over the simulated engines: NMA's, and one that somebody started beside it. */
function agentOf({ clock, engine }: Drill) {
  const stray = createHostEngine({
    clock,
    version: '4.5.3',
    gpus: engine.gpus,
    pid: 200,
    address: '127.0.0.1:5556',
  });
  return dcgmOver(clock, engine, stray);
}

for (const version of ['1.6.4', '1.7.2']) {
  t.test(`the agent finds the engine that NMA ${version} is on`, async (t) => {
    const node = drill(t, version);
    const dcgm = agentOf(node);
    t.same(
      (await dcgm.list()).map((engine) => [engine.pid, engine.nma.listening, engine.problems]),
      [
        [100, false, []],
        [200, false, []],
      ],
      'before NMA has connected there is no listener',
    );
    await node.settle();
    const [own, other] = await dcgm.list();
    t.match(own, {
      pid: 100,
      version: '4.6.0',
      nma: { listening: true, evidence: /"watch" \(112, 856, 857/ },
    });
    t.match(other, { pid: 200, version: '4.5.3', nma: { listening: false } });
    t.equal((await dcgm.choose()).pid, 100);
    await node.nma.stop();
    t.equal((await dcgm.list())[0]?.nma.listening, false, 'and not when NMA is gone');
  });
}

t.test('the agent injects, reads back, and NMA reacts', async (t) => {
  const node = drill(t, '1.6.4');
  const dcgm = agentOf(node);
  await node.settle();
  const engine = await dcgm.choose();
  const done = await dcgm.inject({ engine, gpuId: 0, field: findField(230), value: 79 });
  t.match(done, {
    before: { samples: 0, newest: null, watchers: 2, watched: true },
    after: { samples: 1, newest: '2026-11-23T02:24:49.000Z', watchers: 2 },
  });
  await node.clock.advance(15_000);
  t.match(node.gpu(), { status: 'False', reason: 'NvidiaXID79Error' });
});

t.test('a counter without an earlier sample gets its 0 first', async (t) => {
  const node = drill(t, '1.7.0');
  const dcgm = agentOf(node);
  await node.settle();
  const engine = await dcgm.choose();
  const injecting = dcgm.inject({ engine, gpuId: 0, field: findField(319), value: 1 });
  await node.clock.advance(3000);
  await injecting;
  await node.clock.advance(15_000);
  t.match(node.gpu(), { status: 'False', reason: 'NvidiaDoubleBitError' });
});

for (const { field, value, code } of [
  { field: 84, value: 0, code: 9 },
  { field: 202, value: 500, code: 3 },
  { field: 391, value: 20, code: 8 },
]) {
  t.test(`field ${field}: held by one sample until it is taken back`, async (t) => {
    const node = drill(t, '1.7.2');
    const dcgm = agentOf(node);
    await node.settle();
    const engine = await dcgm.choose();
    const order = { engine, gpuId: 0, field: findField(field), value, reach: 'health' } as const;
    const { hold } = await dcgm.assertInjectable(order);
    await dcgm.inject(order);
    const codes = () => node.engine.healthCheck().map((incident) => incident.code);
    await node.clock.advance(200_000);
    t.same(codes(), [code]);
    await dcgm.endHold({ engine, gpuId: 0, field, undo: hold?.undo ?? [] });
    t.same(codes(), []);
    await node.clock.advance(700_000);
    t.same(codes(), []);
  });
}

t.test('the stray engine takes everything and nobody is told', async (t) => {
  const node = drill(t, '1.6.4');
  const dcgm = agentOf(node);
  await node.settle();
  const engine = await dcgm.choose({ pid: 200 });
  const order = { engine, gpuId: 0, field: findField(230), value: 79 };
  await t.rejects(dcgm.inject(order), { message: /the host engine with pid 200 has no listener/ });
  const forced = await dcgm.inject({ ...order, force: true });
  t.match(forced.after, { samples: 1, watchers: 0 });
  await node.clock.advance(60_000);
  t.equal(node.gpu()?.status, 'True');
});
