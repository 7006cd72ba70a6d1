import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type AgentProcess, startAgent } from '../process.ts';
import { readBackOf, service, temporaryFolder } from '../rig.ts';
import { watchKernelLog, whyNoKernelLog } from './device.ts';

const why = whyNoKernelLog();
const real = why === undefined ? {} : { skip: why };
const gpu = { pci: '00000000:00:1F.0' };

/** One for all tests that do not end it; none where the device is missing. */
const armed = why === undefined ? await startAgent(t, { flags: ['--arm'] }) : undefined;

function armedAgent(): AgentProcess {
  if (armed === undefined) throw new Error('no kernel log');
  return armed;
}

t.test('an Xid stands in the kernel log, and the receipt has its number', real, async (t) => {
  const agent = armedAgent();
  const log = watchKernelLog(t);
  const process_ = { pid: process.pid, name: `xidrill-${process.pid}` };
  const { status, body } = await agent.call('InjectXid', {
    gpu,
    xid: 31,
    surfaces: ['kernel-log'],
    process: process_,
  });
  t.equal(status, 200, body.message);
  const found = log.records().filter((record) => record.text.includes(process_.name));
  t.equal(found.length, 1);
  t.match(found[0], {
    priority: 11,
    text: `NVRM: Xid (PCI:0000:00:1f): 31, pid=${process_.pid}, name=${process_.name}, Ch 00000008, intr 00000000. MMU Fault`,
  });
  t.match(body, {
    state: 'ended',
    surfaces: [
      {
        surface: 'kernel-log',
        outcome: 'injected',
        readBack: { sequence: found[0]?.sequence, record: found[0]?.raw, priority: 11 },
      },
    ],
  });
  t.match(await agent.call('GetInventory'), {
    body: { armed: true, capabilities: [{ name: 'kernel-log', available: true }] },
  });
});

t.test('a cascade and a line for the journal come at their times', real, async (t) => {
  const agent = armedAgent();
  const log = watchKernelLog(t);
  const text = `xidrill-${process.pid} a text`;
  const order = { orderId: `journal-${process.pid}`, identifier: 'kubelet', text, times: 3, gapSeconds: 60 };
  t.match(await agent.call('WriteJournalMessage', order), { status: 200, body: { state: 'running' } });
  const ended = await agent.call('StopInjection', { orderId: order.orderId });
  t.match(ended.body.surfaces, [
    // Where no journald runs it is in the kernel log only, and so not injected.
    { surface: 'journal', outcome: existsSync('/run/systemd/journal') ? 'injected' : 'failed' },
    { outcome: 'refused', code: 'order_stopped', afterSeconds: 60 },
    { outcome: 'refused', code: 'order_stopped', afterSeconds: 120 },
  ]);
  const found = log.records().filter((record) => record.text.includes(text));
  t.equal(found.length, 1, 'and not the later ones');
  t.match(found[0], { priority: 14, text: `kubelet: ${text}` });
  t.match(readBackOf(ended.body), { sequence: found[0]?.sequence });

  const marks = [0, 1, 2].map((step) => `xidrill-${process.pid} step ${step}`);
  const steps = marks.map((detail, step) => ({ xid: 31, afterSeconds: step * 0.4, detail }));
  const orderId = `cascade-${process.pid}`;
  await agent.call('InjectCascade', { orderId, gpu, surfaces: ['kernel-log'], steps });
  let receipt = (await agent.call('GetReceipt', { orderId })).body;
  while (receipt.state === 'running') receipt = (await agent.call('GetReceipt', { orderId })).body;
  const times = marks.map(
    (mark) =>
      log
        .records()
        .find((record) => record.text.includes(mark))
        ?.raw.split(',')[2],
  );
  t.ok(
    times.every((time, step) => step === 0 || Number(time) > Number(times[step - 1])),
    `one after the other by the kernel's clock: ${times.join(', ')} µs`,
  );
  t.equal(receipt.state, 'ended');
});

t.test('200 at full speed are 200 records', real, async (t) => {
  const agent = armedAgent();
  const log = watchKernelLog(t);
  const mark = `xidrill burst ${process.pid}`;
  const sequences: number[] = [];
  const texts = Array.from({ length: 200 }, (_, index) => `${mark} ${index}`);
  const left = [...texts];
  async function caller(): Promise<void> {
    for (let text = left.pop(); text !== undefined; text = left.pop()) {
      const { status, body } = await agent.call('WriteKernelMessage', { level: 'err', text });
      if (status !== 200) t.fail(body.message);
      sequences.push(Number(readBackOf(body).sequence));
      log.records();
    }
  }
  await Promise.all(Array.from({ length: 16 }, caller));
  const found = log.records().filter((record) => record.text.startsWith(mark));
  t.same(found.map(({ text }) => text).toSorted(), texts.toSorted(), 'each text once');
  t.same(
    found.map(({ sequence }) => sequence),
    sequences.toSorted((a, b) => a - b),
    'at the numbers that the receipts have',
  );
  t.equal(new Set(sequences).size, 200);
  const dropped = log.records().filter(({ text }) => /suppressed due to ratelimiting/.test(text));
  t.same(dropped, [], 'the kernel dropped nothing');
});

t.test('what is refused leaves no trace in the kernel log', real, async (t) => {
  const armed = armedAgent();
  const disarmed = await startAgent(t);
  const log = watchKernelLog(t);
  const mark = `xidrill refused ${process.pid}`;
  const wedge = `NVRM: Xid (PCI:0000:00:1f): 119, ${mark}`;
  const rows = [
    [disarmed, 'InjectXid', { gpu, xid: 31, surfaces: ['kernel-log'], detail: mark }, 'disarmed'],
    [disarmed, 'WriteKernelMessage', { text: mark }, 'disarmed'],
    [armed, 'WriteKernelMessage', { text: `${mark}\n<0>forged` }, 'text_has_newline'],
    [armed, 'WriteKernelMessage', { text: `${mark}${'x'.repeat(976)}` }, 'text_too_long'],
    [armed, 'WriteKernelMessage', { text: wedge }, 'xid_wedges_engine'],
    [armed, 'WriteKernelMessage', { text: wedge, acceptRisk: true }, 'xid_wedges_engine'],
    [armed, 'InjectXid', { gpu, xid: 119, surfaces: ['kernel-log'], detail: mark }, 'xid_wedges_engine'],
    [armed, 'InjectXid', { gpu, xid: 79, surfaces: ['kernel-log'], detail: mark }, 'risk_not_accepted'],
    [
      armed,
      'InjectXid',
      { gpu: { index: 0 }, xid: 31, surfaces: ['kernel-log'], detail: mark },
      'gpu_unknown',
    ],
  ] as const;
  for (const [agent, method, body, reason] of rows) {
    const answer = await agent.call(method, body);
    t.match(answer.body.details, { reason }, `${method}: ${reason}`);
    if (reason === 'disarmed') t.match(answer, { status: 400, body: { code: 'failed_precondition' } });
  }
  t.same(
    log.records().filter(({ text }) => text.includes(mark)),
    [],
  );
});

t.test(
  'one order id is one record, also for two callers at once and for the next process',
  real,
  async (t) => {
    const agent = await startAgent(t, { flags: ['--arm'] });
    const log = watchKernelLog(t);
    const order = { orderId: 'o1', text: `xidrill once ${process.pid}` };
    const both = await Promise.all([
      agent.call('WriteKernelMessage', order),
      agent.call('WriteKernelMessage', order),
    ]);
    t.same(both.map(({ body }) => body.replayed).toSorted(), [false, true]);
    t.same(both[0].body.surfaces, both[1].body.surfaces);
    await agent.end('SIGKILL');

    // As if it had been killed between the journal and the kernel log.
    const interrupted = { ...both[0].body, orderId: 'o2', state: 'running', endedAt: null, surfaces: [] };
    writeFileSync(join(agent.stateDir, 'orders', 'o2.json'), JSON.stringify(interrupted));
    const next = await startAgent(t, { stateDir: agent.stateDir, flags: ['--arm'] });
    t.match(await next.call('WriteKernelMessage', order), { status: 200, body: { replayed: true } });
    t.match(await next.call('WriteKernelMessage', { ...order, orderId: 'o2' }), {
      status: 500,
      body: { details: { reason: 'order_interrupted' } },
    });
    t.match(await next.call('WriteKernelMessage', { orderId: 'o1', text: 'another' }), { status: 409 });
    t.equal(log.records().filter(({ text }) => text === order.text).length, 1);
  },
);

t.test('a tail over HTTP has what is injected while it stands', real, async (t) => {
  const agent = armedAgent();
  const mark = `xidrill tail ${process.pid}`;
  const answer = await fetch(`${agent.url}${service}/TailKernelLog`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ match: mark, limit: 2 }),
  });
  const receipts = [
    await agent.call('WriteKernelMessage', { text: `${mark} 1` }),
    await agent.call('WriteKernelMessage', { text: `${mark} 2` }),
  ];
  const lines = (await answer.text()).trimEnd().split('\n');
  t.match(
    lines.map((line) => JSON.parse(line) as object),
    [
      ...receipts.map(({ body }, index) => ({
        sequence: readBackOf(body).sequence,
        text: `${mark} ${index + 1}`,
      })),
      { end: 'the limit is reached', records: 2 },
    ],
  );
});

t.test('an agent without a kernel log serves, is not ready, and refuses', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'kmsg');
  writeFileSync(file, '');
  const rows = [
    [file, 'not_a_kernel_log', 400],
    ['/dev/null', 'not_a_kernel_log', 400],
    [join(folder, 'missing'), 'kernel_log_unavailable', 503],
  ] as const;
  for (const [path, reason, status] of rows) {
    const agent = await startAgent(t, { flags: ['--arm', '--kernel-log', path] });
    const ready = await fetch(`${agent.url}/readyz`);
    t.equal(ready.status, 503, path);
    t.ok((await ready.text()).includes(path), 'and readyz says why not');
    t.equal((await fetch(`${agent.url}/healthz`)).status, 200);
    t.match(await agent.call('WriteKernelMessage', { text: 'a text' }), {
      status,
      body: { message: path, details: { reason } },
    });
    await agent.end('SIGKILL');
  }
});
