import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createPtyDcgmi } from '../../../agent/dcgm/pty.ts';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { writableVolumeIn } from '../../../agent/programs/trust.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { refusalOf } from './refused.ts';
import { installStub, startEngine, writeExecutable } from './stub.ts';

const log = createSilentLog();
const skip = process.geteuid?.() === 0 ? false : 'needs root to give files away';

/** A tree as the chart lends it, with a dcgmi that shows that it ran. */
function lend(t: Test) {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-lent-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const tree = join(folder, 'dcgm');
  for (const name of ['bin', 'lib']) mkdirSync(join(tree, name), { recursive: true, mode: 0o755 });
  chmodSync(folder, 0o755);
  const ran = join(folder, 'ran');
  writeExecutable(join(tree, 'bin/dcgmi'), `require('node:fs').writeFileSync(${JSON.stringify(ran)}, '')`);
  writeFileSync(join(tree, 'lib/libdcgm.so.4'), '', { mode: 0o644 });
  symlinkSync('libdcgm.so.4', join(tree, 'lib/libdcgm.so'));
  return { folder, tree, dcgmi: join(tree, 'bin/dcgmi'), hasRun: () => existsSync(ran) };
}

type Lent = ReturnType<typeof lend>;

/** An engine without a dcgmi beside it. */
async function startBare(t: Test, options: { readonly env?: Record<string, string> } = {}) {
  const { pid } = await startEngine(t, installStub(t, ['nv-hostengine']), options);
  const engine = (await createProcEngineFinder().find()).find((candidate) => candidate.pid === pid);
  if (engine === undefined) throw new Error('the engine is not found');
  return engine;
}

/** What others than root may do to it, the path that the refusal names, its owner and mode. */
const rows: readonly (readonly [
  what: string,
  spoil: (lent: Lent) => void,
  path: string,
  owner: number,
  mode: string,
])[] = [
  [
    'the program is another user’s',
    ({ dcgmi }) => chownSync(dcgmi, 65532, 65532),
    'dcgm/bin/dcgmi',
    65532,
    '0755',
  ],
  ['the program is world-writable', ({ dcgmi }) => chmodSync(dcgmi, 0o757), 'dcgm/bin/dcgmi', 0, '0757'],
  ['its group may write', ({ dcgmi }) => chmodSync(dcgmi, 0o775), 'dcgm/bin/dcgmi', 0, '0775'],
  ['its folder is world-writable', ({ tree }) => chmodSync(join(tree, 'bin'), 0o777), 'dcgm/bin', 0, '0777'],
  ['the volume is another user’s', ({ tree }) => chownSync(tree, 65532, 65532), 'dcgm', 65532, '0755'],
  ['a folder above is world-writable', ({ folder }) => chmodSync(folder, 0o777), '', 0, '0777'],
  [
    'in a shared folder the program is another user’s',
    ({ tree, dcgmi }) => {
      chmodSync(join(tree, 'bin'), 0o1777);
      chownSync(dcgmi, 65532, 65532);
    },
    'dcgm/bin/dcgmi',
    65532,
    '0755',
  ],
  [
    'a library is another user’s',
    ({ tree }) => chownSync(join(tree, 'lib/libdcgm.so.4'), 65532, 65532),
    'dcgm/lib/libdcgm.so.4',
    65532,
    '0644',
  ],
  [
    'the folder of libraries is world-writable',
    ({ tree }) => chmodSync(join(tree, 'lib'), 0o777),
    'dcgm/lib',
    0,
    '0777',
  ],
  [
    'a library is a link out of the tree',
    ({ tree }) => symlinkSync('/tmp/libevil.so', join(tree, 'lib/libevil.so')),
    'dcgm/lib/libevil.so',
    0,
    '0777',
  ],
  [
    'the program is a link to one that others can change',
    ({ folder, dcgmi }) => {
      mkdirSync(join(folder, 'open'), { mode: 0o755 });
      copyFileSync(dcgmi, join(folder, 'open/dcgmi'));
      chmodSync(join(folder, 'open'), 0o777);
      rmSync(dcgmi);
      symlinkSync('../../open/dcgmi', dcgmi);
    },
    'open',
    0,
    '0777',
  ],
];

t.test('H4 what others than root can change is not run as root', { skip }, async (t) => {
  const engine = await startBare(t);
  for (const [what, spoil, path, ownerUid, mode] of rows) {
    const lent = lend(t);
    spoil(lent);
    const refusal = await refusalOf(
      createPtyDcgmi({ log, dcgmiPath: lent.dcgmi }).run(engine, ['discovery', '-l'], { timeoutMs: 300_000 }),
    );
    const file = { path: join(lent.folder, path), ownerUid, mode };
    t.match(refusal, { reason: 'dcgmi_untrusted', details: { file, remedy: /chown root/ } }, what);
    t.ok(refusal.message.includes(`${file.path} (owner uid ${ownerUid}, mode ${mode})`), refusal.message);
    t.notOk(lent.hasRun(), `${what}: it did not run`);
  }
  const lent = lend(t);
  await createPtyDcgmi({ log, dcgmiPath: lent.dcgmi }).run(engine, ['discovery', '-l'], {
    timeoutMs: 300_000,
  });
  t.ok(lent.hasRun(), 'as the chart lends it, it runs');
});

t.test('H4 the engine’s own dcgmi and its library path are held to the same rule', { skip }, async (t) => {
  const folder = installStub(t);
  const open = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-open-'));
  t.teardown(() => rmSync(open, { recursive: true, force: true }));
  chmodSync(open, 0o777);
  const locate = async (env: Record<string, string> = {}) => {
    const { pid, stop } = await startEngine(t, folder, { env });
    const engine = (await createProcEngineFinder().find()).find((candidate) => candidate.pid === pid);
    if (engine === undefined) throw new Error('the engine is not found');
    const located = await createPtyDcgmi({ log }).locate(engine);
    await stop();
    return located;
  };
  t.match(await locate({ LD_LIBRARY_PATH: `${folder}/lib` }), { path: join(folder, 'dcgmi') });
  t.match(await locate({ LD_LIBRARY_PATH: `/usr/lib:${open}` }), {
    because: new RegExp(`^${open} \\(owner uid 0, mode 0777\\)`),
  });
  t.match(
    await locate({ LD_LIBRARY_PATH: `${open}/not/there` }),
    { because: new RegExp(`^${open} \\(`) },
    'one that others could make',
  );
  chownSync(join(folder, 'dcgmi'), 65532, 65532);
  t.match(await locate(), { because: /\/dcgmi \(owner uid 65532, mode 0755\) is not trusted/ });
});

t.test('H4 a volume that is mounted writable is not trusted, whoever owns the file', (t) => {
  const mounts = [
    '1 0 0:1 / / rw,relatime - overlay overlay rw',
    '2 1 0:2 / /opt/nvidia/dcgm ro,relatime - ext4 /dev/x rw',
    '3 1 0:2 / /opt/open rw,relatime - ext4 /dev/x rw',
    '4 1 0:2 / /opt/a\\040b rw - ext4 /dev/x rw',
    '5 1 0:2 / /opt/twice ro - ext4 /dev/x rw',
    '6 1 0:2 / /opt/twice rw - ext4 /dev/x rw',
    '',
  ].join('\n');
  const rows: readonly (readonly [path: string, volume: string | undefined])[] = [
    ['/usr/bin/dcgmi', undefined],
    ['/opt/nvidia/dcgm/bin/dcgmi', undefined],
    ['/opt/nvidia/dcgm-of-another/bin/dcgmi', undefined],
    ['/opt/open/bin/dcgmi', '/opt/open'],
    ['/opt/a b/dcgmi', '/opt/a b'],
    ['/opt/twice/dcgmi', '/opt/twice'],
  ];
  for (const [path, volume] of rows) t.equal(writableVolumeIn(mounts, path), volume, path);
  t.end();
});

t.test('H4 an engine’s environment is not that of the agent’s own dcgmi', { skip }, async (t) => {
  const lent = lend(t);
  const seen = join(lent.folder, 'seen');
  writeExecutable(
    join(lent.tree, 'bin/dcgmi'),
    `require('node:fs').writeFileSync(${JSON.stringify(seen)}, JSON.stringify(process.env))`,
  );
  const unshared = spawn('unshare', ['--mount', 'true']);
  const isAble = await new Promise((resolve) => unshared.once('exit', (code) => resolve(code === 0)));
  if (!isAble) return t.pass('no namespaces here');
  const folder = installStub(t, ['nv-hostengine']);
  const stub = await startEngine(t, folder, {
    // Inside, the lent tree is hidden: it is the agent's own only.
    wrapper: ['unshare', '--mount', 'sh', '-c', `mount -t tmpfs none ${lent.tree} && exec "$@"`, 'sh'],
    env: { LD_LIBRARY_PATH: '/opt/of-the-engine' },
  });
  const engine = (await createProcEngineFinder().find()).find(({ pid }) => pid === stub.pid);
  if (engine === undefined) throw new Error('the engine is not found');
  await createPtyDcgmi({ log, dcgmiPath: lent.dcgmi }).run(engine, ['discovery'], { timeoutMs: 300_000 });
  t.notMatch(readFileSync(seen, 'utf8'), /of-the-engine/);
});
