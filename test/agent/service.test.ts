import t from 'tap';
import { Errors } from 'typebox/value';
import { createMethods } from '../../agent/service.ts';
import { Inventory } from '../../shared/schemas/inventory.ts';
import { Receipt } from '../../shared/schemas/receipt.ts';
import { logFiles } from '../../shared/surfaces/log-file.ts';
import { gpus, readBackOf, startRig } from './rig.ts';

const [first, second] = gpus;
const both = { gpu: { index: 0 }, xid: 31, surfaces: ['kernel-log', 'dcgm'] };

t.test('every answer has its documented shape', async (t) => {
  const rig = await startRig(t);
  const order = { ...both, orderId: 'o1' };
  const field = { gpu: { index: 0 }, field: 150 };
  const calls: Readonly<Record<string, unknown>> = {
    GetInventory: {},
    ListGpus: {},
    ListHostEngines: {},
    WriteKernelMessage: { text: 'a text' },
    InjectXid: order,
    InjectDcgmField: { ...field, value: 101 },
    InjectCascade: { gpu: both.gpu, surfaces: ['kernel-log'], steps: [{ xid: 48, afterSeconds: 0 }] },
    InjectSxid: { sxid: 12028, switch: { index: 0, pci: '0000:05:00.0' } },
    WriteJournalMessage: { identifier: 'kubelet', text: 'a text' },
    AppendLogLine: { file: 'ipamd', text: 'a text' },
    PauseHostEngine: { forSeconds: 1 },
    IntrospectDcgmField: field,
    GetReceipt: { orderId: 'o1' },
    SetKillSwitch: { engaged: false },
  };
  for (const method of createMethods({} as never)) {
    if (method.name === 'StopInjection') continue;
    const { status, body } = await rig.call(method.name, calls[method.name]);
    t.equal(status, 200, method.name);
    t.same(Errors(method.response, body), [], `${method.name}: as its schema says`);
    if (body.state === 'running') await rig.call('StopInjection', { orderId: body.orderId });
  }
});

t.test('the inventory says what there is, and why something is not', async (t) => {
  const full = await startRig(t);
  const { body } = await full.call('GetInventory');
  t.same(Errors(Inventory, body), []);
  t.match(body, {
    node: 'n1',
    armed: true,
    bootId: 'boot-1',
    architecture: 'x64',
    driverVersion: '580.105.08',
    capabilities: [
      { name: 'kernel-log', available: true },
      { name: 'journal', available: true },
      { name: 'log-files', available: true },
      { name: 'dcgm', available: true },
      { name: 'host-engine', available: true },
      { name: 'nvml', available: true },
    ],
    logFiles: [
      { path: logFiles.ipamd, state: 'ready' },
      { path: logFiles.messages, state: 'ready' },
      { path: logFiles.cron, state: 'missing', because: /this node has no/, remedy: /touch/ },
    ],
    gpus: gpus.map(({ index, uuid, pci }) => ({ index, uuid, pci })),
    engines: [{ pid: 100, version: '4.6.0', nma: { listening: true } }],
  });

  const bare = await startRig(t, { nvmlBroken: 'no driver', engines: 'none' });
  bare.kernelLog.breakWith('EACCES');
  bare.hostFiles.breakWith(logFiles.ipamd, 'broken disk');
  bare.hostFiles.remove(logFiles.messages);
  t.match((await bare.call('GetInventory')).body, {
    driverVersion: null,
    capabilities: [
      { name: 'kernel-log', available: false, because: /EACCES/ },
      { name: 'journal', available: false, because: /by the kernel log: .*EACCES/ },
      { name: 'log-files', available: false, because: /none can be appended to: .*broken disk.*cron/ },
      { name: 'dcgm', available: false, because: /no host engine/ },
      { name: 'host-engine', available: false, because: /no host engine/ },
      { name: 'nvml', available: false, because: 'no driver' },
    ],
    gpus: [],
    engines: [],
  });
  t.match(await bare.call('ListGpus'), {
    status: 503,
    body: { code: 'unavailable', message: /no driver/, details: { reason: 'nvml_unavailable' } },
  });
  t.match(await bare.call('ListHostEngines'), { status: 200, body: { engines: [] } });
});

t.test('an Xid on both surfaces, by any selector of the GPU', async (t) => {
  const selectors = [
    [{ index: 0 }, '0000:3b:00', 1],
    [{ uuid: first.uuid.toUpperCase().replace('GPU', 'gpu') }, '0000:3b:00', 1],
    [{ pci: '3B:00' }, '0000:3b:00', 1],
    [{ pci: 'PCI:0000:00:1f' }, '0000:00:1f', 0],
    [{ index: 1 }, '0000:00:1f', 0],
  ] as const;
  for (const [gpu, address, dcgmId] of selectors) {
    const rig = await startRig(t);
    const { status, body } = await rig.call('InjectXid', { ...both, gpu });
    t.equal(status, 200, JSON.stringify(gpu));
    t.same(Errors(Receipt, body), [], 'a receipt');
    const [record] = rig.kernelLog.records();
    t.match(body, {
      orderId: 'made-1',
      method: 'InjectXid',
      state: 'ended',
      replayed: false,
      asked: { ...both, gpu },
      surfaces: [
        {
          surface: 'kernel-log',
          outcome: 'injected',
          written: new RegExp(`^NVRM: Xid \\(PCI:${address}\\): 31, Ch 00000008`),
          readBack: { sequence: record?.sequence, record: record?.raw, priority: 11 },
          undo: /cannot be undone/,
        },
        {
          surface: 'dcgm',
          outcome: 'injected',
          written: new RegExp(`--gpuid ${dcgmId} -f 230 -v 31`),
          readBack: { before: { samples: 0, watchers: 1 }, after: { samples: 1, watchers: 1 } },
          engine: { pid: 100, podUid: 'pod-1', version: '4.6.0', listeners: /"watch"/ },
          undo: /restart/,
        },
      ],
    });
    t.match(rig.engine.facts(dcgmId, 230), { samples: 1 }, 'on the GPU that was meant');
    t.match(rig.engine.facts(1 - dcgmId, 230), { samples: 0 }, 'and on no other');
  }
});

t.test('the line is the one that a 580 driver prints', async (t) => {
  const rig = await startRig(t);
  const rows = [
    [{ xid: 43 }, 'NVRM: Xid (PCI:0000:3b:00): 43, Ch 00000008'],
    [
      { xid: 43, process: { pid: 7, name: 'python3' } },
      'NVRM: Xid (PCI:0000:3b:00): 43, pid=7, name=python3, Ch 00000008',
    ],
    [{ xid: 43, detail: 'Ch 1' }, 'NVRM: Xid (PCI:0000:3b:00): 43, Ch 1'],
    [{ xid: 254 }, 'NVRM: Xid (PCI:0000:3b:00): 254,'],
  ] as const;
  for (const [more, text] of rows) {
    const { body } = await rig.call('InjectXid', { ...both, surfaces: ['kernel-log'], ...more });
    t.equal(body.surfaces[0]?.written, text);
    t.equal(rig.kernelLog.records().at(-1)?.text, text);
  }
});

t.test('one surface refused does not keep the other from being injected', async (t) => {
  const rig = await startRig(t, { engines: 'nobody-listens' });
  const { status, body } = await rig.call('InjectXid', both);
  t.equal(status, 200);
  t.match(body.surfaces, [
    { surface: 'kernel-log', outcome: 'injected' },
    {
      surface: 'dcgm',
      outcome: 'refused',
      code: 'nobody_listens',
      message: /is connected to no host engine/,
      undo: 'nothing was written',
    },
  ]);
  t.equal(await rig.metric('xidrill_injections_total{surface="kernel-log",result="injected"}'), 1);
  t.equal(await rig.metric('xidrill_injections_total{surface="dcgm",result="refused"}'), 1);
  t.equal(rig.engine.facts(1, 230), undefined, 'the engine was left alone');

  const forced = await rig.call('InjectXid', { ...both, surfaces: ['dcgm'], force: true });
  t.match(forced, { status: 200, body: { surfaces: [{ outcome: 'injected', notes: [/.*/, /.*/] }] } });
  t.match(forced.body.surfaces[0]?.notes.join(), /forced although this engine has no listener/);
});

t.test('all surfaces refused is an error, with the receipt in it, and is not remembered', async (t) => {
  const rig = await startRig(t, { engines: 'none' });
  rig.kernelLog.breakWith('EACCES');
  const { status, body } = await rig.call('InjectXid', { ...both, orderId: 'o1' });
  t.match([status, body.code, body.details.reason], [503, 'unavailable', 'kernel_log_unavailable']);
  t.same(Errors(Receipt, body.details.receipt), []);
  t.match(body.details.receipt, {
    orderId: 'o1',
    state: 'ended',
    endedAt: String,
    surfaces: [
      { surface: 'kernel-log', outcome: 'refused', code: 'kernel_log_unavailable' },
      { surface: 'dcgm', outcome: 'refused', code: 'engine_not_found' },
    ],
  });
  t.same(rig.journalFiles(), []);
  rig.kernelLog.breakWith(undefined);
  t.match(
    await rig.call('InjectXid', { ...both, orderId: 'o1' }),
    { status: 200, body: { replayed: false } },
    'nothing had happened, so the same id may be tried again',
  );
});

t.test('a field takes a value, and the receipt shows before and after', async (t) => {
  const rig = await startRig(t);
  const field = { gpu: { uuid: second.uuid }, field: 'DCGM_FI_DEV_GPU_TEMP' };
  const before = (await rig.call('IntrospectDcgmField', field)).body as Record<string, unknown>;
  t.match(before, { gpuId: 0, field: 150, engine: { pid: 100 }, entry: { samples: Number, watchers: 1 } });
  const { status, body } = await rig.call('InjectDcgmField', { ...field, value: 101 });
  t.equal(status, 200, body.message);
  t.match(body.surfaces, [
    {
      surface: 'dcgm',
      outcome: 'injected',
      written: /test --host \S+ --inject --gpuid 0 -f 150 -v 101/,
      readBack: { before: before.entry, after: { newest: '2026-11-23T02:24:09.000Z', watchers: 1 } },
    },
  ]);
  t.match((await rig.call('IntrospectDcgmField', field)).body, {
    entry: readBackOf(body).after,
  });
  t.match((await rig.call('IntrospectDcgmField', { ...field, field: 1234567 })).body.details, {
    reason: 'field_unknown',
  });
  t.match((await rig.call('IntrospectDcgmField', { ...field, engine: { pid: 4 } })).body.details, {
    reason: 'engine_not_found',
  });
});

t.test('the second alert of a kind within 5 s would be dropped, so it is refused', async (t) => {
  const rig = await startRig(t);
  const dcgm = { ...both, surfaces: ['dcgm'] };
  t.equal((await rig.call('InjectXid', dcgm)).status, 200);
  const second = { ...dcgm, orderId: 'second', xid: 43 };
  t.match(await rig.call('InjectXid', second), {
    status: 429,
    body: {
      details: {
        reason: 'alert_slot_busy',
        waitMs: 6000,
        retryAfterSeconds: 6,
      },
    },
  });
  const records = rig.kernelLog.records().length;
  t.equal((await rig.call('InjectXid', { ...second, surfaces: ['kernel-log', 'dcgm'] })).status, 429);
  t.equal(rig.kernelLog.records().length, records, 'no other surface is written either');
  t.same(rig.journalFiles(), ['made-1.json'], 'nothing was begun');
  await rig.clock.advance(6000);
  t.match(
    await rig.call('InjectXid', second),
    { status: 200, body: { orderId: 'second', replayed: false } },
    'so the same order may be given again',
  );
  t.match(await rig.call('InjectXid', second), { status: 200, body: { replayed: true } });
  t.match(rig.engine.facts(1, 230), { samples: 2 });
});

t.test('two alerts of a kind at once: one is injected, the other one says why not', async (t) => {
  const rig = await startRig(t);
  const dcgm = { ...both, surfaces: ['dcgm'] };
  const answers = await Promise.all(
    ['one', 'two'].map((orderId) => rig.call('InjectXid', { ...dcgm, orderId })),
  );
  t.strictSame(answers.map(({ status }) => status).toSorted(), [200, 429]);
  const late = answers.find(({ status }) => status === 429)?.body.details;
  t.match(late, { reason: 'alert_slot_busy', waitMs: 6000 });
  t.match(rig.engine.facts(1, 230), { samples: 1 });
});

t.test('nothing is left to be stopped, and the answer says what stays', async (t) => {
  const rig = await startRig(t);
  await rig.call('WriteKernelMessage', { text: 'a text', orderId: 'o1' });
  t.match(await rig.call('StopInjection', { orderId: 'o1' }), {
    status: 400,
    body: {
      code: 'failed_precondition',
      details: {
        reason: 'nothing_to_stop',
        remedy: /kernel-log: cannot be undone/,
        receipt: { orderId: 'o1' },
      },
    },
  });
  t.match(await rig.call('GetReceipt', { orderId: 'o1' }), { status: 200, body: { orderId: 'o1' } });
});

t.test('a record that does not come back is a failure, and is counted', async (t) => {
  const rig = await startRig(t, { engines: 'none' });
  rig.kernelLog.dropWrites(true);
  const { status, body } = await rig.call('InjectXid', { ...both, surfaces: ['dcgm', 'kernel-log'] });
  t.match(
    [status, body.details.reason],
    [503, 'read_back_failed'],
    'what was tried goes before what was not',
  );
  t.match(body.details.receipt?.surfaces, [{ outcome: 'refused' }, { outcome: 'failed', undo: /cannot be/ }]);
  t.equal(await rig.metric('xidrill_read_back_failures_total{surface="kernel-log"}'), 1);
  t.equal(await rig.metric('xidrill_injections_total{surface="kernel-log",result="failed"}'), 1);
  t.equal(await rig.metric('xidrill_injection_seconds_count{surface="kernel-log"}'), 1);
});
