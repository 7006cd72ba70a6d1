import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createDcgm } from '../../../agent/dcgm/client.ts';
import { createPtyDcgmi } from '../../../agent/dcgm/pty.ts';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { defaultTrust, type Standing, whyNotCounted } from '../../../agent/engines/standing.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { refusalOf } from '../dcgm/refused.ts';
import { installStub, startEngine } from '../dcgm/stub.ts';

const onHost: Standing = { uid: 0, isPrivileged: true, isContained: false, pod: undefined };
const inPod: Standing = { uid: 0, isPrivileged: false, isContained: true, pod: 'shop/web-1' };

t.test('M14 whose engine counts', (t) => {
  const trust = { namespaces: ['kube-system', 'gpu-operator'], uids: [991] };
  const rows: readonly (readonly [what: string, standing: Standing, because: RegExp | undefined])[] = [
    ['root on the host', onHost, undefined],
    ['root on the host without capabilities', { ...onHost, isPrivileged: false }, undefined],
    ['the add-on’s server', { ...inPod, isPrivileged: true, pod: 'kube-system/dcgm-server-x' }, undefined],
    ['a pod of an allowed namespace', { ...inPod, uid: 1000, pod: 'gpu-operator/nvidia-dcgm-x' }, undefined],
    ['a privileged pod', { ...inPod, isPrivileged: true }, undefined],
    ['a privileged pod that is not known', { ...inPod, isPrivileged: true, pod: undefined }, undefined],
    ['a named user of the host', { ...onHost, uid: 991, isPrivileged: false }, undefined],
    ['another user of the host', { ...onHost, uid: 1000, isPrivileged: false }, /uid 1000 on the host/],
    ['a user that cannot be read', { ...onHost, uid: undefined, isPrivileged: false }, /cannot be read/],
    ['root of some pod', inPod, /without privileges in pod shop\/web-1/],
    ['a user of some pod', { ...inPod, uid: 1000 }, /in pod shop\/web-1/],
    ['the same user number in a pod', { ...inPod, uid: 991 }, /in pod shop\/web-1/],
    ['a pod that is not known', { ...inPod, pod: undefined }, /whose pod is not known/],
    ['a namespace that begins alike', { ...inPod, pod: 'kube-system-2/x' }, /in pod kube-system-2\/x/],
    ['a pod that is named so', { ...inPod, pod: 'shop/kube-system' }, /in pod shop\/kube-system/],
  ];
  for (const [what, standing, because] of rows)
    t.match(whyNotCounted(standing, trust) ?? 'counts', because ?? /^counts$/, what);
  t.end();
});

const uidOf = (pid: number) => `${String(pid).padStart(8, '0')}-1d5b-4e39-9d0a-9f3f1f2b3c4d`;

/** A /proc with engines in pods, and the folders that a kubelet makes of them. */
function makeProc(
  t: Test,
  engines: readonly {
    readonly pid: number;
    readonly pod: string;
    readonly uid?: number;
    readonly caps?: string;
  }[],
): string {
  const root = mkdtempSync(join(tmpdir(), 'xidrill-standing-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, '1/ns'), { recursive: true });
  symlinkSync('user:[1]', join(root, '1/ns/user'));
  for (const { pid, pod, uid: user = 0, caps = '00000000a80425fb' } of engines) {
    const folder = join(root, String(pid));
    for (const name of ['net', 'fd', 'ns']) mkdirSync(join(folder, name), { recursive: true });
    const podUid = uidOf(pid);
    mkdirSync(join(root, '1/root/var/log/pods', `${pod.replace('/', '_')}_${podUid}`), { recursive: true });
    const cgroup = `0::/kubepods.slice/kubepods-pod${podUid.replaceAll('-', '_')}.slice/cri-containerd-${'ab'.repeat(32)}.scope\n`;
    const files = {
      comm: 'nv-hostengine\n',
      cmdline: 'nv-hostengine\0-n\0',
      cgroup,
      'net/tcp': '',
      'net/tcp6': '',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    writeFileSync(join(folder, 'status'), `Uid:\t${user}\t${user}\t${user}\t${user}\nCapEff:\t${caps}\n`);
    symlinkSync('/usr/bin/nv-hostengine', join(folder, 'exe'));
    symlinkSync('/', join(folder, 'cwd'));
    symlinkSync('user:[1]', join(folder, 'ns/user'));
  }
  return root;
}

t.test('M14 impostors crowd out no engine that counts', async (t) => {
  const impostors = Array.from({ length: 40 }, (_, at) => ({ pid: 100 + at, pod: `shop/web-${at}` }));
  const real = { pid: 900, pod: 'kube-system/dcgm-server-x' };
  const found = await createProcEngineFinder({ procRoot: makeProc(t, [...impostors, real]) }).find();
  t.equal(found.length, 16);
  t.same(
    found.filter(({ untrusted }) => untrusted === undefined).map(({ pid, pod }) => ({ pid, pod })),
    [real],
  );
  t.match(found[0]?.untrusted, /root|privileges/);
  t.match(found[0]?.problems.at(-1), /25 more processes/);
});

t.test('M14 another user namespace makes nobody privileged', async (t) => {
  const root = makeProc(t, [{ pid: 7, pod: 'shop/web-1', caps: '000001ffffffffff' }]);
  t.match(await createProcEngineFinder({ procRoot: root }).find(), [{ pid: 7, pod: 'shop/web-1' }]);
  t.equal(
    (await createProcEngineFinder({ procRoot: root }).find())[0]?.untrusted,
    undefined,
    'privileged here',
  );
  rmSync(join(root, '7/ns/user'));
  symlinkSync('user:[2]', join(root, '7/ns/user'));
  t.match((await createProcEngineFinder({ procRoot: root }).find())[0]?.untrusted, /without privileges/);
});

const skip = process.geteuid?.() === 0 ? false : 'needs root to become another user';

t.test('M14 an impostor of another user is shown, never asked, and never written to', { skip }, async (t) => {
  const folder = installStub(t);
  const real = await startEngine(t, folder);
  await real.nma(true);
  const pid = await startImpostor(t);
  const all = createProcEngineFinder();
  const pids = [real.pid, pid];
  const finder = { ...all, find: async () => (await all.find()).filter(({ pid }) => pids.includes(pid)) };
  const log = createSilentLog();
  const dcgm = createDcgm({
    finder,
    dcgmi: createPtyDcgmi({ log }),
    clock: createRealClock(),
    log,
    keepMs: 0,
  });
  t.equal((await dcgm.choose()).pid, real.pid, 'it makes no order ambiguous');
  const shown = (await dcgm.list()).find((engine) => engine.pid === pid);
  t.match(shown, { untrusted: /runs as uid 65532 on the host/, dcgmi: null, nma: { answered: false } });
  const refusal = await refusalOf(dcgm.choose({ pid }, { force: true }));
  t.match(refusal, { reason: 'engine_untrusted', details: { remedy: /--engine-uid/ } }, 'by its pid neither');
  await real.stop();
  t.match(await refusalOf(dcgm.choose(undefined, { force: true })), { reason: 'engine_untrusted' });
  const allowed = createProcEngineFinder({ trust: { ...defaultTrust, uids: [65532] } });
  const counted = (await allowed.find()).find((engine) => engine.pid === pid);
  t.equal(counted?.untrusted, undefined, 'unless the agent’s configuration names the user');
});

/** A process of uid 65532 with the name of an engine. */
async function startImpostor(t: Test): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-impostor-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'nv-hostengine');
  copyFileSync('/bin/sleep', program);
  chmodSync(folder, 0o755);
  const child = spawn('setpriv', ['--reuid=65532', '--regid=65532', '--clear-groups', program, '600'], {
    stdio: 'ignore',
  });
  t.teardown(() => child.kill('SIGKILL'));
  for (;;) {
    // setpriv replaces itself by the program.
    if (readlinkSync(`/proc/${child.pid}/exe`) === program) return child.pid ?? 0;
    if (child.exitCode !== null) throw new Error(`the impostor ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
