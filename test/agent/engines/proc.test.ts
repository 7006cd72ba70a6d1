import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { engineFinderContract } from '../../contract/engine-finder.ts';
import { installStub, type StubEngine, startEngine } from '../dcgm/stub.ts';

/** A /proc of files. A null file is one that was there for the listing and is gone for the look. */
function makeProc(t: Test, processes: Record<string, Record<string, string | null>>): string {
  const root = mkdtempSync(join(tmpdir(), 'xidrill-proc-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(join(root, 'version'), 'Linux');
  mkdirSync(join(root, '1/root/var/log/pods', `kube-system_dcgm-server-x_${podUid}`), { recursive: true });
  for (const [pid, files] of Object.entries(processes)) {
    const all = { ...engineFiles, ...files };
    mkdirSync(join(root, pid, 'net'), { recursive: true });
    mkdirSync(join(root, pid, 'fd'), { recursive: true });
    for (const [name, text] of Object.entries(all)) {
      if (text === null) continue;
      if (name.startsWith('fd/') || ['exe', 'cwd'].includes(name)) symlinkSync(text, join(root, pid, name));
      else writeFileSync(join(root, pid, name), text);
    }
  }
  return root;
}

const id = 'ab'.repeat(32);
const podUid = '5f1c2c84-1d5b-4e39-9d0a-9f3f1f2b3c4d';
const tcpHead =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const tcpRow =
  '   0: 0100007F:15B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 100 0 0 10 0\n';
const engineFiles = {
  comm: 'nv-hostengine\n',
  cmdline: 'nv-hostengine\0-n\0-b\0ALL\0',
  exe: '/usr/bin/nv-hostengine',
  cwd: '/',
  cgroup: `0::/kubepods.slice/kubepods-pod5f1c2c84_1d5b_4e39_9d0a_9f3f1f2b3c4d.slice/cri-containerd-${id}.scope\n`,
  'net/tcp': tcpHead + tcpRow,
  'net/tcp6': tcpHead,
  'fd/7': 'socket:[4711]',
};
const found = async (root: string) => createProcEngineFinder({ procRoot: root }).find();

t.test('an engine in a pod, beside other processes', async (t) => {
  const root = makeProc(t, { '12': {}, '9': { comm: 'nv-hostengineX\n' }, '3': { comm: 'bash\n' } });
  t.same(await found(root), [
    {
      pid: 12,
      commandLine: ['nv-hostengine', '-n', '-b', 'ALL'],
      executable: '/usr/bin/nv-hostengine',
      container: id,
      podUid,
      pod: 'kube-system/dcgm-server-x',
      address: '127.0.0.1:5555',
      listening: true,
      problems: [],
    },
  ]);
});

t.test('who holds the socket', async (t) => {
  const rows: [string, Record<string, string | null>, object][] = [
    [
      'a foreign engine',
      { 'fd/7': 'socket:[4712]' },
      { listening: false, problems: [/another process listens there/] },
    ],
    ['nobody', { 'net/tcp': tcpHead }, { listening: false, problems: [/nothing listens there/] }],
    ['no IPv6', { 'net/tcp6': null }, { listening: true, problems: [] }],
    [
      'a deleted program',
      { exe: '/usr/bin/nv-hostengine (deleted)' },
      { executable: '/usr/bin/nv-hostengine' },
    ],
    ['a vsock', { cmdline: 'nv-hostengine\0-c\x003\0' }, { listening: false, problems: [/vsock address/] }],
  ];
  for (const [name, files, expected] of rows)
    t.match(await found(makeProc(t, { '5': files })), [expected], name);
});

t.test('a process that ends during the look is no engine and no error', async (t) => {
  for (const file of ['comm', 'cmdline', 'exe', 'cgroup']) {
    t.same(await found(makeProc(t, { '5': { [file]: null } })), [], `${file} is gone`);
  }
  t.same(await found(makeProc(t, { '5': { cmdline: '' } })), [], 'a zombie has no arguments');
});

t.test('an engine that hides what is needed is shown with the reason', async (t) => {
  const root = makeProc(t, { '5': { cgroup: null } });
  mkdirSync(join(root, '5', 'cgroup'));
  t.match(await found(root), [
    { pid: 5, listening: false, problems: [/cannot be read: EISDIR.*needs root/] },
  ]);
});

t.test('real processes', async (t) => {
  await engineFinderContract(t, async (t) => {
    const folder = installStub(t);
    const engines = new Map<number, StubEngine>();
    return {
      finder: createProcEngineFinder(),
      async start() {
        const isFirst = engines.size === 0;
        const engine = await startEngine(t, folder, isFirst ? {} : { socket: join(folder, 'engine.sock') });
        engines.set(engine.pid, engine);
        return engine.pid;
      },
      async stop(pid) {
        await engines.get(pid)?.stop();
      },
    };
  });
});
