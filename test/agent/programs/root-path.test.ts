import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { findProgram } from '../../../agent/programs/root-path.ts';

t.test('a program is looked for as a process below another root would', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'xidrill-root-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  for (const folder of ['usr/bin', 'etc/alternatives', 'opt'])
    mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'opt/dcgmi-4'), '');
  chmodSync(join(root, 'opt/dcgmi-4'), 0o775);
  writeFileSync(join(root, 'opt/plain'), '');
  symlinkSync('usr/bin', join(root, 'bin'));
  symlinkSync('/etc/alternatives/dcgmi', join(root, 'usr/bin/dcgmi'));
  symlinkSync('../../opt/dcgmi-4', join(root, 'etc/alternatives/dcgmi'));
  symlinkSync('../../../../../../etc/hostname', join(root, 'opt/escape'));
  symlinkSync('loop', join(root, 'opt/loop'));
  symlinkSync('/bin/sh', join(root, 'opt/outside'));

  t.match(await findProgram(root, '/bin/dcgmi'), {
    path: '/opt/dcgmi-4',
    untrusted: { path: '/opt/dcgmi-4', mode: '0775' },
  });
  for (const path of ['/opt/plain', '/opt', '/opt/absent', '/opt/escape', '/opt/loop', '/opt/outside']) {
    t.equal(await findProgram(root, path), undefined, path);
  }
});
