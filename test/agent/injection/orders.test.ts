import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Journal, openJournal } from '../../../agent/injection/journal.ts';
import { openReceiptFiles } from '../../../agent/injection/receipt-files.ts';
import { interruptedReceipt } from '../../../agent/injection/receipts.ts';
import { createFakeKernelLog } from '../../../agent/kernel-log/fake.ts';
import type { KernelLog } from '../../../agent/kernel-log/port.ts';
import { createSilentLog } from '../../../shared/log.ts';
import type { Receipt } from '../../../shared/schemas/receipt.ts';
import { createManualClock } from '../../manual-clock.ts';
import { createRecordingLog, startRig, temporaryFolder } from '../rig.ts';

const order = { orderId: 'o1', text: 'a text' };

const running: Receipt = {
  orderId: 'o1',
  node: 'n1',
  method: 'WriteKernelMessage',
  asked: { text: 'a text' },
  state: 'running',
  acceptedAt: '2026-11-23T02:00:00.000Z',
  endedAt: null,
  replayed: false,
  surfaces: [],
};

const interrupted = (receipt: Receipt) => interruptedReceipt(receipt, '2026-11-23T03:00:00.000Z');

/** A kernel log that takes a record only when it is let. */
function heldBack() {
  const inner = createFakeKernelLog({ clock: createManualClock() });
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const kernelLog: KernelLog = {
    ...inner,
    async write(level, text) {
      begun.resolve();
      await gate.promise;
      return inner.write(level, text);
    },
  };
  return { kernelLog, records: inner.records, letGo: gate.resolve, begun: begun.promise };
}

t.test('the same order again has the same receipt and no second effect', async (t) => {
  const rig = await startRig(t);
  const first = await rig.call('WriteKernelMessage', order);
  t.match(first, { status: 200, body: { replayed: false } });
  await rig.clock.advance(5000);
  t.same(await rig.call('WriteKernelMessage', order), {
    status: 200,
    body: { ...first.body, replayed: true },
  });
  t.same(
    (await rig.call('WriteKernelMessage', '{ "text": "a text", "orderId": "o1" }')).body.replayed,
    true,
    'the order of the keys does not matter',
  );
  t.same((await rig.call('GetReceipt', { orderId: 'o1' })).body, { ...first.body, replayed: true });
  t.equal(rig.kernelLog.records().length, 1);
});

t.test('also when the agent was started anew in between, and when it is disarmed by then', async (t) => {
  const stateDir = temporaryFolder(t);
  const before = await startRig(t, { stateDir });
  const first = await before.call('WriteKernelMessage', order);
  await before.app.close();
  const after = await startRig(t, { stateDir, armed: false });
  t.same(await after.call('WriteKernelMessage', order), {
    status: 200,
    body: { ...first.body, replayed: true },
  });
  t.same(after.kernelLog.records(), []);
});

t.test('an id that was used for something else is refused', async (t) => {
  const rig = await startRig(t);
  await rig.call('WriteKernelMessage', order);
  const others = [
    ['WriteKernelMessage', { ...order, text: 'another' }],
    ['WriteKernelMessage', { ...order, level: 'err' }],
    ['InjectXid', { orderId: 'o1', gpu: { index: 0 }, xid: 31, surfaces: ['kernel-log'] }],
  ] as const;
  for (const [method, body] of others) {
    t.match(await rig.call(method, body), {
      status: 409,
      body: { code: 'aborted', details: { reason: 'order_id_reused', field: 'orderId' } },
    });
  }
  t.equal(rig.kernelLog.records().length, 1);
});

t.test('one id at the same time is one record', async (t) => {
  const held = heldBack();
  const rig = await startRig(t, { kernelLog: held.kernelLog });
  const first = rig.call('WriteKernelMessage', order);
  await held.begun;
  const second = rig.call('WriteKernelMessage', order);
  const other = await rig.call('WriteKernelMessage', { ...order, text: 'another' });
  t.match(other, { status: 409, body: { details: { reason: 'order_id_reused' } } });
  t.match((await rig.call('GetReceipt', { orderId: 'o1' })).body, { state: 'running', surfaces: [] });
  held.letGo();
  t.match(await first, { status: 200, body: { replayed: false } });
  t.same((await second).body, { ...(await first).body, replayed: true });
  t.equal(held.records().length, 1);
});

t.test('the order is on disk before its effect', async (t) => {
  const held = heldBack();
  const rig = await startRig(t, { kernelLog: held.kernelLog });
  const pending = rig.call('WriteKernelMessage', order);
  await held.begun;
  const file = join(rig.stateDir, 'orders', 'o1.json');
  t.match(JSON.parse(readFileSync(file, 'utf8')), { state: 'running', asked: { text: 'a text' } });
  t.same(held.records(), []);
  held.letGo();
  await pending;
  t.match(JSON.parse(readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? ''), {
    state: 'ended',
    surfaces: [{ outcome: 'injected' }],
  });
  t.same(rig.journalFiles(), ['o1.json'], 'in the same file');
});

t.test('an order that the agent died in is never carried out again', async (t) => {
  const stateDir = temporaryFolder(t);
  mkdirSync(join(stateDir, 'orders'));
  // The second line was being written when the process was killed.
  writeFileSync(join(stateDir, 'orders', 'o1.json'), `${JSON.stringify(running)}\n{"half":`);
  const rig = await startRig(t, { stateDir });
  for (const attempt of ['first', 'second']) {
    t.match(
      await rig.call('WriteKernelMessage', order),
      {
        status: 500,
        body: {
          code: 'internal',
          message: /may or may not/,
          details: { reason: 'order_interrupted', receipt: { state: 'interrupted', endedAt: String } },
        },
      },
      attempt,
    );
  }
  t.match(await rig.call('GetReceipt', { orderId: 'o1' }), { status: 200, body: { state: 'interrupted' } });
  t.same(rig.kernelLog.records(), []);
  t.same(rig.journalFiles(), ['o1.json'], 'nothing else is left');
});

t.test('a journal that cannot be written refuses before any effect', async (t) => {
  const rig = await startRig(t);
  rmSync(join(rig.stateDir, 'orders'), { recursive: true });
  t.match(await rig.call('WriteKernelMessage', order), {
    status: 503,
    body: {
      code: 'unavailable',
      message: /journal/,
      details: { reason: 'journal_unwritable', remedy: /--state-dir/ },
    },
  });
  t.same(rig.kernelLog.records(), []);
});

t.test('a journal that fails after the effect does not hide it, nor let it happen twice', async (t) => {
  const held = heldBack();
  const rig = await startRig(t, { kernelLog: held.kernelLog });
  const pending = rig.call('WriteKernelMessage', order);
  await held.begun;
  const orders = join(rig.stateDir, 'orders');
  renameSync(orders, `${orders}.gone`);
  held.letGo();
  const { status, body } = await pending;
  t.match([status, body.surfaces], [200, [{ outcome: 'injected', readBack: { sequence: Number } }]]);
  renameSync(`${orders}.gone`, orders);
  t.same((await rig.call('WriteKernelMessage', order)).body, { ...body, replayed: true });
  t.same((await rig.call('GetReceipt', { orderId: 'o1' })).body, { ...body, replayed: true });
  t.equal(held.records().length, 1);
});

t.test('a failed order is remembered as well', async (t) => {
  const rig = await startRig(t);
  rig.kernelLog.dropWrites(true);
  const first = await rig.call('WriteKernelMessage', order);
  t.match(first, { status: 503, body: { details: { reason: 'read_back_failed' } } });
  rig.kernelLog.dropWrites(false);
  t.match(
    await rig.call('WriteKernelMessage', order),
    { status: 503, body: { details: { reason: 'read_back_failed', receipt: { replayed: true } } } },
    'it may have been written',
  );
  t.same(rig.kernelLog.records(), []);
});

t.test(
  'a receipt that cannot be read keeps one order from being repeated, not the agent from starting',
  async (t) => {
    const stateDir = temporaryFolder(t);
    mkdirSync(join(stateDir, 'orders'));
    writeFileSync(join(stateDir, 'orders', 'o1.json'), '');
    const rig = await startRig(t, { stateDir });
    t.match(await rig.call('WriteKernelMessage', order), {
      status: 409,
      body: { details: { reason: 'receipt_damaged', remedy: /damaged\/o1\.json/ } },
    });
    t.equal((await rig.call('WriteKernelMessage', { ...order, orderId: 'o2' })).status, 200);
    t.equal(rig.kernelLog.records().length, 1);
  },
);

t.test('H2 the journal keeps the newest, at its start and while it runs', async (t) => {
  const stateDir = temporaryFolder(t);
  const write = (journal: Journal, number: number) => {
    const orderId = `o${number}`;
    journal.begin({ ...running, orderId });
    journal.write({ ...running, orderId, state: 'ended' });
    // After a start the age of a file is its time; two of one millisecond have no order.
    utimesSync(join(stateDir, 'orders', `${orderId}.json`), number, number);
  };
  const kept = (journal: Journal, count: number) =>
    Array.from({ length: count }, (_, number) => number).filter((number) => {
      try {
        return journal.read(`o${number}`) !== undefined;
      } catch (thrown) {
        t.match(thrown, { reason: 'order_forgotten', message: /was carried out before/ });
        return false;
      }
    });
  const journal = (options: { keep: number; pruneEvery: number }) =>
    openJournal({ stateDir, interrupted, log: createSilentLog(), ...options });

  const open = journal({ keep: 100, pruneEvery: 5 });
  for (let number = 0; number < 10; number += 1) write(open, number);
  t.equal(kept(open, 10).length, 10);
  t.same(kept(journal({ keep: 4, pruneEvery: 5 }), 10), [6, 7, 8, 9], 'at the start');

  const small = journal({ keep: 4, pruneEvery: 5 });
  for (let number = 10; number < 20; number += 1) write(small, number);
  t.same(kept(small, 20), [11, 12, 13, 14, 15, 16, 17, 18, 19], 'and every few orders');
});

t.test('H2 an order that has not ended is not pruned, however many come after it', async (t) => {
  const rig = await startRig(t, { keep: 4, pruneEvery: 2 });
  await rig.call('PauseHostEngine', { orderId: 'long', forSeconds: 900 });
  await rig.call('WriteKernelMessage', { orderId: 'old', text: 'old' });
  for (let number = 0; number < 20; number += 1)
    await rig.call('WriteKernelMessage', { orderId: `o${number}`, text: 'a text' });
  t.match(await rig.call('GetReceipt', { orderId: 'long' }), { status: 200, body: { state: 'running' } });
  t.ok(rig.journalFiles().includes('long.json'));
  const records = rig.kernelLog.records().length;
  for (const method of ['WriteKernelMessage', 'GetReceipt']) {
    const body = method === 'GetReceipt' ? { orderId: 'old' } : { orderId: 'old', text: 'old' };
    t.match(await rig.call(method, body), {
      status: 409,
      body: { code: 'aborted', details: { reason: 'order_forgotten', remedy: /new order id/ } },
    });
  }
  t.equal(rig.kernelLog.records().length, records, 'nothing is injected a second time');
  await rig.app.close();
  const next = await startRig(t, { stateDir: rig.stateDir });
  t.match(await next.call('WriteKernelMessage', { orderId: 'old', text: 'old' }), {
    status: 409,
    body: { details: { reason: 'order_forgotten' } },
  });
});

t.test('a folder that cannot be used refuses orders and keeps nothing else from working', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  const journal = openJournal({ stateDir: join(folder, 'file'), interrupted, log: createSilentLog() });
  t.throws(() => journal.begin(running), { name: 'Refusal', reason: 'journal_unwritable' });
  t.match(journal.unwritable(), { reason: 'journal_unwritable', details: { remedy: /--state-dir/ } });
});

t.test('damaged receipts are set aside and named, and nothing of them is carried out again', async (t) => {
  const stateDir = temporaryFolder(t);
  mkdirSync(join(stateDir, 'orders'));
  const damages: Readonly<Record<string, string | Buffer>> = {
    null: 'null\n',
    state: '{"state":"running"}\n',
    list: '[]\n',
    other: `${JSON.stringify({ ...running, orderId: 'o9' })}\n`,
    entry: `${JSON.stringify({ ...running, orderId: 'entry', surfaces: [null] })}\n`,
    remaining: `${JSON.stringify({ ...running, orderId: 'remaining', remaining: [{}] })}\n`,
    bytes: Buffer.from([0, 255, 10, 0]),
    half: '{"orderId":"half","node"',
  };
  for (const [orderId, text] of Object.entries(damages))
    writeFileSync(join(stateDir, 'orders', `${orderId}.json`), text);
  mkdirSync(join(stateDir, 'orders', 'folder.json'));
  const log = createRecordingLog();
  for (const start of ['first', 'second']) {
    const rig = await startRig(t, { stateDir, log });
    for (const orderId of [...Object.keys(damages), 'folder']) {
      t.match(
        await rig.call('WriteKernelMessage', { orderId, text: 'a text' }),
        {
          status: 409,
          body: { details: { reason: 'receipt_damaged', file: new RegExp(`/${orderId}.json$`) } },
        },
        `${start} start: ${orderId}`,
      );
    }
    t.equal((await rig.call('WriteKernelMessage', { orderId: start, text: 'a text' })).status, 200);
    await rig.app.close();
  }
  for (const orderId of Object.keys(damages))
    t.ok(
      log.lines().some((line) => line.includes(`damaged/${orderId}.json`)),
      `${orderId} is named`,
    );
});

t.test('M10 a line that was cut in the middle costs that line and nothing else', async (t) => {
  const rig = await startRig(t);
  const { body } = await rig.call('WriteKernelMessage', order);
  const file = join(rig.stateDir, 'orders', 'o1.json');
  const whole = readFileSync(file, 'utf8');
  for (const cut of ['{"orderId":"o1","sta', '\n{"orderId', '\0\0\0']) {
    writeFileSync(file, `${whole}${cut}`);
    t.same((await rig.call('GetReceipt', { orderId: 'o1' })).body, { ...body, replayed: true }, cut);
    writeFileSync(file, `${whole}${cut}\n${whole.split('\n').at(-2)}\n`);
    t.same(
      (await rig.call('GetReceipt', { orderId: 'o1' })).body,
      { ...body, replayed: true },
      `${cut} and on`,
    );
  }
});

t.test('M10 what is written behind a cut line can be read', async (t) => {
  for (const cut of ['', '{"orderId":"o1","sta', '\0\0\0']) {
    const stateDir = temporaryFolder(t);
    const open = () => openReceiptFiles({ stateDir, log: createSilentLog() });
    const first = open();
    first.list();
    first.create(running);
    appendFileSync(join(stateDir, 'orders', 'o1.json'), cut);
    // Another process: it did not write what stands there.
    const next = open();
    next.list();
    next.append({ ...running, state: 'ended', endedAt: running.acceptedAt });
    t.equal(next.read('o1')?.state, 'ended', cut);
  }
});

t.test('orders at once are counted: beyond the most they are refused, and may come again', async (t) => {
  const held = heldBack();
  const rig = await startRig(t, { kernelLog: held.kernelLog });
  const send = (number: number) => rig.call('WriteKernelMessage', { orderId: `o${number}`, text: 'a text' });
  const pending = Array.from({ length: 256 }, (_, number) => send(number));
  await held.begun;
  const answer = await send(256);
  t.match(answer, { status: 429, body: { details: { reason: 'too_many_running', retryAfterSeconds: 5 } } });
  held.letGo();
  for (const { status } of await Promise.all(pending)) t.equal(status, 200);
  t.match(await send(256), { status: 200, body: { replayed: false } });
});

t.test('M6 two journals on one folder, without the lock: an order is begun by one of them', async (t) => {
  const stateDir = temporaryFolder(t);
  const [one, other] = [1, 2].map(() => openJournal({ stateDir, interrupted, log: createSilentLog() }));
  one?.begin(running);
  t.throws(() => other?.begin(running), { name: 'Refusal', reason: 'journal_unwritable', message: /EEXIST/ });
  t.match(one?.read('o1'), { state: 'running' }, 'and what the first one wrote stays');
});
