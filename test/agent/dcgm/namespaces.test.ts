import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createDcgm } from '../../../agent/dcgm/client.ts';
import { readProcessFacts } from '../../../agent/dcgm/process-facts.ts';
import { createPtyDcgmi } from '../../../agent/dcgm/pty.ts';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { refusalOf } from './refused.ts';
import { installStub, startEngine } from './stub.ts';

const log = createSilentLog();
const skip = whyNot();

function whyNot(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root to make namespaces';
  const tried = spawnSync('unshare', [
    '--mount',
    '--net',
    'sh',
    '-c',
    'ip link set lo up && setpriv --version',
  ]);
  return tried.status === 0 ? false : 'unshare, ip or setpriv does not work here';
}

/**
 * An engine in mount and network namespaces of its own, like one in a container. Its programs are only to be seen
 * inside; the folder they were copied from is hidden there.
 */
async function startContained(
  t: Test,
  options: { programs?: readonly ('dcgmi' | 'nv-hostengine')[]; launcher?: string } = {},
) {
  const outside = installStub(t);
  const inside = installStub(t, []);
  const { programs = ['dcgmi', 'nv-hostengine'], launcher = '' } = options;
  const script = [
    'ip link set lo up',
    `mount -t tmpfs -o mode=755 none ${inside}`,
    ...programs.map((name) => `cp ${outside}/${name} ${inside}/`),
    `mount -t tmpfs -o mode=755 none ${outside}`,
    `exec ${launcher} "$@"`,
  ].join(' && ');
  const stub = await startEngine(t, outside, {
    wrapper: ['unshare', '--mount', '--net', 'sh', '-c', script, 'sh'],
    program: join(inside, 'nv-hostengine'),
    env: { STUB_NMA: '1' },
  });
  const engine = (await createProcEngineFinder().find()).find(({ pid }) => pid === stub.pid);
  if (engine === undefined) throw new Error('the contained engine is not found');
  return { outside, inside, stub, engine };
}

function dcgmFor(pids: readonly number[], dcgmiPath?: string) {
  const all = createProcEngineFinder();
  const finder = { ...all, find: async () => (await all.find()).filter(({ pid }) => pids.includes(pid)) };
  const dcgmi = createPtyDcgmi(dcgmiPath === undefined ? { log } : { log, dcgmiPath });
  return { dcgmi, dcgm: createDcgm({ finder, dcgmi, clock: createRealClock(), log, keepMs: 0 }) };
}

t.test('the dcgmi of a contained engine is run inside', { skip }, async (t) => {
  const { engine, inside, stub } = await startContained(t);
  t.notOk(existsSync(join(inside, 'dcgmi')), 'it is not to be seen from here');
  t.match(engine, {
    listening: true,
    executable: join(inside, 'nv-hostengine'),
    address: `127.0.0.1:${stub.port}`,
  });
  const { dcgmi, dcgm } = dcgmFor([stub.pid]);
  t.same(await dcgmi.locate(engine), { path: join(inside, 'dcgmi') });
  const chosen = await dcgm.choose();
  t.match(chosen, { version: '4.6.0', nma: { listening: true }, problems: [] });
  t.equal(chosen.gpus.length, 2);
  const done = await dcgm.inject({ engine: chosen, gpuId: 0, field: findField(230), value: 79 });
  t.match(done.commandLine.slice(1, 7), ['--target', String(stub.pid), '--mount', '--net', '--', /dcgmi$/]);
  t.match(done.after, { samples: 1, watchers: 2 });
});

t.test('two engines at the same address in different namespaces are told apart', { skip }, async (t) => {
  const contained = await startContained(t);
  const folder = installStub(t);
  const { dcgm } = dcgmFor([contained.stub.pid]);
  const other = await startEngine(t, folder, { port: contained.stub.port });
  const both = dcgmFor([contained.stub.pid, other.pid]);
  const engines = await both.dcgm.list();
  t.equal(new Set(engines.map(({ address }) => address)).size, 1, 'one address');
  t.same(
    engines.filter(({ nma }) => nma.listening).map(({ pid }) => pid),
    [contained.stub.pid],
    'and one of them has the node monitoring agent',
  );
  t.match(await refusalOf(both.dcgm.choose({ address: engines[0]?.address ?? '' })), {
    reason: 'engine_ambiguous',
  });
  const wrong = engines.find(({ pid }) => pid === other.pid);
  if (wrong === undefined) throw new Error('the other engine is not in the list');
  const refusal = await refusalOf(
    both.dcgm.inject({ engine: wrong, gpuId: 0, field: findField(230), value: 79 }),
  );
  t.match(refusal, { reason: 'nobody_listens', details: { listenedPid: contained.stub.pid } });
  t.match(refusal.message, `NMA's engine is pid ${contained.stub.pid}`);
  t.equal((await dcgm.list()).length, 1);
});

t.test('without a dcgmi inside, the agent’s own is run in its network only', { skip }, async (t) => {
  const { engine, outside, stub } = await startContained(t, { programs: ['nv-hostengine'] });
  const { dcgmi } = dcgmFor([stub.pid], join(outside, 'dcgmi'));
  const done = await dcgmi.run(engine, ['discovery', '-l'], { timeoutMs: 300_000 });
  t.equal(done.exitCode, 0);
  t.match(done.commandLine.slice(1, 6), [
    '--target',
    String(stub.pid),
    '--net',
    '--',
    join(outside, 'dcgmi'),
  ]);
});

t.test('the files of an unprivileged container are not run as root', { skip }, async (t) => {
  const launcher = 'setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin';
  const { engine, outside, stub } = await startContained(t, { launcher });
  t.match(await dcgmFor([stub.pid]).dcgmi.locate(engine), { because: /in an unprivileged container/ });
  const own = dcgmFor([stub.pid], join(outside, 'dcgmi'));
  t.same(await own.dcgmi.locate(engine), { path: join(outside, 'dcgmi') }, 'but the agent’s own is');
  t.match(await own.dcgm.list(), [{ version: '4.6.0', problems: [] }]);
  const facts = await readProcessFacts('/proc', stub.pid);
  t.match(facts, { isPrivileged: false, sameMounts: false, sameNetwork: false, environment: {} });
  t.same(Object.keys(facts.environment), [], 'nor is its library path obeyed');
});
