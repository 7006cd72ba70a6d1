import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { createForkedNvml } from '../../../agent/nvml/forked.ts';
import { answerDescriptor } from '../../../agent/nvml/messages.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { createManualClock } from '../../manual-clock.ts';
import { because, children, start } from './rig.ts';
import { noCompiler } from './stub/build.ts';

/** Where it does not matter which library it is. */
const locate = async (path: string) => ({ path });

const childPath = fileURLToPath(new URL('../../../agent/nvml/child.ts', import.meta.url));

t.test('a stub library that fails', { skip: noCompiler }, async (t) => {
  for (const name of ['nvmlSystemGetDriverVersion', 'nvmlDeviceGetCount_v2']) {
    await t.test(`there is no answer without ${name}`, async (t) => {
      const { nvml, stub, clock } = start(t);
      stub.fault(`${name} -1 18`);
      t.match(because(await nvml.list()), `${name} answered NVML_ERROR_LIB_RM_VERSION_MISMATCH: `);
      stub.fault();
      clock.jump(1_000);
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
    clock.jump(5_000);
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
    clock.jump(1_000);
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
    clock.jump(1_000);
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
      clock.jump(seconds * 1_000);
    }
    stub.fault();
    t.equal((await nvml.list()).available, true);
    stub.fault('nvmlInit_v2 -1 9');
    await nvml.list();
    t.match(because(await nvml.list()), /not asked again for 1 s$/);
  });

  await t.test('a child that dies between two calls is replaced at once', async (t) => {
    const ended = Promise.withResolvers<object>();
    const log = createSilentLog();
    const { nvml } = start(t, {
      log: { ...log, warn: (fields) => ended.resolve(fields) },
    });
    await nvml.list();
    const [pid = 0] = children();
    process.kill(pid, 'SIGKILL');
    t.match(await ended.promise, { pid, how: { kind: 'crashed', signal: 'SIGKILL', during: 'no call' } });
    t.equal((await nvml.list()).available, true);
  });
});

t.test('a library that is missing is looked for again after a while only', async (t) => {
  const clock = createManualClock();
  const nvml = createForkedNvml({ clock, log: createSilentLog(), libraryPath: 'libnot-there.so.9' });
  t.teardown(() => nvml.close());
  const first = because(await nvml.list());
  t.match(
    first,
    /^libnot-there\.so\.9 cannot be loaded \(it is neither in \/etc\/ld\.so\.cache nor in .*\/usr\/lib/,
  );
  t.match(first, /NVIDIA_DRIVER_CAPABILITIES=utility/, 'and what would help');
  clock.jump(4_999);
  t.equal(because(await nvml.list()), `${first}; not asked again for 1 s`);
  clock.jump(1);
  t.equal(because(await nvml.list()), first, 'asked again');
});

t.test('a file that is no library is refused as well', async (t) => {
  const folder = t.testdir({ 'libnvidia-ml.so.1': 'not an ELF file' });
  const nvml = createForkedNvml({
    clock: createManualClock(),
    log: createSilentLog(),
    libraryPath: join(folder, 'libnvidia-ml.so.1'),
  });
  t.teardown(() => nvml.close());
  t.match(because(await nvml.list()), /cannot be loaded \(.*(file too short|invalid ELF header)/);
});

t.test('a child that cannot run says so', async (t) => {
  const nvml = createForkedNvml({
    clock: createManualClock(),
    log: createSilentLog(),
    childPath: '/nonexistent/child.mjs',
    locate,
  });
  t.teardown(() => nvml.close());
  t.match(because(await nvml.list()), /exited with code 1 \(in start-up\): Error.*: Cannot find module/);
});

t.test('a Node that cannot be started says so', async (t) => {
  const nvml = createForkedNvml({ clock: createManualClock(), log: createSilentLog(), locate });
  t.teardown(() => nvml.close());
  const { execPath } = process;
  process.execPath = '/nonexistent/node';
  const answer = await nvml.list();
  process.execPath = execPath;
  t.match(because(answer), /could not be started: .*ENOENT/);
});

/** A child's program that answers wrongly and does not end when it is asked to. */
const stubborn = `
  import { spawn } from 'node:child_process';
  import { writeFileSync, writeSync } from 'node:fs';
  import { createInterface } from 'node:readline';
  const send = (message) => writeSync(3, JSON.stringify(message) + '\\n');
  createInterface({ input: process.stdin }).on('line', (line) => {
    const { id } = JSON.parse(line);
    send({ id: id + 7, answer: { driverVersion: 'of somebody else', gpus: [] } });
    send({ id, answer: { failure: { kind: 'defect', message: 'odd' } } });
  });
  setInterval(() => undefined, 60_000);`;
/** Keeps standard error open after the child is gone, which looks like a process that cannot be killed. */
const immortal = `${stubborn}
  const { pid } = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'inherit'], detached: true });
  writeFileSync(new URL('./pid', import.meta.url), String(pid));`;

function startOdd(t: Test, program: string) {
  const folder = t.testdir({ 'child.mjs': program });
  const { resolve, promise } = Promise.withResolvers<object>();
  const clock = createManualClock();
  const log = { ...createSilentLog(), debug: () => undefined, warn: () => undefined, error: resolve };
  const nvml = createForkedNvml({ clock, log, childPath: join(folder, 'child.mjs'), locate });
  return { nvml, clock, folder, leftBehind: promise };
}

t.test('a child that does not end when asked to is killed', async (t) => {
  const { nvml, clock } = startOdd(t, stubborn);
  const odd = 'the NVML child failed unexpectedly: odd';
  t.equal(because(await nvml.list()), odd, 'an answer with the wrong id is not for us');
  const [first] = children();
  clock.jump(1_000);
  const second = nvml.list();
  clock.jump(1_000);
  t.equal(because(await second), odd);
  t.notOk(children().includes(first ?? -1), 'before another one was started');
  const closing = nvml.close();
  clock.jump(1_000);
  await closing;
  t.same(children(), []);
});

t.test('no child is started beside one that does not end', async (t) => {
  const { nvml, clock, folder, leftBehind } = startOdd(t, immortal);
  await nvml.list();
  const holder = Number(readFileSync(join(folder, 'pid'), 'utf8'));
  t.teardown(() => process.kill(holder, 'SIGKILL'));
  async function waitOut<T>(pending: Promise<T>): Promise<T> {
    for (let second = 0; second < 2; second += 1) {
      clock.jump(1_000);
      await new Promise(setImmediate);
    }
    return pending;
  }
  clock.jump(1_000);
  t.match(
    because(await waitOut(nvml.list())),
    /\(pid \d+\) was killed and does not end, .* no other is started/,
  );
  await waitOut(nvml.close());
  t.match(await leftBehind, { pid: Number }, 'and closing says that it is left behind');
});

t.test('the child ends itself with its standard input, and refuses what it does not know', async (t) => {
  const child = spawn(process.execPath, [childPath, 'libnot-there.so.9'], {
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
  });
  child.stdin?.write(`${JSON.stringify({ id: 1, method: 'sing' })}\n`);
  const [line] = await once(child.stdio[answerDescriptor] as Readable, 'data');
  t.match(JSON.parse(String(line)), { id: 1, answer: { failure: { kind: 'defect' } } });
  const ended = once(child, 'exit');
  child.stdin?.end();
  t.same(await ended, [0, null]);
});
