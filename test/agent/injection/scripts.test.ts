import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Errors } from 'typebox/value';
import type { Dcgm } from '../../../agent/dcgm/client.ts';
import type { JournalLine } from '../../../agent/injection/journal-line.ts';
import { refreshUntilEnd } from '../../../agent/injection/refresh.ts';
import { Receipt } from '../../../shared/schemas/receipt.ts';
import { logFiles } from '../../../shared/surfaces/log-file.ts';
import { createManualClock } from '../../manual-clock.ts';
import { startRig, temporaryFolder } from '../rig.ts';

type Rig = Awaited<ReturnType<typeof startRig>>;

const gpu = { index: 0 };
/** DCGM's number of it. */
const dcgmId = 1;
const cascade = {
  gpu,
  surfaces: ['kernel-log', 'dcgm'],
  steps: [
    { xid: 48, afterSeconds: 0 },
    { xid: 63, afterSeconds: 7 },
    { xid: 94, afterSeconds: 14 },
  ],
};
/** Volatile double-bit errors: health looks at them, no policy does. */
const sustain = { gpu, field: 311, value: 1, forSeconds: 100, everySeconds: 10 };
const receiptOf = async (rig: Rig, orderId: string) => (await rig.call('GetReceipt', { orderId })).body;
const texts = (rig: Rig) => rig.kernelLog.records().map(({ text }) => text);

t.test('a line for the journal is a kernel record that begins with its identifier', async (t) => {
  const rig = await startRig(t);
  const { status, body } = await rig.call('WriteJournalMessage', {
    orderId: 'o1',
    identifier: 'kubelet',
    text: 'E1123 a text',
    times: 3,
    gapSeconds: 5,
  });
  t.match([status, body.state, body.surfaces.length], [200, 'running', 1]);
  t.match(body.surfaces[0], {
    surface: 'journal',
    outcome: 'injected',
    written: 'kubelet: E1123 a text',
    readBack: {
      record: /;kubelet: E1123 a text$/,
      priority: 14,
      journal: {
        state: 'seen',
        directory: '/var/log/journal',
        identifier: 'kubelet',
        message: 'E1123 a text',
      },
    },
    notes: ['read back from the journal in /var/log/journal'],
  });
  await rig.clock.advance(9999);
  t.equal((await receiptOf(rig, 'o1')).surfaces.length, 2);
  await rig.clock.advance(1);
  const ended = await receiptOf(rig, 'o1');
  t.same(Errors(Receipt, ended), []);
  t.match(ended, { state: 'ended', surfaces: [{}, { afterSeconds: 5 }, { afterSeconds: 10 }] });
  t.same(texts(rig), Array(3).fill('kubelet: E1123 a text'));
});

const line = { orderId: 'r5', identifier: 'kubelet', text: 'E1123 a text' };

t.test('R5: a record that does not reach the journal is not injected', async (t) => {
  const rig = await startRig(t);
  const because = 'journald does not read the kernel log: ReadKMsg=no';
  rig.systemJournal.breakWith({ cause: 'read-kmsg-off', because });
  const { status, body } = await rig.call('WriteJournalMessage', line);
  t.match(
    { status, body },
    {
      status: 503,
      body: {
        message: /injected in the kernel log \(sequence \d+\) and not seen in the journal.*ReadKMsg=no/,
        details: { reason: 'journal_record_missing' },
      },
    },
  );
  const { receipt } = body.details ?? {};
  t.same(Errors(Receipt, receipt), []);
  t.match(receipt?.surfaces, [
    {
      surface: 'journal',
      outcome: 'failed',
      code: 'journal_record_missing',
      details: { cause: 'read-kmsg-off', remedy: /ReadKMsg=yes/ },
      readBack: {
        sequence: Number,
        record: /;kubelet: E1123 a text$/,
        journal: { state: 'missing', because },
      },
      undo: /stays in the kernel log/,
    },
  ]);
  t.same(texts(rig), ['kubelet: E1123 a text'], 'it is in the kernel log all the same');
  t.equal(await rig.metric('xidrill_read_back_failures_total{surface="journal"}'), 1);
  t.equal(await rig.metric('xidrill_injections_total{surface="journal",result="injected"}'), 0);
  await rig.call('WriteJournalMessage', line);
  t.equal(texts(rig).length, 1, 'the same order writes nothing again');
});

t.test('R5: where the journal cannot be read, the receipt says so', async (t) => {
  const rig = await startRig(t);
  rig.systemJournal.breakWith({ cause: 'agent-lacks', because: 'the agent has no nsenter' });
  const { status, body } = await rig.call('WriteJournalMessage', line);
  t.equal(status, 200);
  t.same(Errors(Receipt, body), []);
  t.match(body.surfaces, [
    {
      outcome: 'injected',
      readBack: { journal: { state: 'unread', cause: 'agent-lacks', because: 'the agent has no nsenter' } },
      notes: [/from the kernel log only; the journal could not be read: the agent has no nsenter/],
    },
  ]);
});

t.test('R5: a node without journald says so before anything is written', async (t) => {
  const rig = await startRig(t);
  rig.systemJournal.breakWith({ cause: 'no-journald', because: 'no journald runs on this node' });
  const { body: inventory } = await rig.call('GetInventory', {});
  t.match(JSON.stringify(inventory), /"name":"journal","available":false,"because":"no journald/);
});

t.test('a line is appended to a file that the node has, and to no other', async (t) => {
  const rig = await startRig(t);
  const seen: string[] = [];
  rig.hostFiles.tail(logFiles.ipamd, (line) => seen.push(line));
  const line = { file: 'ipamd', text: 'Unable to reach API Server' };
  const first = await rig.call('AppendLogLine', { ...line, times: 2 });
  t.match(first.body.surfaces, [
    {
      surface: 'log-file',
      written: line.text,
      readBack: { path: logFiles.ipamd, offset: 0, line: line.text },
    },
    { readBack: { offset: line.text.length + 1 }, undo: /rotated/ },
  ]);
  t.same(seen, [line.text, line.text]);
  t.match(await rig.call('AppendLogLine', { ...line, file: 'cron' }), {
    status: 400,
    body: { details: { reason: 'log_file_missing', remedy: /touch \/var\/log\/cron\.log/ } },
  });
  rig.hostFiles.breakWith(logFiles.ipamd, 'it is no regular file');
  t.match((await rig.call('AppendLogLine', line)).body.details, { reason: 'log_file_unusable' });
});

t.test('a cascade goes on by itself, step by step, on both surfaces', async (t) => {
  const rig = await startRig(t);
  const { body } = await rig.call('InjectCascade', { ...cascade, orderId: 'o1' });
  t.match(body, { state: 'running', surfaces: [{ surface: 'kernel-log' }, { surface: 'dcgm' }] });
  t.equal(await rig.metric('xidrill_running_orders'), 1);
  t.match(
    await rig.call('InjectCascade', { ...cascade, orderId: 'o1' }),
    { status: 200, body: { state: 'running', replayed: true } },
    'the same order again is answered, and begins nothing',
  );
  await rig.clock.advance(6999);
  t.equal(rig.kernelLog.records().length, 1);
  await rig.clock.advance(1);
  t.equal(rig.kernelLog.records().length, 2);
  await rig.clock.advance(7000);
  const ended = await receiptOf(rig, 'o1');
  t.same(Errors(Receipt, ended), []);
  t.match(ended.state, 'ended');
  t.same(
    ended.surfaces.map(({ surface, outcome, afterSeconds, at }) => [
      surface,
      outcome,
      afterSeconds,
      at?.slice(17, 19),
    ]),
    [0, 7, 14].flatMap((seconds) =>
      ['kernel-log', 'dcgm'].map((surface) => [
        surface,
        'injected',
        seconds === 0 ? undefined : seconds,
        String(8 + seconds).padStart(2, '0'),
      ]),
    ),
  );
  t.match(texts(rig), [/\): 48,/, /\): 63,/, /\): 94,/]);
  t.match(rig.engine.facts(dcgmId, 230), { samples: 3 });
  t.equal(await rig.metric('xidrill_running_orders'), 0);
});

t.test('a cascade that is stopped says what was not written', async (t) => {
  const rig = await startRig(t);
  await rig.call('InjectCascade', { ...cascade, orderId: 'o1' });
  await rig.clock.advance(8000);
  const { status, body } = await rig.call('StopInjection', { orderId: 'o1' });
  t.equal(status, 200);
  t.same(Errors(Receipt, body), []);
  t.match(body, { state: 'ended', endedAt: String });
  t.match(
    body.surfaces.map(({ outcome, code, afterSeconds }) => [outcome, code, afterSeconds]),
    [
      ['injected', undefined, undefined],
      ['injected', undefined, undefined],
      ['injected', undefined, 7],
      ['injected', undefined, 7],
      ['refused', 'order_stopped', 14],
      ['refused', 'order_stopped', 14],
    ],
  );
  await rig.clock.advance(60_000);
  t.equal(rig.kernelLog.records().length, 2);
  t.match((await rig.call('StopInjection', { orderId: 'o1' })).body.details.reason, 'nothing_to_stop');
});

t.test('a later step that fails is told, and the others are written', async (t) => {
  const rig = await startRig(t);
  await rig.call('InjectCascade', { ...cascade, orderId: 'o1' });
  rig.kernelLog.dropWrites(true);
  await rig.clock.advance(7000);
  rig.kernelLog.dropWrites(false);
  await rig.clock.advance(7000);
  t.match((await receiptOf(rig, 'o1')).surfaces, [
    { outcome: 'injected' },
    { outcome: 'injected' },
    { outcome: 'failed', code: 'read_back_failed', afterSeconds: 7 },
    { outcome: 'injected' },
    { outcome: 'injected' },
    { outcome: 'injected' },
  ]);
});

t.test('a value that lasts is written again at fixed times', async (t) => {
  const rig = await startRig(t);
  const { body } = await rig.call('InjectDcgmField', { ...sustain, orderId: 'o1' });
  const sustained = { everySeconds: 10, until: '2026-11-23T02:25:48.000Z', failures: 0 };
  t.match(body.surfaces, [{ sustained: { ...sustained, beats: 1, ended: undefined } }]);
  await rig.clock.advance(55_000);
  t.match((await receiptOf(rig, 'o1')).surfaces, [
    { sustained: { ...sustained, beats: 6, lastAt: '2026-11-23T02:24:58.000Z', ended: undefined } },
  ]);
  const lines = readFileSync(join(rig.stateDir, 'orders', 'o1.json'), 'utf8')
    .trim()
    .split('\n');
  t.equal(lines.length, 3, 'its begin, its first write, and what was so after half a minute');
  t.match(JSON.parse(lines.at(-1) ?? ''), { state: 'running', surfaces: [{ sustained: { beats: 4 } }] });
  await rig.clock.advance(45_000);
  const ended = await receiptOf(rig, 'o1');
  t.match(ended, {
    state: 'ended',
    surfaces: [
      { sustained: { ...sustained, beats: 10, lastAt: '2026-11-23T02:25:38.000Z', ended: 'deadline' } },
    ],
  });
  t.same(Errors(Receipt, ended), []);
  const samples = rig.engine.facts(dcgmId, 311);
  await rig.clock.advance(60_000);
  t.same(rig.engine.facts(dcgmId, 311), samples, 'nothing more');
});

t.test('three refreshes in a row that cannot be read back end it', async (t) => {
  const rig = await startRig(t);
  await rig.call('InjectDcgmField', { ...sustain, orderId: 'o1' });
  await rig.clock.advance(15_000);
  rig.engine.suspend();
  await rig.clock.advance(10_000);
  rig.engine.resume();
  await rig.clock.advance(10_000);
  t.match((await receiptOf(rig, 'o1')).surfaces, [
    { code: 'dcgmi_timeout', message: /did not end within/, sustained: { failures: 1, ended: undefined } },
  ]);
  rig.engine.kill();
  await rig.clock.advance(60_000);
  const { state, surfaces } = await receiptOf(rig, 'o1');
  t.match(
    [state, surfaces],
    [
      'ended',
      [
        {
          outcome: 'injected',
          sustained: { failures: 4, ended: 'failed' },
          notes: /3 refreshes in a row could not be read back/,
        },
      ],
    ],
  );
});

/** A recipe that holds one sample instead of repeating it. */
const holding = (dcgm: Dcgm): Dcgm => ({
  ...dcgm,
  async assertInjectable(order) {
    const { repeat: _, ...recipe } = await dcgm.assertInjectable(order);
    const undo = [{ field: 311, value: '0', afterMs: 0, offsetSeconds: 331 }];
    return { ...recipe, hold: { forMs: 330_000, undo } };
  },
});

t.test('a sample that is held is taken back early, also by the next agent', async (t) => {
  const rig = await startRig(t, { wrap: holding });
  const held = { gpu, field: 311, value: 1, offsetSeconds: 330, forSeconds: 330, orderId: 'o1' };
  const { body } = await rig.call('InjectDcgmField', held);
  t.match(body, {
    state: 'running',
    surfaces: [{ sustained: { everySeconds: null, until: '2026-11-23T02:29:38.000Z', beats: 1 } }],
  });
  const stateDir = temporaryFolder(t);
  cpSync(rig.stateDir, stateDir, { recursive: true });
  await rig.clock.advance(60_000);
  const [stopped] = (await rig.call('StopInjection', { orderId: 'o1' })).body.surfaces;
  t.match(stopped, { sustained: { beats: 1, ended: 'stopped' } });
  t.match(stopped?.notes.at(-1), 'taken back with 311 = 0 behind the sample of 2026-11-23T02:29:38.000Z');

  t.same(readdirSync(join(rig.stateDir, 'held')), [], 'nothing is held any more');
  const next = await startRig(t, { stateDir });
  await next.clock.advance(0);
  const left = await receiptOf(next, 'o1');
  t.match(left, { state: 'interrupted', surfaces: [{ sustained: { ended: 'agent-restarted' } }] });
  t.match(left.surfaces[0]?.notes.at(-1), /after the restart.*no injected sample left/);
  const gone = await startRig(t, { stateDir: temporaryFolder(t), engines: 'none' });
  t.equal((await gone.call('PauseHostEngine', { forSeconds: 1 })).body.details.reason, 'engine_not_found');
});

t.test('an engine is paused until its end, or until it is stopped', async (t) => {
  const rig = await startRig(t);
  const pause = { forSeconds: 30 };
  const { body } = await rig.call('PauseHostEngine', { ...pause, orderId: 'o1' });
  t.match(body, {
    state: 'running',
    surfaces: [
      {
        surface: 'host-engine',
        readBack: { pid: 100, state: 'T' },
        engine: { pid: 100 },
        sustained: { everySeconds: null, ended: undefined },
      },
    ],
  });
  t.equal(rig.engine.state(), 'suspended');
  await rig.clock.advance(30_000);
  t.equal(rig.engine.state(), 'running');
  t.match(await receiptOf(rig, 'o1'), {
    state: 'ended',
    surfaces: [{ sustained: { ended: 'deadline' }, notes: [String, /continued and is in state S/] }],
  });
  await rig.call('PauseHostEngine', { ...pause, orderId: 'o2' });
  t.match(await rig.call('StopInjection', { orderId: 'o2' }), {
    status: 200,
    body: { surfaces: [{ sustained: { ended: 'stopped' } }] },
  });
  t.equal(rig.engine.state(), 'running');
});

t.test('an engine without a listener is paused only by force', async (t) => {
  const rig = await startRig(t, { engines: 'nobody-listens' });
  const pause = { forSeconds: 30, engine: { pid: 100 } };
  t.match(await rig.call('PauseHostEngine', pause), {
    status: 400,
    body: { details: { reason: 'nobody_listens' } },
  });
  t.equal(rig.engine.state(), 'running');
  t.equal((await rig.call('PauseHostEngine', { ...pause, force: true })).status, 200);
  t.equal(rig.engine.state(), 'suspended');
});

t.test('no more than 16 orders go on at once', async (t) => {
  const rig = await startRig(t);
  const order = (number: number) => ({ ...sustain, orderId: `o${number}` });
  for (let number = 1; number <= 16; number += 1) {
    t.equal((await rig.call('InjectDcgmField', order(number))).status, 200, `${number}`);
  }
  t.equal(await rig.metric('xidrill_running_orders'), 16);
  const { samples } = rig.engine.facts(dcgmId, 311) ?? {};
  t.match(await rig.call('InjectDcgmField', order(17)), {
    status: 429,
    body: {
      code: 'resource_exhausted',
      details: { reason: 'too_many_running', allowed: { maximum: 16 }, running: { length: 16 } },
    },
  });
  t.match(rig.engine.facts(dcgmId, 311), { samples }, 'and nothing was written');
  t.equal(
    (await rig.call('WriteKernelMessage', { text: 'a text' })).status,
    200,
    'what does not go on is free',
  );
  await rig.call('StopInjection', { orderId: 'o1' });
  t.equal((await rig.call('InjectDcgmField', order(17))).status, 200, 'one that has ended makes room');
});

t.test('an agent that is told to end ends everything, and writes that down', async (t) => {
  const stateDir = temporaryFolder(t);
  const rig = await startRig(t, { stateDir });
  await rig.call('InjectDcgmField', { ...sustain, orderId: 'value' });
  await rig.call('InjectCascade', { ...cascade, orderId: 'cascade' });
  await rig.call('PauseHostEngine', { forSeconds: 30, orderId: 'pause' });
  await rig.app.close();
  t.equal(rig.engine.state(), 'running');
  const next = await startRig(t, { stateDir });
  t.match(await receiptOf(next, 'value'), {
    state: 'interrupted',
    surfaces: [{ sustained: { ended: 'agent-restarted' } }],
  });
  t.match(await receiptOf(next, 'pause'), {
    state: 'interrupted',
    surfaces: [{ sustained: { ended: 'agent-restarted' }, notes: [String, /was continued/] }],
  });
  t.match((await receiptOf(next, 'cascade')).surfaces.at(-1), { outcome: 'refused', code: 'shutting_down' });
});

t.test('an agent that was killed: what is left is taken back, what is not known is said', async (t) => {
  const stateDir = temporaryFolder(t);
  mkdirSync(join(stateDir, 'orders'));
  const left: JournalLine = {
    orderId: 'o1',
    node: 'n1',
    method: 'PauseHostEngine',
    asked: { forSeconds: 30 },
    state: 'running',
    acceptedAt: '2026-11-23T02:00:00.000Z',
    endedAt: null,
    replayed: false,
    surfaces: [],
    remaining: [{ part: 0, surface: 'host-engine', afterMs: 0, undo: 'continues' }],
  };
  mkdirSync(join(stateDir, 'held'));
  const write = (line: JournalLine, startTime = '100') => {
    const held = [{ part: 0, kind: 'process', pid: 100, startTime }];
    writeFileSync(join(stateDir, 'orders', `${line.orderId}.json`), `${JSON.stringify(line)}\n`);
    writeFileSync(join(stateDir, 'held', `${line.orderId}.json`), JSON.stringify(held));
  };
  write(left);
  write({ ...left, orderId: 'o2' }, '7');
  // The process before this one died before it had taken everything back.
  write({ ...left, orderId: 'o3', state: 'interrupted' });
  const rig = await startRig(t, { stateDir, suspended: true });
  await rig.clock.advance(0);
  t.equal(rig.engine.state(), 'running');
  const receipt = await receiptOf(rig, 'o1');
  t.same(Errors(Receipt, receipt), [], 'what the journal keeps besides is not told');
  t.match(receipt, {
    state: 'interrupted',
    surfaces: [
      {
        surface: 'host-engine',
        outcome: 'failed',
        code: 'order_interrupted',
        message: /may or may not/,
        notes: [/after the restart of the agent: process 100 was continued/],
      },
    ],
  });
  t.match(
    (await receiptOf(rig, 'o2')).surfaces,
    [{ notes: [/had ended/] }],
    'another process with its number',
  );
  t.same(readdirSync(join(stateDir, 'held')), [], 'it is done once');
});

t.test(
  'refreshes are reckoned from the start, and one that is a whole interval late is skipped',
  async (t) => {
    const clock = createManualClock(0);
    const written: number[] = [];
    let missed = 0;
    const ended = refreshUntilEnd({
      clock,
      startMs: 0,
      everyMs: 1000,
      untilMs: 8000,
      signal: new AbortController().signal,
      async write() {
        written.push(clock.now());
        // The second one is late for the next by a half, the fourth for two of them.
        await clock.sleep({ 2: 1500, 4: 2500 }[written.length] ?? 100);
        return true;
      },
      missed() {
        missed += 1;
      },
    });
    await clock.advance(10_000);
    t.equal(await ended, 'deadline');
    t.same(written, [1000, 2000, 3500, 4000, 6500, 7000]);
    t.equal(missed, 1);
  },
);

t.test('M12 a clock that is set back or forward neither stops nor prolongs anything', async (t) => {
  for (const by of [-3_600_000, 3_600_000]) {
    const rig = await startRig(t);
    await rig.call('InjectDcgmField', { ...sustain, orderId: 'value' });
    await rig.call('InjectCascade', { ...cascade, orderId: 'cascade' });
    await rig.call('PauseHostEngine', { forSeconds: 30, orderId: 'pause', force: true });
    rig.clock.set(by);
    await rig.clock.advance(30_000);
    t.equal(rig.engine.state(), 'running', `${by} ms: the pause has ended`);
    await rig.clock.advance(70_000);
    // The engine keeps the sample that lies in the future by now as its newest, so that later ones cannot be proven.
    const value = by < 0 ? { code: 'injection_not_visible', sustained: { ended: 'failed' } } : {};
    t.match((await receiptOf(rig, 'value')).surfaces, [{ sustained: { ended: 'deadline' }, ...value }]);
    for (const orderId of ['value', 'cascade', 'pause'])
      t.match(await receiptOf(rig, orderId), { state: 'ended' }, `${by} ms: ${orderId}`);
    t.equal(
      (await receiptOf(rig, 'cascade')).surfaces.length,
      cascade.steps.length * cascade.surfaces.length,
    );
    await rig.app.close();
  }
});
