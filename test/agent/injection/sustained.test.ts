import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Errors } from 'typebox/value';
import { Receipt } from '../../../shared/schemas/receipt.ts';
import { measureLateness } from '../../lateness.ts';
import { installStub, type StubEngine, startEngine } from '../dcgm/stub.ts';
import { type AgentProcess, startAgent } from '../process.ts';

/** Real processes and real time: the beat is short so that the test is. */
const everySeconds = 2;
const gpu = { uuid: 'GPU-00000000-feed-beef-cafe-000000000000' };
/** Volatile double-bit errors: health looks at them, no policy does. */
const field = 311;

// They wait most of the time; the one that measures runs alone.
t.jobs = 3;
const together = { buffered: true };

async function setUp(t: Test) {
  const engine = await startEngine(t, installStub(t));
  await engine.nma(true);
  const agent = await startAgent(t, { seesAll: true, flags: ['--arm', '--kernel-log', '/dev/null'] });
  const order = { gpu, field, value: 1, everySeconds, engine: { pid: engine.pid } };
  return { engine, agent, order };
}

/** Asks until it is so; the test's own time limit ends it otherwise. */
async function until<T>(ask: () => Promise<T>, isSo: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    await sleep(50);
  }
}

const receiptOf = async (agent: AgentProcess, orderId: string) =>
  (await agent.call('GetReceipt', { orderId })).body;
const beatsOf = async (engine: StubEngine) => (await engine.injected()).filter((one) => one.field === field);
const stateOf = (pid: number) =>
  /^\d+ \(.*\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? 'gone';

t.test('it is written again under load, without a client, until the deadline and not longer', async (t) => {
  const { engine, agent, order } = await setUp(t);
  const begun = await agent.call('InjectDcgmField', { ...order, orderId: 'o1', forSeconds: 9 });
  t.equal(begun.status, 200, begun.body.message);
  t.match(begun.body, {
    state: 'running',
    endedAt: null,
    surfaces: [{ outcome: 'injected', sustained: { everySeconds, beats: 1, failures: 0, ended: undefined } }],
  });
  const end = Date.parse(begun.body.surfaces[0]?.sustained?.until ?? '');

  let requests = 0;
  while (Date.now() < end) {
    await Promise.all(
      Array.from({ length: 8 }, async (_, number) => {
        const asked = number % 2 === 0 ? ['GetReceipt', { orderId: 'o1' }] : ['TailKernelLog', { limit: 0 }];
        await agent.call(String(asked[0]), asked[1]);
        requests += 1;
      }),
    );
  }
  const ended = await until(
    () => receiptOf(agent, 'o1'),
    (receipt) => receipt.state !== 'running',
  );
  t.same(Errors(Receipt, ended), []);
  t.match(ended, {
    state: 'ended',
    endedAt: String,
    surfaces: [{ sustained: { beats: Number, failures: 0, ended: 'deadline' } }],
  });
  const beats = await beatsOf(engine);
  // Due at 0, 2, 4, 6 and 8 s; a machine that is too busy skips some, as test/agent/injection/scripts.test.ts has it to the second.
  const early = beats.map(({ at }, number) => Math.min(0, at - (end - 9_000 + number * everySeconds * 1000)));
  t.ok(
    early.every((milliseconds) => milliseconds >= -100),
    `early by ${early.join(', ')} ms, during ${requests} requests`,
  );
  t.ok(beats.length >= 2 && beats.length <= 5, `${beats.length} times`);
  t.equal(beats.length, ended.surfaces[0]?.sustained?.beats, 'and each is counted');
  await sleep(everySeconds * 1000 + 500);
  t.equal((await beatsOf(engine)).length, beats.length, 'none after the deadline');
});

t.test('StopInjection ends it at once, also while it is being written', { ...together }, async (t) => {
  const { engine, agent, order } = await setUp(t);
  for (const mode of ['ok', 'hang']) {
    await engine.configure({ mode: 'ok' });
    const orderId = `o-${mode}`;
    const begun = await agent.call('InjectDcgmField', { ...order, orderId, forSeconds: 600 });
    t.equal(begun.status, 200, begun.body.message);
    const before = (await beatsOf(engine)).length;
    await until(
      () => beatsOf(engine),
      (beats) => beats.length > before,
    );
    await engine.configure({ mode });
    // Where the engine hangs, a dcgmi is running and waits by now.
    await sleep(mode === 'hang' ? everySeconds * 1000 + 300 : 0);
    const lateness = measureLateness();
    const asked = Date.now();
    const stopped = await agent.call('StopInjection', { orderId });
    const took = Date.now() - asked;
    // A dcgmi that hangs has seconds of its own before it is given up. Two processes answer, which wait for the processor as this one.
    t.ok(took < 1000 + 3 * lateness(), `${mode}: ${took} ms`);
    t.match(stopped, {
      status: 200,
      body: { orderId, state: 'ended', surfaces: [{ outcome: 'injected', sustained: { ended: 'stopped' } }] },
    });
    t.same(Errors(Receipt, stopped.body), []);
    t.match(await agent.call('StopInjection', { orderId }), {
      status: 400,
      body: { details: { reason: 'nothing_to_stop', receipt: { state: 'ended' } } },
    });
    const count = (await beatsOf(engine)).length;
    await sleep(everySeconds * 1000 + 500);
    t.equal((await beatsOf(engine)).length, count, `${mode}: nothing is written any more`);
  }
});

t.test('a killed agent ends it, and the next one says so', { ...together }, async (t) => {
  const { engine, agent, order } = await setUp(t);
  await agent.call('InjectDcgmField', { ...order, orderId: 'o1', forSeconds: 600 });
  await agent.end('SIGKILL');
  const count = (await beatsOf(engine)).length;
  const flags = ['--arm', '--kernel-log', '/dev/null'];
  const next = await startAgent(t, { seesAll: true, stateDir: agent.stateDir, flags });
  const receipt = await receiptOf(next, 'o1');
  t.same(Errors(Receipt, receipt), []);
  t.match(receipt, {
    state: 'interrupted',
    endedAt: String,
    surfaces: [{ outcome: 'injected', sustained: { beats: 1, ended: 'agent-restarted' } }],
  });
  t.match(
    await next.call('InjectDcgmField', { ...order, orderId: 'o1', forSeconds: 600 }),
    { status: 200, body: { state: 'interrupted', replayed: true } },
    'and the same order does not begin again',
  );
  await sleep(everySeconds * 1000 + 500);
  t.equal((await beatsOf(engine)).length, count);
});

t.test('a stopped engine goes on, whatever becomes of the agent', { ...together }, async (t) => {
  const { engine, agent } = await setUp(t);
  const order = { engine: { pid: engine.pid }, forSeconds: 600 };
  const paused = await agent.call('PauseHostEngine', { ...order, orderId: 'o1' });
  t.match(paused, {
    status: 200,
    body: {
      state: 'running',
      surfaces: [
        { surface: 'host-engine', readBack: { pid: engine.pid, state: 'T' }, engine: { pid: engine.pid } },
      ],
    },
  });
  t.equal(stateOf(engine.pid), 'T');
  await agent.end('SIGKILL');
  t.equal(stateOf(engine.pid), 'T', 'who is killed can do nothing');
  const flags = ['--arm', '--kernel-log', '/dev/null'];
  const next = await startAgent(t, { seesAll: true, stateDir: agent.stateDir, flags });
  await until(
    async () => stateOf(engine.pid),
    (state) => state !== 'T',
  );
  const told = await until(
    () => receiptOf(next, 'o1'),
    (receipt) => receipt.surfaces[0]?.notes.some((note) => note.includes('was continued')) === true,
  );
  t.match(told, { state: 'interrupted', surfaces: [{ sustained: { ended: 'agent-restarted' } }] });

  const stopped = await next.call('PauseHostEngine', { ...order, orderId: 'o2' });
  t.equal(stopped.status, 200, stopped.body.message);
  t.match(
    await next.call('PauseHostEngine', { ...order, force: true, orderId: 'o3' }),
    { status: 503, body: { details: { reason: 'engine_unreachable' } } },
    'what is stopped cannot be stopped again',
  );
  t.equal(await next.end('SIGTERM'), 0);
  t.not(stateOf(engine.pid), 'T', 'an agent that is told to end continues it first');
  const last = await startAgent(t, { seesAll: true, stateDir: agent.stateDir, flags });
  t.match(await receiptOf(last, 'o2'), {
    state: 'interrupted',
    surfaces: [{ sustained: { ended: 'agent-restarted' }, notes: [String, /was continued/] }],
  });
  await last.call('PauseHostEngine', { ...order, forSeconds: 1, orderId: 'o4' });
  await until(
    async () => stateOf(engine.pid),
    (state) => state !== 'T',
  );
  const atEnd = await until(
    () => receiptOf(last, 'o4'),
    (receipt) => receipt.state !== 'running',
  );
  t.match(atEnd, { state: 'ended', surfaces: [{ sustained: { everySeconds: null, ended: 'deadline' } }] });
});

t.test('N6: undo says what is so now, and one time only', { ...together }, async (t) => {
  const { engine, agent, order } = await setUp(t);
  const { everySeconds: _, ...once } = order;
  const inforom = { ...once, field: 84, value: 0, forSeconds: 600, orderId: 'rom' };
  const begun = await agent.call('InjectDcgmField', inforom);
  t.equal(begun.status, 200, begun.body.message);
  t.match(begun.body.surfaces[0]?.undo, /one in 1 h; 1 written to field 84 takes it back at once/);
  t.notMatch(JSON.stringify(begun.body), /10 to 30 s/, 'the engine reads this field hourly');
  const { body: stopped } = await agent.call('StopInjection', { orderId: 'rom' });
  t.match(stopped.surfaces[0], { undo: /^done: / });
  t.equal((await engine.injected()).at(-1)?.value, '1', 'and so it was');

  const single = await agent.call('InjectDcgmField', { ...once, value: 1, orderId: 'single' });
  t.match(single.body.surfaces[0]?.undo, /10 to 30 s/);
  t.notMatch(JSON.stringify(single.body), /hourly|60 min/);

  const repeated = await agent.call('InjectDcgmField', { ...order, forSeconds: 600, orderId: 'again' });
  t.equal(repeated.status, 200, repeated.body.message);
  const { body: ended } = await agent.call('StopInjection', { orderId: 'again' });
  t.match(ended.surfaces[0]?.undo, /^written for the last time at .*; lasts until the next real reading/);

  const paused = { engine: { pid: engine.pid }, forSeconds: 600, orderId: 'pause' };
  const pause = await agent.call('PauseHostEngine', paused);
  t.match(pause.body.surfaces[0]?.undo, /^continues by itself at the end/);
  const { body: continued } = await agent.call('StopInjection', { orderId: 'pause' });
  t.match(continued.surfaces[0]?.undo, /^done: process \d+ was continued/);
});
