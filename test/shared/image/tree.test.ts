import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { nodeEnvironment, nodeFlags } from '../../../shared/bundle.ts';
import { assembleTree, ownPlatform, platforms } from '../../../shared/image/tree.ts';
import { version } from '../../../shared/version.ts';
import { assertAgentRuns } from '../../bench/bundled-agent.ts';
import { root } from '../../suite.ts';

const run = promisify(execFile);
const platform = ownPlatform ?? '';
const mebibyte = 2 ** 20;

/** No node_modules is above it, so that what runs here runs in an image. */
const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-tree-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const made = {
  agent: await assembleTree({ program: 'agent', folder: join(folder, 'made', 'agent'), platform }),
  coordinator: await assembleTree({
    program: 'coordinator',
    folder: join(folder, 'made', 'coordinator'),
    platform,
  }),
};
const copied = join(folder, 'copied');
cpSync(join(folder, 'made'), copied, { recursive: true });
rmSync(join(folder, 'made'), { recursive: true });

t.test('a tree holds what its program needs and nothing else', async (t) => {
  const texts = ['LICENSE', 'THIRD-PARTY-NOTICES.txt'];
  t.strictSame(made.coordinator.files, [
    ...texts,
    'bin/xidrill',
    'coordinator.mjs',
    'package.json',
    'sbom.cdx.json',
    'xidrill.mjs',
  ]);
  t.strictSame(made.agent.files, [
    ...texts,
    'agent.mjs',
    `node_modules/@lydell/node-pty-linux-${process.arch}/package.json`,
    `node_modules/@lydell/node-pty-linux-${process.arch}/pty.node`,
    `node_modules/@yuuang/ffi-rs-linux-${process.arch}-gnu/ffi-rs.linux-${process.arch}-gnu.node`,
    `node_modules/@yuuang/ffi-rs-linux-${process.arch}-gnu/package.json`,
    'nvml-child.mjs',
    'package.json',
    'sbom.cdx.json',
  ]);
  for (const [program, limit] of [
    ['agent', 8],
    ['coordinator', 12],
  ] as const) {
    const { bytes } = made[program];
    t.comment(`${program}: ${(bytes / mebibyte).toFixed(2)} MiB`);
    t.ok(bytes < limit * 1e6, `${program}: ${bytes} bytes, below ${limit} MB`);
    const manifest = JSON.parse(readFileSync(join(copied, program, 'package.json'), 'utf8')) as object;
    t.match(manifest, { name: `xidrill-${program}`, version, license: 'Apache-2.0', type: 'module' });
    t.notOk('dependencies' in manifest || 'scripts' in manifest, 'nothing is installed from it');
  }
});

t.test('the licences of all that was bundled are there, with their texts', async (t) => {
  const notices = (program: string) => readFileSync(join(copied, program, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
  t.match(notices('agent'), /^fastify \d[\d.]+, MIT\n\nMIT License/m);
  t.match(notices('agent'), /^@lydell\/node-pty \d[\d.]+, MIT\n\nCopyright/m);
  t.match(notices('agent'), /^ffi-rs \d[\d.]+, MIT\n\n/m);
  t.match(notices('coordinator'), /^@kubernetes\/client-node \d[\d.]+, Apache-2.0\n\n\s*Apache License/m);
  t.notMatch(notices('coordinator'), /^ffi-rs /m);
  t.notMatch(notices('agent') + notices('coordinator'), /no licence named/);
  t.match(readFileSync(join(copied, 'agent', 'LICENSE'), 'utf8'), /Apache License/);
});

t.test('the agent runs from its tree alone', async (t) => {
  await assertAgentRuns(t, join(copied, 'agent', 'agent.mjs'), join(folder, 'state'));
});

t.test('the coordinator runs from its tree alone, until it says what it lacks', async (t) => {
  const start = (...args: string[]) =>
    run(
      process.execPath,
      [...nodeFlags.coordinator, join(copied, 'coordinator', 'coordinator.mjs'), ...args],
      {
        cwd: '/',
        env: { ...nodeEnvironment },
      },
    );
  const help = await start('--help');
  t.match(help.stderr, /usage: xidrill-coordinator \[options\][\s\S]*--agent-token-file FILE/);
  await t.rejects(start(), {
    code: 4,
    stderr: /KUBERNETES_SERVICE_HOST is not set[\s\S]*give --kubeconfig FILE/,
  });
  await t.rejects(start('--listen', '0.0.0.0:0'), { code: 2, stderr: /give --token-file/ });
});

t.test('the image of the coordinator has the command line, for a step of a pipeline', async (t) => {
  // As in the image: by its name on PATH, with the node that is there.
  const path = [join(copied, 'coordinator', 'bin'), dirname(process.execPath), '/usr/bin:/bin'].join(':');
  const xidrill = (...args: string[]) => run('xidrill', args, { cwd: '/', env: { PATH: path } });
  t.equal((await xidrill('--version')).stdout, `xidrill ${version}\n`);
  t.match((await xidrill('faults', '-o', 'name')).stdout, /^xid\n/);
  await t.rejects(xidrill('why', 'dcgmi test --inject --gpuid 0 -f 150 -v 48'), {
    code: 1,
    stdout: /field-is-another-quantity/,
  });
  // kubectl starts a plugin by its name on PATH, here a link.
  symlinkSync(join(copied, 'coordinator', 'xidrill.mjs'), join(folder, 'kubectl-xidrill'));
  const plugin = await run(join(folder, 'kubectl-xidrill'), ['list', '--help'], {
    cwd: '/',
    env: { PATH: path },
  });
  t.match(plugin.stdout, /^usage: kubectl xidrill list/);
  // What takes its time is loaded by the command that needs it, and not to print a version.
  const atExit = `process.on("exit", () => process.stderr.write(JSON.stringify(process.moduleLoadList)))`;
  const importing = `--import=data:text/javascript,${encodeURIComponent(atExit)}`;
  // Behind a shell: tap gives options to every Node that it starts, and its loader loads these modules itself.
  const command = 'unset NODE_OPTIONS; exec "$0" "$@"';
  const bundle = join(copied, 'coordinator', 'xidrill.mjs');
  const { stderr } = await run('sh', ['-c', command, process.execPath, importing, bundle, '--version']);
  const loaded = JSON.parse(stderr) as string[];
  t.ok(loaded.includes('NativeModule fs'), 'the list is there');
  // Not net: to Node a pipe for its output is a socket.
  t.strictSame(
    loaded.filter((name) => /^NativeModule (http|https|http2|tls|crypto|child_process)$/.test(name)),
    [],
  );
  t.ok(statSync(join(copied, 'coordinator', 'xidrill.mjs')).size < 3e6, 'the bundle is below 3 MB');
});

t.test('a tree for another machine has its compiled code', async (t) => {
  const other = platforms.find((name) => name !== platform) ?? '';
  const tree = await assembleTree({ program: 'agent', folder: join(folder, 'other'), platform: other });
  const native = tree.files.filter((file) => file.endsWith('.node'));
  t.equal(native.length, 2);
  const machines = { 'linux/amd64': 0x3e, 'linux/arm64': 0xb7 };
  for (const file of native) {
    // e_machine of the ELF header
    const machine = readFileSync(join(folder, 'other', file)).readUInt16LE(18);
    t.equal(machine, machines[other as keyof typeof machines], `${file} is for ${other}`);
  }
});

t.test('what cannot be assembled is refused, and nothing is written', async (t) => {
  const used = join(folder, 'used');
  cpSync(join(copied, 'coordinator'), used, { recursive: true });
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const fresh = join(folder, 'fresh');
  const rows = [
    [
      { program: 'agnet', folder: fresh, platform },
      'malformed_request',
      { field: 'program', value: 'agnet' },
    ],
    [{ program: 'toString', folder: fresh, platform }, 'malformed_request', { field: 'program' }],
    [
      { program: 'agent', folder: fresh, platform: 'linux/riscv64' },
      'malformed_request',
      { field: '--platform', allowed: ['linux/amd64', 'linux/arm64'] },
    ],
    [{ program: 'agent', folder: used, platform }, 'folder_not_empty', { field: 'DIR', value: used }],
    [{ program: 'agent', folder: file, platform }, 'folder_not_empty', { field: 'DIR', value: file }],
  ] as const;
  for (const [asked, reason, details] of rows) {
    const refusal = await assembleTree(asked).catch((thrown: unknown) => thrown);
    t.match(refusal, { name: 'Refusal', reason, details: { ...details, remedy: String } });
  }
  t.notOk(readdirSync(folder).includes('fresh'));
  t.strictSame(readdirSync(used), readdirSync(join(copied, 'coordinator')));
});

t.test('npm run image:tree says what it refuses, with an exit code', async (t) => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const [, launcher = '', program = ''] = manifest.scripts['image:tree']?.split(' ') ?? [];
  const start = (...args: string[]) =>
    run(process.execPath, [join(root, launcher), program, ...args], { cwd: root });
  const usage = /agent\|coordinator DIR/;
  await t.rejects(start(), { code: 2, stderr: usage });
  await t.rejects(start('agent', 'a', 'b'), { code: 2, stderr: usage });
  await t.rejects(start('agent', 'a', '--platfrom', 'x'), { code: 2, stderr: /--platfrom/ });
  await t.rejects(start('agent', folder), { code: 4, stderr: /folder_not_empty.*\n {2}name another/ });
  const { stdout } = await start('coordinator', join(folder, 'printed'));
  t.match(JSON.parse(stdout), { program: 'coordinator', platform, bytes: Number });
});
