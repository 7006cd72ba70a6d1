import t, { type Test } from 'tap';
import { createDcgm } from '../../../agent/dcgm/client.ts';
import type { Dcgmi } from '../../../agent/dcgm/port.ts';
import { createPtyDcgmi } from '../../../agent/dcgm/pty.ts';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { chooseEngine } from '../../../shared/engines/choose.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { refusalOf } from './refused.ts';
import { installStub, type StubEngine, startEngine } from './stub.ts';

const log = createSilentLog();
const xid = findField('xid_errors');

/** Engines of this test only, whatever else runs on the machine; `wrap` puts something around the real adapter. */
function dcgmFor(engines: readonly StubEngine[], wrap: (dcgmi: Dcgmi) => Dcgmi = (dcgmi) => dcgmi) {
  const all = createProcEngineFinder();
  const finder = {
    ...all,
    find: async () => (await all.find()).filter(({ pid }) => engines.some((one) => one.pid === pid)),
  };
  return createDcgm({
    finder,
    dcgmi: wrap(createPtyDcgmi({ log })),
    clock: createRealClock(),
    log,
    keepMs: 0,
  });
}

async function setUp(t: Test, wrap?: (dcgmi: Dcgmi) => Dcgmi) {
  const stub = await startEngine(t, installStub(t));
  await stub.nma(true);
  const dcgm = dcgmFor([stub], wrap);
  return { stub, dcgm, engine: await dcgm.choose() };
}

/** Gives up early: only for an engine that never answers, since one that does may be slow to start on a busy machine. */
const impatient = (dcgmi: Dcgmi): Dcgmi => ({
  ...dcgmi,
  run: (engine, args, options) => dcgmi.run(engine, args, { ...options, timeoutMs: 700 }),
});

t.test('an Xid is injected and proven', async (t) => {
  const { dcgm, engine } = await setUp(t);
  const gpuId = dcgm.gpuIdFor(engine, { uuid: 'GPU-00000000-FEED-beef-cafe-000000000001' });
  t.equal(gpuId, 1);
  t.match(await dcgm.introspect(engine, gpuId, 230), { samples: 0, newest: null, watchers: 2 });
  const from = Date.now();
  const done = await dcgm.inject({ engine, gpuId, field: xid, value: 79 });
  const tookMs = Date.now() - from;
  t.match(done, { before: { samples: 0 }, after: { samples: 1, watched: true }, value: '79' });
  t.match(done.commandLine.slice(-6), ['--gpuid', '1', '-f', '230', '-v', '79']);
  t.match(done.notes, [/the XID policy/, 'stays until the host engine is restarted']);
  const ahead = Date.parse(done.after.newest ?? '') - Date.parse(done.at);
  t.ok(ahead > 0 && ahead <= 2000 + tookMs, `the sample is stamped ${ahead} ms ahead`);
});

t.test('a second alert of one kind has to wait, another GPU and another kind have not', async (t) => {
  const { dcgm, engine } = await setUp(t);
  const from = Date.now();
  // A minute ahead: on a busy machine the six seconds of a slot are over before the next order is looked at.
  await dcgm.inject({ engine, gpuId: 0, field: xid, value: 46, offsetSeconds: 60 });
  const refusal = await refusalOf(dcgm.inject({ engine, gpuId: 0, field: xid, value: 48 }));
  t.match(refusal, { reason: 'alert_slot_busy', details: { policy: 'XID', gpuId: 0, waitMs: Number } });
  const waited = Date.now() - from;
  const waitMs = Number(refusal.details.waitMs);
  t.ok(waitMs > 64_000 - waited && waitMs <= 66_000, `${waitMs} ms to wait, ${waited} ms after the first`);
  t.match(
    await refusalOf(dcgm.assertInjectable({ engine, gpuId: 0, field: xid, value: 48 })),
    { reason: 'alert_slot_busy', details: { waitMs: Number } },
    'known before anything is begun',
  );
  await dcgm.assertInjectable({ engine, gpuId: 1, field: xid, value: 48 });
  await dcgm.inject({ engine, gpuId: 1, field: xid, value: 48 });
  await dcgm.inject({ engine, gpuId: 0, field: findField(150), value: 101 });
  await dcgm.inject({ engine, gpuId: 0, field: xid, value: 48, offsetSeconds: 300 });
  t.match(
    await refusalOf(dcgm.inject({ engine, gpuId: 0, field: xid, value: 48 })),
    { reason: 'alert_slot_busy' },
    'a smaller offset after a larger one is dropped by the engine as well',
  );
});

t.test('a counter gets a sample to compare with', async (t) => {
  const { dcgm, engine, stub } = await setUp(t);
  const done = await dcgm.inject({ engine, gpuId: 0, field: findField(319), value: 4 });
  t.match(done.notes.at(-1), 'besides, field 319 = 0 was injected');
  t.equal(done.after.samples, 2, 'the 0 and the value');
  t.not(done.after.oldest, done.after.newest, 'in different seconds');
  await stub.configure({ version: '4.5.3' });
  const older = await dcgm.choose();
  const single = await dcgm.inject({ engine: older, gpuId: 1, field: findField(319), value: 4 });
  t.equal(single.after.samples, 1, 'up to 4.5.3 every value above 0 counts');
});

t.test('what cannot work is refused before dcgmi is run', async (t) => {
  const { dcgm, engine } = await setUp(t, (dcgmi) => ({
    ...dcgmi,
    run(engine, args, options) {
      t.notOk(args.includes('--inject'), `not run: ${args.join(' ')}`);
      return dcgmi.run(engine, args, options);
    },
  }));
  const order = { engine, gpuId: 0, field: xid, value: 79 };
  const rows: [Parameters<typeof dcgm.inject>[0], string, RegExp][] = [
    [{ ...order, value: 'abc' }, 'field_value_type', /wants a whole number within 64 bits/],
    [{ ...order, gpuId: 7 }, 'gpu_not_in_engine', /does not know GPU 7; it has 0: GPU-0000/],
    [
      { ...order, offsetSeconds: 3600 },
      'offset_too_large',
      /3600 is not a whole number of seconds from 0 to 600/,
    ],
    [
      { ...order, field: findField(150), value: 48 },
      'field_value_no_effect',
      /did you mean 230 = 48 \(Xid 48\)/,
    ],
    [
      { ...order, field: findField(111), value: 999 },
      'field_value_no_effect',
      /MHz; nothing reacts to it; did you mean 319/,
    ],
    [{ ...order, field: findField(237), value: 0 }, 'field_not_injectable', /is never set to 0/],
  ];
  for (const [asked, reason, message] of rows) {
    for (const attempt of [dcgm.inject(asked), dcgm.assertInjectable(asked)]) {
      const refusal = await refusalOf(attempt);
      t.equal(refusal.reason, reason);
      t.match(refusal.message, message);
    }
  }
  t.match(await refusalOf(() => dcgm.gpuIdFor(engine, { pci: '0000:3b:00.0' })), {
    reason: 'gpu_not_in_engine',
  });
  t.equal(dcgm.gpuIdFor(engine, { pci: '0000:04:00' }), 1, 'any spelling of an address that is there');
});

t.test('two engines on different ports; one of them has no listener', async (t) => {
  const folder = installStub(t);
  const [right, wrong] = [await startEngine(t, folder), await startEngine(t, folder)];
  const dcgm = dcgmFor([right, wrong]);
  t.match(await refusalOf(dcgm.choose()), { reason: 'nobody_listens', message: /NMA is on none of them/ });
  t.match(await refusalOf(dcgm.choose(undefined, { force: true })), { reason: 'engine_ambiguous' });
  t.match(await refusalOf(dcgm.choose({ pid: 1 })), {
    reason: 'engine_not_found',
    details: { engines: Array },
  });

  await right.nma(true);
  t.equal((await dcgm.choose()).pid, right.pid);
  const engine = await dcgm.choose({ address: `127.0.0.1:${wrong.port}` });
  t.equal(engine.pid, wrong.pid, 'the one that was named');
  t.match(engine.nma, { listening: false, evidence: /no field group "watch".*field 856 has no watcher/ });
  const refusal = await refusalOf(dcgm.inject({ engine, gpuId: 0, field: xid, value: 79 }));
  t.match(refusal, { reason: 'nobody_listens', details: { listenedPid: right.pid } });
  t.match(refusal.message, `NMA's engine is pid ${right.pid} on the host`);
  const forced = await dcgm.inject({ engine, gpuId: 0, field: xid, value: 79, force: true });
  t.match(forced, {
    before: null,
    after: { samples: 1, watchers: 0 },
    notes: [String, String, /^forced although/],
  });
});

t.test('an engine that accepts and keeps nothing is not believed', async (t) => {
  const { dcgm, engine, stub } = await setUp(t);
  await stub.configure({ mode: 'lying' });
  const refusal = await refusalOf(dcgm.inject({ engine, gpuId: 0, field: xid, value: 79 }));
  t.match(refusal, {
    reason: 'injection_not_visible',
    details: { before: { samples: 0 }, after: { samples: 0 } },
  });
});

t.test('an engine that dies in the middle', async (t) => {
  const { dcgm, engine, stub } = await setUp(t);
  await stub.configure({ mode: 'die' });
  const refusal = await refusalOf(dcgm.inject({ engine, gpuId: 0, field: xid, value: 79 }));
  t.match(refusal, { reason: 'engine_unreachable' });
  await stub.stop();
  t.same(await dcgm.list(), [], 'it is not in the list any more');
  t.match(await refusalOf(dcgm.choose()), { reason: 'engine_not_found' });
});

t.test('an engine that hangs is listed with its problem, in bounded time', async (t) => {
  const { stub } = await setUp(t);
  await stub.configure({ mode: 'hang' });
  const [engine] = await dcgmFor([stub], impatient).list();
  t.match(engine, { pid: stub.pid, gpus: [], version: null, nma: { listening: false } });
  const { problems = [] } = engine ?? {};
  const found = problems.find((problem) => problem.startsWith('GPUs: '));
  t.match(found, /^GPUs: dcgmi_timeout: dcgmi did not end within 700 ms/, `found: ${problems.join(' | ')}`);
});

t.test('a blinded engine is said to be one', async (t) => {
  const { dcgm, stub } = await setUp(t);
  await stub.configure({ mode: 'blinded' });
  t.match(await dcgm.list(), [
    { gpus: [], problems: [/<<<NULL>>> for GPU 0, 1: it no longer reads the driver/] },
  ]);
  await stub.configure({ mode: 'flood' });
  t.match(await dcgm.list(), [{ gpus: { length: 2 }, problems: [] }], '200 KB behind the table do no harm');
});

t.test('F5: a list that ends with an error code keeps the GPUs that stood in it', async (t) => {
  const { dcgm, stub } = await setUp(t);
  await stub.configure({ mode: 'denylist' });
  t.match(await dcgm.list(), [
    {
      gpus: { length: 2 },
      nma: { answered: true },
      problems: [
        'the list ended with DCGM_ST_MODULE_NOT_LOADED (-33)',
        'Error: Cannot get NvSwitch list from remote node. Return: This request is serviced by a module of DCGM that is not currently loaded',
      ],
    },
  ]);
});

t.test('an aborted order says so and leaves the slot as it was', async (t) => {
  const { dcgm, engine } = await setUp(t);
  const reason = new Error('shutting down');
  await t.rejects(
    dcgm.inject({ engine, gpuId: 0, field: xid, value: 79 }, AbortSignal.abort(reason)),
    reason,
  );
});

t.test('an engine that could not be asked is not one without a listener', async (t) => {
  const silent = {
    pid: 7,
    commandLine: ['nv-hostengine'],
    executable: '/usr/bin/nv-hostengine',
    container: null,
    podUid: null,
    address: '127.0.0.1:5555',
    listening: true,
    version: null,
    dcgmi: null,
    gpus: [],
    nma: { listening: false, evidence: 'not known: the engine could not be asked' },
    problems: ['dcgmi: there is none beside /usr/bin/nv-hostengine'],
  };
  const reasonFor = (engine: typeof silent | (Omit<typeof silent, 'dcgmi'> & { dcgmi: string })) => {
    try {
      chooseEngine([engine]);
    } catch (thrown) {
      return thrown;
    }
    return undefined;
  };
  t.match(reasonFor(silent), { reason: 'dcgmi_not_found', details: { remedy: /--dcgmi PATH/ } });
  t.match(reasonFor({ ...silent, dcgmi: '/usr/bin/dcgmi' }), { reason: 'engine_unreachable' });
});
