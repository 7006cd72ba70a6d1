import { execFile } from 'node:child_process';
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
import { untrustedFolder } from '../../agent/programs/root-path.ts';
import { untrustedBelow } from '../../agent/programs/trust.ts';
import { chart } from './helm.ts';

const run = promisify(execFile);
const script = join(chart, 'files/offer-dcgmi.sh');

/** A DCGM image as far as the script sees one: a `dcgmi` and an `ldd` that knows its libraries. */
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
  return bin;
}

const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-sidecar-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
chmodSync(folder, 0o755);
const bin = stubImage(folder);
const environment = (offer: string) => ({ PATH: `${bin}:${process.env.PATH}`, OFFER: offer });

/** Root without any capability, as the chart says. */
const asInThePod = ['setpriv', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'];
const isRoot = process.getuid?.() === 0;
const lend = (offer: string) => {
  const [program = '', ...args] = [...(isRoot ? asInThePod : []), 'sh', '-c', readFileSync(script, 'utf8')];
  return run(program, args, { env: environment(offer) });
};

/** As an emptyDir is: everybody may write to it. */
function emptyDir(name: string): string {
  const made = join(folder, name);
  mkdirSync(made);
  chmodSync(made, 0o777);
  return made;
}

t.test(
  'H4 dcgmi is copied with the libraries that are not the agent’s own, and the script ends',
  async (t) => {
    const offer = emptyDir('lent');
    await lend(offer);
    const { stdout } = await run(join(offer, 'bin/dcgmi'), ['discovery', '-l now'], { env: {} });
    t.equal(stdout, `libraries ${offer}/lib, arguments discovery -l now\n`);
    const lent = readdirSync(join(offer, 'lib'));
    for (const name of ['dcgmi', 'libdcgm.so.4', 'libstdc++.so.6']) t.ok(lent.includes(name), name);
    for (const name of ['libc.so.6', 'libm.so.6']) t.notOk(lent.includes(name), name);
  },
);

t.test('H4 the agent trusts what is copied, however the image and the volume were', async (t) => {
  for (const library of readdirSync(folder).filter((name) => name.startsWith('lib')))
    chmodSync(join(folder, library), 0o777);
  const offer = emptyDir('trusted');
  await lend(offer);
  t.equal(await untrustedFolder('/', join(offer, 'bin')), undefined, 'nothing on the way');
  t.equal(await untrustedBelow('/', offer), undefined, 'nor below');
});

t.test('H4 a container that is started again leaves nothing of before', async (t) => {
  const offer = emptyDir('again');
  mkdirSync(join(offer, 'lib'));
  writeFileSync(join(offer, 'lib/libevil.so.1'), '', { mode: 0o777 });
  await lend(offer);
  t.notOk(readdirSync(join(offer, 'lib')).includes('libevil.so.1'));
});

t.test('without dcgmi it fails instead of lending nothing', async (t) => {
  const offer = join(folder, 'none');
  rmSync(join(bin, 'dcgmi'));
  await t.rejects(lend(offer));
  t.notOk(existsSync(offer));
});
