import { execFile, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { until } from '../cluster/processes.ts';
import { chart } from './helm.ts';

const run = promisify(execFile);
const script = join(chart, 'files/offer-dcgmi.sh');

/** A DCGM image as far as the script sees one: a `dcgmi`, an `ldd` that knows its libraries, an engine. */
function stubImage(folder: string): string {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  const program = (name: string, text: string) =>
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program('dcgmi', 'echo "libraries $LD_LIBRARY_PATH, arguments $*"');
  const lines = ['libdcgm.so.4', 'libstdc++.so.6', 'libc.so.6', 'libm.so.6'].map((name) => {
    writeFileSync(join(folder, name), name);
    return `echo "	${name} => ${join(folder, name)} (0x00007f)"`;
  });
  program('ldd', ['echo "	linux-vdso.so.1 (0x00007f)"', ...lines].join('\n'));
  program('nv-hostengine', `echo "engine $*" > ${join(folder, 'engine')}`);
  return bin;
}

const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-sidecar-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
chmodSync(folder, 0o755);
const bin = stubImage(folder);
const environment = (offer: string, more: Record<string, string> = {}) => ({
  PATH: `${bin}:${process.env.PATH}`,
  OFFER: offer,
  ...more,
});

/** Not root, and without any capability, as the chart says. */
const asInThePod = [
  ...['setpriv', '--reuid=65532', '--regid=65532', '--clear-groups', '--no-new-privs'],
  ...['--inh-caps=-all', '--bounding-set=-all', '--'],
];

t.test(
  'the sidecar lends dcgmi with the libraries that are not the agent’s own, until it is ended',
  async (t) => {
    const offer = join(folder, 'lent');
    // As an emptyDir is.
    mkdirSync(offer);
    chmodSync(offer, 0o777);
    const command = ['sh', '-c', readFileSync(script, 'utf8')];
    const [program = '', ...args] = process.getuid?.() === 0 ? [...asInThePod, ...command] : command;
    const sidecar = spawn(program, args, { env: environment(offer), stdio: 'ignore' });
    const ended = new Promise((resolve) => sidecar.once('exit', (code) => resolve(code)));
    await until('dcgmi is lent', async () => existsSync(join(offer, 'bin/dcgmi')));
    const { stdout } = await run(join(offer, 'bin/dcgmi'), ['discovery', '-l now'], { env: {} });
    t.equal(stdout, `libraries ${offer}/lib, arguments discovery -l now\n`);
    const lent = readdirSync(join(offer, 'lib'));
    for (const name of ['dcgmi', 'libdcgm.so.4', 'libstdc++.so.6']) t.ok(lent.includes(name), name);
    for (const name of ['libc.so.6', 'libm.so.6']) t.notOk(lent.includes(name), name);
    sidecar.kill('SIGTERM');
    t.equal(await ended, 0, 'it ends when it is asked to');
  },
);

t.test('it runs an engine only when it is asked for one', async (t) => {
  t.notOk(existsSync(join(folder, 'engine')));
  await run('sh', ['-c', `. ${script}`], { env: environment(join(folder, 'ran'), { ENGINE_PORT: '5557' }) });
  const { stdout } = await run('cat', [join(folder, 'engine')]);
  t.equal(stdout, 'engine -n --bind-interface 127.0.0.1 --port 5557\n');
});

t.test('without dcgmi it fails instead of lending nothing', async (t) => {
  const offer = join(folder, 'none');
  rmSync(join(bin, 'dcgmi'));
  await t.rejects(run('sh', ['-c', `. ${script}`], { env: environment(offer) }));
  t.notOk(existsSync(offer));
});
