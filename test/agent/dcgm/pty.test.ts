import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createPtyDcgmi } from '../../../agent/dcgm/pty.ts';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { dcgmiContract } from '../../contract/dcgmi.ts';
import { refusalOf } from './refused.ts';
import { installStub, startEngine, writeExecutable } from './stub.ts';

const log = createSilentLog();
/** For a program that answers, however busy the machine is. */
const patience = { timeoutMs: 300_000 };
const gpus = [0, 1].map((id) => ({
  id,
  pci: `00000000:0${1 + 3 * id}:00.0`,
  uuid: `GPU-00000000-feed-beef-cafe-00000000000${id}`,
}));

async function engineOf(pid: number) {
  const engine = (await createProcEngineFinder().find()).find((candidate) => candidate.pid === pid);
  if (engine === undefined) throw new Error(`no engine with pid ${pid}`);
  return engine;
}

async function setUp(t: Test, env: Record<string, string> = {}) {
  const folder = installStub(t);
  const stub = await startEngine(t, folder, { env });
  return { folder, stub, engine: await engineOf(stub.pid), dcgmi: createPtyDcgmi({ log }) };
}

/** A program in the place of dcgmi. */
async function setUpProgram(t: Test, source: string, env: Record<string, string> = {}) {
  const made = await setUp(t, env);
  writeExecutable(join(made.folder, 'dcgmi'), source);
  return made;
}

t.test('over a real engine process and a real pseudo terminal', (t) =>
  dcgmiContract(t, async (t) => ({ ...(await setUp(t)), gpus })),
);

t.test('over a unix socket', (t) =>
  dcgmiContract(t, async (t) => {
    const folder = installStub(t);
    const stub = await startEngine(t, folder, { socket: join(folder, 'engine.sock') });
    return { engine: await engineOf(stub.pid), dcgmi: createPtyDcgmi({ log }), gpus };
  }),
);

t.test('a closed port is DCGM’s own answer', async (t) => {
  const { engine, dcgmi } = await setUp(t);
  const done = await dcgmi.run({ ...engine, address: '127.0.0.1:1' }, ['discovery', '-l'], patience);
  t.equal(done.exitCode, 235);
  t.match(done.output, 'Error: unable to establish a connection to the specified host: 127.0.0.1:1\n');
});

t.test('L8 a dcgmi that hangs is killed with all it started, and what it said is kept', async (t) => {
  const source = `
    const { spawn, spawnSync } = require('node:child_process');
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    const other = spawn('setsid', ['sleep', '600'], { stdio: 'ignore' });
    // It has a session of its own, and its parent has ended.
    const { stdout } = spawnSync('sh', ['-c', 'setsid sleep 600 >/dev/null 2>&1 & echo $!']);
    console.log('pids', process.pid, child.pid, other.pid, String(stdout).trim());
    setTimeout(() => {}, 600_000);`;
  const { engine, dcgmi } = await setUpProgram(t, source);
  const limits = [600, 2_400, 9_600, 38_400, 300_000];
  let pids: readonly string[] | undefined;
  // On a busy machine a program that says something first needs more than a moment.
  for (const timeoutMs of limits) {
    const failure = await refusalOf(dcgmi.run(engine, ['discovery', '-l'], { timeoutMs }));
    t.match(failure, { reason: 'dcgmi_timeout', details: { timeoutMs, output: String } });
    pids = /^pids (\d+) (\d+) (\d+) (\d+)/.exec(String(failure.details.output))?.slice(1);
    if (pids !== undefined) break;
  }
  t.equal(pids?.length, 4, 'what it said is kept');
  // They are killed before the run is answered, and gone when the kernel has come to it.
  const spared = pids?.filter(isSpared) ?? [];
  t.same(spared, [], 'all that it started is killed');
  for (const pid of spared) process.kill(Number(pid), 'SIGKILL');
  while (pids?.some(isAlive)) await sleep(10);
});

t.test('a run can be aborted in the middle', async (t) => {
  const { engine, dcgmi } = await setUpProgram(t, 'setTimeout(() => {}, 600_000);');
  const reason = new Error('shutting down');
  const controller = new AbortController();
  const running = dcgmi.run(engine, ['discovery', '-l'], { ...patience, signal: controller.signal });
  setTimeout(() => controller.abort(reason), 200);
  await t.rejects(running, reason);
});

t.test('200 KB arrive whole, more than 256 KiB are cut', async (t) => {
  const line = 'x'.repeat(99);
  const { engine, dcgmi } = await setUpProgram(
    t,
    `require('node:fs').writeFileSync(1, (${JSON.stringify(line)} + '\\n').repeat(2048) + 'end\\n');`,
  );
  const whole = await dcgmi.run(engine, ['discovery', '-l'], patience);
  t.equal(whole.exitCode, 0);
  t.equal(whole.output, `${`${line}\n`.repeat(2048)}end\n`);
  const more = await setUpProgram(t, `require('node:fs').writeFileSync(1, 'y'.repeat(1_000_000));`);
  const cut = await more.dcgmi.run(more.engine, ['discovery', '-l'], patience);
  t.equal(cut.output.length, 256 * 1024);
});

t.test('a death by signal is 128 + its number, not success', async (t) => {
  const { engine, dcgmi } = await setUpProgram(
    t,
    `process.kill(process.pid, 'SIGKILL'); setTimeout(() => {}, 600_000);`,
  );
  t.match(await dcgmi.run(engine, ['discovery', '-l'], patience), { exitCode: 137 });
});

t.test('colours are taken out, and the environment is the engine’s libraries and nothing else', async (t) => {
  const source = `
    console.log('\\x1b[1;31mred\\x1b[0m');
    console.log(JSON.stringify(process.env), process.stdout.columns, process.cwd());`;
  const { engine, dcgmi } = await setUpProgram(t, source, {
    LD_LIBRARY_PATH: '/opt/dcgm/lib',
    CUDA_VISIBLE_DEVICES: '0',
    SECRET: 'x',
  });
  const { output } = await dcgmi.run(engine, ['discovery', '-l'], patience);
  const [first, second = ''] = output.split('\n');
  t.equal(first, 'red');
  t.match(second, /\} 400 \/$/);
  const environment = JSON.parse(second.slice(0, second.lastIndexOf('}') + 1)) as Record<string, string>;
  t.same(
    Object.keys(environment).toSorted(),
    ['LC_ALL', 'LD_LIBRARY_PATH', 'NO_COLOR', 'PATH', 'PWD', 'TERM', 'TZ', 'XIDRILL_RUN'].toSorted(),
  );
  t.match(environment, { LD_LIBRARY_PATH: '/opt/dcgm/lib', TZ: 'UTC', LC_ALL: 'C', TERM: 'dumb' });
});

t.test(
  'no dcgmi anywhere',
  { skip: existsSync('/usr/bin/dcgmi') && 'this machine has a real dcgmi' },
  async (t) => {
    const folder = installStub(t, ['nv-hostengine']);
    const stub = await startEngine(t, folder);
    const engine = await engineOf(stub.pid);
    const dcgmi = createPtyDcgmi({ log });
    t.match(await dcgmi.locate(engine), { because: /^no dcgmi in .*, and the agent has none of its own$/ });
    t.match(await refusalOf(dcgmi.run(engine, ['discovery', '-l'], patience)), {
      reason: 'dcgmi_not_found',
    });
  },
);

t.test('the configured dcgmi goes before the engine’s own', async (t) => {
  const { engine } = await setUp(t);
  const other = join(installStub(t), 'dcgmi');
  t.same(await createPtyDcgmi({ log, dcgmiPath: other }).locate(engine), { path: other });
});

t.test('an engine that is gone', async (t) => {
  const { engine, dcgmi, stub } = await setUp(t);
  await stub.stop();
  t.match(await refusalOf(dcgmi.run(engine, ['discovery', '-l'], patience)), {
    reason: 'engine_unreachable',
    details: { pid: engine.pid },
  });
});

/** Neither gone nor about to be: no SIGKILL is pending (proc_pid_status(5)), and no exit has begun (PF_EXITING, PF_SIGNALED). */
function isSpared(pid: string): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [, ...pending] = /^SigPnd:\s+(\w+)\s+ShdPnd:\s+(\w+)/m.exec(status) ?? [];
    const isPending = pending.some((mask) => (BigInt(`0x${mask}`) & 0x100n) !== 0n);
    // Behind the name, which stands in parentheses, the flags are the seventh.
    const flags = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[6]);
    return !isPending && (flags & 0x404) === 0;
  } catch {
    return false;
  }
}

function isAlive(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
