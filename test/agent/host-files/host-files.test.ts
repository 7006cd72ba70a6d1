import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { createHostFiles } from '../../../agent/host-files/device.ts';
import { createFakeHostFiles } from '../../../agent/host-files/fake.ts';
import { hostFilesContract } from '../../contract/host-files.ts';
import { temporaryFolder } from '../rig.ts';

t.test('the contract, on the fake', (t) =>
  hostFilesContract(t, () => {
    const files = createFakeHostFiles();
    const log = async (path: string, line: string) => void (await files.append(path, line));
    return { ...files, files, log };
  }),
);

t.test('the contract, on real files', (t) =>
  hostFilesContract(t, (t) => {
    const root = temporaryFolder(t);
    const at = (path: string) => join(root, path);
    return {
      files: createHostFiles({ root }),
      create(path) {
        mkdirSync(dirname(at(path)), { recursive: true });
        writeFileSync(at(path), '');
      },
      remove: (path) => rmSync(at(path)),
      content: (path) => (existsSync(at(path)) ? readFileSync(at(path), 'utf8') : undefined),
      log: async (path, line) => appendFileSync(at(path), `${line}\n`),
    };
  }),
);

t.test('nothing but a regular file, and no way out of the root', async (t) => {
  const folder = temporaryFolder(t);
  const root = join(folder, 'root');
  const outside = join(folder, 'outside');
  for (const path of [join(root, 'var/log'), join(root, 'var/log/a-folder'), outside])
    mkdirSync(path, { recursive: true });
  writeFileSync(join(outside, 'file'), 'untouched');
  writeFileSync(join(root, 'var/log/file'), 'untouched');
  const link = (target: string, path: string) => symlinkSync(target, join(root, path));
  link('../../../outside/file', 'var/log/relative');
  link(join(outside, 'file'), 'var/log/absolute');
  link('file', 'var/log/inside');
  link('nowhere', 'var/log/dangling');
  link(outside, 'var/outside');
  link('log', 'var/logs');
  execFileSync('/usr/bin/mkfifo', [join(root, 'var/log/pipe')]);
  const files = createHostFiles({ root });
  const rows = [
    ['/var/log/relative', 'log_file_unusable', /relative is a symbolic link/],
    ['/var/log/absolute', 'log_file_unusable', /absolute is a symbolic link/],
    ['/var/log/inside', 'log_file_unusable', /inside is a symbolic link/],
    ['/var/log/dangling', 'log_file_unusable', /dangling is a symbolic link/],
    ['/var/outside/file', 'log_file_unusable', /\/var\/outside is a symbolic link/],
    ['/var/logs/file', 'log_file_unusable', /\/var\/logs is a symbolic link/],
    ['/var/log/../../../outside/file', 'log_file_unusable', /does not go up/],
    ['/var/log/a-folder', 'log_file_unusable', /is a directory/],
    ['/var/log/pipe', 'log_file_unusable', /is a pipe/],
    ['/var/log/file/file', 'log_file_unusable', /no directory/],
    ['/var/nowhere/file', 'log_file_missing', /no \/var\/nowhere, so no/],
    ['/var/log/nothing', 'log_file_missing', /no \/var\/log\/nothing/],
  ] as const;
  for (const [path, reason, message] of rows) {
    for (const attempt of [
      () => files.assertAppendable(path),
      async () => void (await files.append(path, 'a')),
    ]) {
      await t.rejects(attempt, { name: 'Refusal', reason, message }, path);
    }
  }
  for (const file of [join(outside, 'file'), join(root, 'var/log/file')]) {
    t.equal(readFileSync(file, 'utf8'), 'untouched');
  }
  t.equal(existsSync(join(root, 'var/log/nowhere')), false);
  await t.rejects(createHostFiles({ root: join(folder, 'none') }).append('/a', 'a'), {
    name: 'Refusal',
    reason: 'log_file_missing',
  });
});

t.test('a line stands on a line of its own, behind half a line too', async (t) => {
  const root = temporaryFolder(t);
  writeFileSync(join(root, 'file'), 'half a line', { mode: 0o640 });
  const files = createHostFiles({ root });
  t.same(await files.append('/file', 'ours'), { path: '/file', offset: 12, line: 'ours' });
  t.equal(readFileSync(join(root, 'file'), 'utf8'), 'half a line\nours\n');
  t.equal(statSync(join(root, 'file')).mode & 0o777, 0o640, 'its rights are as they were');
});

t.test('a device is no log file', async (t) => {
  const files = createHostFiles({ root: '/dev' });
  await t.rejects(files.append('/null', 'a'), { name: 'Refusal', reason: 'log_file_unusable' });
});
