import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { installStub, type StubEngine, startEngine } from '../dcgm/stub.ts';
import { type AgentProcess, hasOwnProcesses, runAgent, startAgent } from '../process.ts';
import { temporaryFolder } from '../rig.ts';

/** Real agents on a real file system of their own, which can be full or read-only; mounting takes root. */
const asRoot = hasOwnProcesses() ? {} : { skip: 'mounting a file system takes root' };
const flags = ['--arm', '--kernel-log', '/dev/null'];

/** A small file system in memory; `remount` changes its options. */
function mountSmall(t: Test) {
  const folder = join(temporaryFolder(t), 'disk');
  mkdirSync(folder);
  const mount = (options: string) => {
    const done = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
    if (done.status !== 0) throw new Error(done.stderr.toString());
  };
  mount('size=256k');
  t.teardown(() => spawnSync('umount', ['-l', folder]));
  return { folder, remount: (options: string) => mount(`remount,${options}`) };
}

const stateOf = (pid: number) =>
  /^\d+ \(.*\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? 'gone';

/** An engine that an agent has paused before it was killed. */
async function pausedAndKilled(t: Test, stateDir: string): Promise<StubEngine> {
  const engine = await startEngine(t, installStub(t));
  await engine.nma(true);
  const agent = await startAgent(t, { seesAll: true, stateDir, flags });
  const order = { engine: { pid: engine.pid }, forSeconds: 600, orderId: 'pause' };
  const paused = await agent.call('PauseHostEngine', order);
  t.equal(paused.status, 200, paused.body.message);
  await agent.end('SIGKILL');
  t.equal(stateOf(engine.pid), 'T');
  return engine;
}

const readiness = async (agent: AgentProcess) => {
  const answer = await fetch(`${agent.url}/readyz`);
  return [answer.status, await answer.text()];
};

const kernelLog = { flags: ['--arm'], seesAll: true };

t.test(
  'H1 a read-only disk: the engine is continued first, then its trouble is reported',
  asRoot,
  async (t) => {
    const { folder, remount } = mountSmall(t);
    const engine = await pausedAndKilled(t, folder);
    remount('ro');
    const agent = await startAgent(t, { ...kernelLog, stateDir: folder });
    t.not(stateOf(engine.pid), 'T', 'by the time it listens');
    t.match(await readiness(agent), [503, /not ready: the journal in .*read-only/i]);
    t.match(await agent.call('WriteKernelMessage', { orderId: 'o1', text: 'xidrill test: read-only' }), {
      status: 503,
      body: { details: { reason: 'journal_unwritable', remedy: /--state-dir/ } },
    });
    t.match(await agent.call('GetReceipt', { orderId: 'pause' }), {
      status: 200,
      body: { state: 'interrupted', surfaces: [{ sustained: { ended: 'agent-restarted' } }] },
    });
    t.equal((await agent.call('GetInventory')).status, 200, 'what only reads goes on');
    remount('rw');
    t.match(await readiness(agent), [200, 'ok\n'], 'and it recovers by itself');
    const order = { orderId: 'o1', text: 'xidrill test: writable again' };
    t.match(await agent.call('WriteKernelMessage', order), { status: 200, body: { replayed: false } });
  },
);

t.test('H1 a journal full of rubbish keeps no engine stopped', asRoot, async (t) => {
  const stateDir = temporaryFolder(t);
  const engine = await pausedAndKilled(t, stateDir);
  for (const [name, text] of [
    ['pause', 'null'],
    ['o1', 'null'],
    ['o2', '{"state":"running"}'],
  ])
    writeFileSync(join(stateDir, 'orders', `${name}.json`), `${text}\n`);
  const agent = await startAgent(t, { stateDir, seesAll: true, flags });
  t.not(stateOf(engine.pid), 'T');
  for (const orderId of ['pause', 'o1', 'o2'])
    t.match(await agent.call('GetReceipt', { orderId }), {
      status: 409,
      body: { details: { reason: 'receipt_damaged', file: `${stateDir}/damaged/${orderId}.json` } },
    });
  t.same(readdirSync(join(stateDir, 'held')), [], 'nothing is held any more');
});

t.test('H1 a start that fails for another reason leaves no engine stopped', asRoot, async (t) => {
  const stateDir = temporaryFolder(t);
  const engine = await pausedAndKilled(t, stateDir);
  const missing = join(stateDir, 'missing.pem');
  const tls = ['--tls-cert-file', missing, '--tls-key-file', missing];
  const ended = await runAgent(['--listen', '127.0.0.1:0', '--state-dir', stateDir, ...flags, ...tls]);
  t.equal(ended.code, 4);
  t.not(stateOf(engine.pid), 'T');
});

t.test('M10 a full disk refuses an order, and the same order is carried out later', asRoot, async (t) => {
  const { folder } = mountSmall(t);
  const agent = await startAgent(t, { ...kernelLog, stateDir: folder });
  const order = { orderId: 'o1', text: 'xidrill test: full disk' };
  const ballast = join(folder, 'ballast');
  const fill = spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1k']);
  t.match(fill.stderr.toString(), /No space left/);
  t.match(await agent.call('WriteKernelMessage', order), {
    status: 503,
    body: { details: { reason: 'journal_unwritable' } },
  });
  t.match(await readiness(agent), [503, /not ready: the journal/]);
  t.same(readdirSync(join(folder, 'orders')), [], 'nothing is left of it');
  spawnSync('rm', [ballast]);
  t.match(await readiness(agent), [200, 'ok\n']);
  t.match(await agent.call('WriteKernelMessage', order), { status: 200, body: { replayed: false } });
});

t.test('M6 a second agent on the same state directory does not start, and takes nothing back', async (t) => {
  const engine = await startEngine(t, installStub(t));
  await engine.nma(true);
  const agent = await startAgent(t, { seesAll: true, flags });
  const order = { engine: { pid: engine.pid }, forSeconds: 600, orderId: 'pause' };
  t.equal((await agent.call('PauseHostEngine', order)).status, 200);
  const second = await runAgent(['--listen', '127.0.0.1:0', '--state-dir', agent.stateDir, ...flags]);
  t.equal(second.code, 4);
  t.match(second.output, /another agent works on .*\n {2}end it first/);
  t.equal(stateOf(engine.pid), 'T', 'what the first holds stays held');
  t.equal((await agent.call('StopInjection', { orderId: 'pause' })).status, 200);
  t.not(stateOf(engine.pid), 'T');
  await agent.end('SIGKILL');
  const next = await startAgent(t, { seesAll: true, stateDir: agent.stateDir, flags });
  t.equal((await next.call('GetReceipt', { orderId: 'pause' })).status, 200, 'a lock goes with its process');
});
