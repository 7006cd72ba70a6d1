import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import t, { type Test } from 'tap';
import { createForkedNvml, type ForkedNvmlOptions } from '../../agent/nvml/forked.ts';
import type { Nvml, NvmlAnswer } from '../../agent/nvml/port.ts';
import type { Log } from '../../shared/log.ts';
import { nvmlContract } from '../contract/nvml.ts';
import { createManualClock, type ManualClock } from './manual-clock.ts';
import { buildStubLibrary, noCompiler, type StubLibrary } from './stub/build.ts';

const childPath = fileURLToPath(new URL('../../agent/nvml/child.ts', import.meta.url));

type Rig = { readonly nvml: Nvml; readonly clock: ManualClock; readonly stub: StubLibrary };

function start(
  t: Test,
  options: Partial<ForkedNvmlOptions> & { readonly flags?: readonly string[] } = {},
): Rig {
  const { flags = [], ...rest } = options;
  const stub = buildStubLibrary(t, ...flags);
  const clock = createManualClock();
  const nvml = createForkedNvml({
    clock,
    log: silentLog(),
    libraryPath: stub.path,
    timeoutMs: 5_000,
    ...rest,
  });
  t.teardown(() => nvml.close());
  return { nvml, clock, stub };
}

function silentLog(warnings: object[] = []): Log {
  const nothing = () => undefined;
  const log: Log = {
    debug: nothing,
    info: nothing,
    warn: (fields) => warnings.push(fields),
    error: (fields) => warnings.push(fields),
    child: () => log,
  };
  return log;
}

/** The processes forked by this one and not gone yet. */
function children(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === process.pid);
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1]);
  } catch {
    return undefined;
  }
}

function because(answer: NvmlAnswer): string {
  if (answer.available) throw new Error('NVML answered');
  return answer.because;
}

t.test('NVML in a child, over a stub library', { skip: noCompiler }, async (t) => {
  await t.test('the contract', (t) =>
    nvmlContract(t, async (t) => {
      const { nvml, stub } = start(t);
      return {
        nvml,
        breakIt() {
          stub.fault('nvmlInit_v2 -1 9');
          return { expected: 'nvmlInit_v2 answered NVML_ERROR_DRIVER_NOT_LOADED' };
        },
      };
    }),
  );

  await t.test('reads each value from its place', async (t) => {
    const { nvml } = start(t);
    t.same(await nvml.list(), {
      available: true,
      driverVersion: '570.172.08',
      gpus: [
        {
          index: 0,
          uuid: 'GPU-11111111-2222-3333-4444-555555555555',
          pci: '00000000:3B:00.0',
          name: 'NVIDIA H100 80GB HBM3',
          driverVersion: '570.172.08',
          temperatureCelsius: 41,
          powerWatts: 71.25,
          smClockMhz: 1980,
          memoryClockMhz: 2619,
          ecc: {
            enabled: true,
            volatileCorrected: 5_000_000_000,
            volatileUncorrected: 3,
            aggregateCorrected: 5_000_000_010,
            aggregateUncorrected: 13,
          },
          remappedRows: { correctable: 4, uncorrectable: 2, pending: true, failed: false },
          migEnabled: false,
          notes: [],
        },
        {
          index: 1,
          uuid: 'GPU-66666666-7777-8888-9999-aaaaaaaaaaaa',
          pci: '00000001:3C:00.0',
          name: 'NVIDIA A10G',
          driverVersion: '570.172.08',
          temperatureCelsius: 42,
          powerWatts: null,
          smClockMhz: 1980,
          memoryClockMhz: 2619,
          ecc: null,
          remappedRows: null,
          migEnabled: null,
          notes: [
            'powerWatts: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetPowerUsage)',
            'ecc: volatileCorrected answered NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetTotalEccErrors); known: mode disabled',
            'remappedRows: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetRemappedRows)',
            'migEnabled: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetMigMode)',
          ],
        },
      ],
    });
  });

  await t.test('closes its NVML session after each list', async (t) => {
    const { nvml } = start(t);
    await nvml.list();
    const again = await nvml.list();
    t.equal(again.available && again.gpus.length, 2, 'the stub shows an open session as one GPU more');
  });

  await t.test('keeps a GPU that cannot be opened in the list', async (t) => {
    const { nvml, stub } = start(t);
    stub.fault('nvmlDeviceGetHandleByIndex_v2 1 15');
    const answer = await nvml.list();
    t.match(answer, {
      gpus: [
        { index: 0, notes: [] },
        {
          index: 1,
          uuid: '',
          temperatureCelsius: null,
          notes: [
            'every value: this GPU cannot be opened: NVML_ERROR_GPU_IS_LOST (nvmlDeviceGetHandleByIndex_v2)',
          ],
        },
      ],
    });
  });

  await t.test('notes each code by its name, and what else is known', async (t) => {
    const { nvml, stub } = start(t);
    stub.fault(
      'nvmlDeviceGetTemperature 0 15',
      'nvmlDeviceGetUUID 0 4',
      'nvmlDeviceGetPciInfo_v3 0 999',
      'nvmlDeviceGetClockInfo 0 4711',
      'nvmlDeviceGetEccMode 0 3',
    );
    const answer = await nvml.list();
    t.same(answer.available && answer.gpus[0]?.notes, [
      'uuid: NVML_ERROR_NO_PERMISSION (nvmlDeviceGetUUID)',
      'pci: NVML_ERROR_UNKNOWN (nvmlDeviceGetPciInfo_v3)',
      'temperatureCelsius: NVML_ERROR_GPU_IS_LOST (nvmlDeviceGetTemperature)',
      'smClockMhz: nvmlReturn_t 4711 (nvmlDeviceGetClockInfo)',
      'memoryClockMhz: nvmlReturn_t 4711 (nvmlDeviceGetClockInfo)',
      'ecc: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetEccMode)',
    ]);
  });

  await t.test('a driver without one of the functions costs that value only', async (t) => {
    const { nvml } = start(t, { flags: ['-DOLD_DRIVER'] });
    t.match(await nvml.list(), {
      available: true,
      gpus: [
        { migEnabled: null, notes: ['migEnabled: NVML_ERROR_FUNCTION_NOT_FOUND (nvmlDeviceGetMigMode)'] },
        { migEnabled: null },
      ],
    });
  });

  for (const name of ['nvmlSystemGetDriverVersion', 'nvmlDeviceGetCount_v2']) {
    await t.test(`there is no answer without ${name}`, async (t) => {
      const { nvml, stub, clock } = start(t);
      stub.fault(`${name} -1 18`);
      t.match(because(await nvml.list()), `${name} answered NVML_ERROR_LIB_RM_VERSION_MISMATCH: `);
      stub.fault();
      clock.advance(1_000);
      const again = await nvml.list();
      t.equal(again.available && again.gpus.length, 2, 'and with it again there is');
    });
  }

  await t.test('a call that hangs is killed, and the next child works', async (t) => {
    const { nvml, stub, clock } = start(t);
    await nvml.list();
    const [hanging] = children();
    stub.fault('nvmlDeviceGetTemperature 1 hang');
    const pending = nvml.list();
    await stub.hanging();
    clock.advance(5_000);
    t.equal(
      because(await pending),
      'NVML did not answer within 5000 ms (in nvmlDeviceGetTemperature of GPU 1); its child was killed',
    );
    t.match(
      because(await nvml.list()),
      /its child was killed; not asked again for 1 s$/,
      'during the back-off',
    );
    stub.fault();
    clock.advance(1_000);
    t.equal((await nvml.list()).available, true);
    t.notOk(children().includes(hanging ?? -1), 'the child that hung is gone');
    t.equal(children().length, 1);
  });

  await t.test('closing does not wait for a call that hangs', async (t) => {
    const { nvml, stub } = start(t);
    stub.fault('nvmlInit_v2 -1 hang');
    const pending = nvml.list();
    await stub.hanging();
    await nvml.close();
    t.match(because(await pending), /closed/);
    t.same(children(), []);
  });

  await t.test('a crash is named by signal and place, and the next child works', async (t) => {
    const { nvml, stub, clock } = start(t);
    stub.fault('nvmlDeviceGetPciInfo_v3 0 segv');
    t.equal(
      because(await nvml.list()),
      'the NVML child crashed with SIGSEGV (in nvmlDeviceGetPciInfo_v3 of GPU 0)',
    );
    stub.fault();
    clock.advance(1_000);
    t.equal((await nvml.list()).available, true);
  });

  await t.test('an exit is named by code and place', async (t) => {
    const { nvml, stub } = start(t);
    stub.fault('nvmlSystemGetDriverVersion -1 exit');
    t.equal(because(await nvml.list()), 'the NVML child exited with code 7 (in nvmlSystemGetDriverVersion)');
  });

  await t.test('the back-off grows to its limit and is forgotten with the first answer', async (t) => {
    const { nvml, stub, clock } = start(t);
    stub.fault('nvmlInit_v2 -1 9');
    for (const seconds of [1, 2, 4, 8, 10, 10]) {
      t.notMatch(because(await nvml.list()), /not asked again/);
      t.match(because(await nvml.list()), new RegExp(`not asked again for ${seconds} s$`));
      clock.advance(seconds * 1_000);
    }
    stub.fault();
    t.equal((await nvml.list()).available, true);
    stub.fault('nvmlInit_v2 -1 9');
    await nvml.list();
    t.match(because(await nvml.list()), /not asked again for 1 s$/);
  });

  await t.test('callers at the same time share one request and one child', async (t) => {
    const { nvml } = start(t);
    const answers = await Promise.all([nvml.list(), nvml.list(new AbortController().signal), nvml.list()]);
    for (const answer of answers) t.equal(answer, answers[0]);
    t.equal(children().length, 1);
    const [pid] = children();
    await nvml.list();
    t.same(children(), [pid], 'and so does the next caller');
  });

  await t.test('a child that dies between two calls is replaced at once', async (t) => {
    const warnings: object[] = [];
    const ended = Promise.withResolvers<void>();
    const log = silentLog(warnings);
    const { nvml } = start(t, {
      log: { ...log, warn: (fields) => (warnings.push(fields), ended.resolve()) },
    });
    await nvml.list();
    const [pid = 0] = children();
    process.kill(pid, 'SIGKILL');
    await ended.promise;
    t.match(warnings, [{ pid, how: { kind: 'crashed', signal: 'SIGKILL', during: 'no call' } }]);
    t.equal((await nvml.list()).available, true);
  });

  await t.test('closing leaves no process behind', async (t) => {
    const { nvml } = start(t);
    await nvml.list();
    t.equal(children().length, 1);
    await nvml.close();
    t.same(children(), []);
  });

  await t.test('the bundled child works as well', async (t) => {
    const stub = buildStubLibrary(t);
    const bundle = join(stub.folder, 'nvml-child.mjs');
    const native = createRequire(createRequire(import.meta.url).resolve('ffi-rs'));
    await build({
      entryPoints: [childPath],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['@yuuang/*', '*.node'],
      banner: {
        js:
          `import{createRequire}from'node:module';` +
          `const require=createRequire(${JSON.stringify(pathToFileURL(native.resolve('ffi-rs')).href)}),` +
          '__dirname=import.meta.dirname;',
      },
      logLevel: 'silent',
    });
    const { nvml } = start(t, { childPath: bundle });
    t.match(await nvml.list(), { available: true, gpus: { length: 2 } });
  });
});

t.test('a library that is missing is looked for again after a while only', async (t) => {
  const clock = createManualClock();
  const nvml = createForkedNvml({ clock, log: silentLog(), libraryPath: 'libnot-there.so.9' });
  t.teardown(() => nvml.close());
  const first = because(await nvml.list());
  t.match(first, /^libnot-there\.so\.9 cannot be loaded \(.*No such file/);
  t.match(first, /NVIDIA_DRIVER_CAPABILITIES=utility/, 'and what would help');
  clock.advance(4_999);
  t.equal(because(await nvml.list()), `${first}; not asked again for 1 s`);
  clock.advance(1);
  t.equal(because(await nvml.list()), first, 'asked again');
});

t.test('a file that is no library is refused as well', async (t) => {
  const folder = t.testdir({ 'libnvidia-ml.so.1': 'not an ELF file' });
  const nvml = createForkedNvml({
    clock: createManualClock(),
    log: silentLog(),
    libraryPath: join(folder, 'libnvidia-ml.so.1'),
  });
  t.teardown(() => nvml.close());
  t.match(because(await nvml.list()), /cannot be loaded \(.*(file too short|invalid ELF header)/);
});

t.test('a child that cannot run says so', async (t) => {
  const nvml = createForkedNvml({
    clock: createManualClock(),
    log: silentLog(),
    childPath: '/nonexistent/child.mjs',
  });
  t.teardown(() => nvml.close());
  t.match(because(await nvml.list()), /exited with code 1 \(in start-up\): Error: Cannot find module/);
});

t.test('a Node that cannot be started says so', async (t) => {
  const nvml = createForkedNvml({ clock: createManualClock(), log: silentLog() });
  t.teardown(() => nvml.close());
  const { execPath } = process;
  process.execPath = '/nonexistent/node';
  const pending = nvml.list();
  process.execPath = execPath;
  t.match(because(await pending), /could not be started: .*ENOENT/);
});

t.test('an answer to nobody and garbage on the way do no harm', async (t) => {
  const folder = t.testdir();
  const odd = join(folder, 'odd.mjs');
  writeFileSync(
    odd,
    `process.on('message', ({ id }) => {
       process.send({ id: id + 7, answer: { driverVersion: 'wrong', gpus: [] } });
       process.send({ id, answer: { failure: { kind: 'defect', message: 'odd' } } });
     });
     process.on('disconnect', () => process.exit(0));`,
  );
  const nvml = createForkedNvml({ clock: createManualClock(), log: silentLog(), childPath: odd });
  t.teardown(() => nvml.close());
  t.equal(because(await nvml.list()), 'the NVML child failed unexpectedly: odd');
});

t.test('the child ends itself with the channel, and refuses what it does not know', async (t) => {
  const child = fork(childPath, ['libnot-there.so.9'], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.send({ id: 1, method: 'sing' });
  t.match(await once(child, 'message'), [{ id: 1, answer: { failure: { kind: 'defect' } } }]);
  const ended = once(child, 'exit');
  child.disconnect();
  t.same(await ended, [0, null]);
});
