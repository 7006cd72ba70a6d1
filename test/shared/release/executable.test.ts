import { execFile } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { Refusal } from '../../../shared/errors.ts';
import { withNote } from '../../../shared/release/elf-note.ts';
import { buildExecutable } from '../../../shared/release/executable.ts';
import { version } from '../../../shared/version.ts';
import { startServe } from '../../stories/served.ts';

const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-release-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

t.test(
  'a program with one more note runs as before, also at an address of the kernel’s choice',
  async (t) => {
    const file = join(folder, 'sh');
    writeFileSync(file, withNote(readFileSync('/bin/sh'), 'A_NOTE', Buffer.from('what it holds')));
    chmodSync(file, 0o755);
    const { stdout } = await promisify(execFile)(file, [
      '-c',
      'name=world; echo "hello $name"; (echo child)',
    ]);
    t.equal(stdout, 'hello world\nchild\n');
    t.match(readFileSync(file).toString('latin1'), 'A_NOTE\0\0what it holds');
  },
);

t.test('what is no program, or has no place for a note, is refused', async (t) => {
  const none = readFileSync('/bin/sh');
  const [start, count] = [Number(none.readBigUInt64LE(0x20)), none.readUInt16LE(0x38)];
  for (let index = 0; index < count; index += 1)
    if (none.readUInt32LE(start + index * 56) === 4) none.writeUInt32LE(0, start + index * 56);
  for (const [bytes, because] of [
    [Buffer.from('#!/bin/sh\n'), /no 64-bit/],
    [Buffer.alloc(100), /no 64-bit/],
    [none, /no segment of notes/],
  ] as const)
    t.throws(() => withNote(bytes, 'A', Buffer.from('b')), { name: 'Refusal', message: because });
});

t.test('the command line as one executable needs no Node', async (t) => {
  const file = join(folder, 'xidrill');
  const [served, unsuitable] = await Promise.all([
    startServe(t, ['--speed', '60']),
    buildExecutable(file).then(
      () => undefined,
      (thrown: unknown) => {
        if (thrown instanceof Refusal) return thrown.message;
        throw thrown;
      },
    ),
  ]);
  // Such as a Node that a distribution built with its library apart.
  if (unsuitable !== undefined) return t.pass('', { skip: unsuitable });
  // As Krew and people put it there; an empty PATH has no node.
  const plugin = join(folder, 'kubectl-xidrill');
  symlinkSync(file, plugin);
  const run = (program: string, ...args: readonly string[]) =>
    new Promise<{ readonly code: number; readonly out: string; readonly err: string }>((resolve) => {
      execFile(program, args, { cwd: '/', env: { PATH: '/nowhere' } }, (thrown, out, err) =>
        resolve({ code: thrown === null ? 0 : Number(thrown.code), out, err }),
      );
    });
  t.strictSame(await run(file, '--version'), { code: 0, out: `xidrill ${version}\n`, err: '' });
  t.match(await run(file, 'why', 'dcgmi test --inject --gpuid 0 -f 150 -v 48'), {
    code: 1,
    out: /field-is-another-quantity/,
    err: '',
  });
  t.match(await run(file, 'doctor', '--kubeconfig', served.kubeconfig), {
    code: 1,
    out: /arm64-gate/,
    err: '',
  });
  t.match(
    await run(file, 'drill', 'task-blocked', '--kubeconfig', served.kubeconfig, '--node', 'cpu-1', '--wait'),
    {
      code: 0,
      out: /✓ pass/,
    },
  );
  t.match(await run(file, 'report', '--schema'), { code: 0, out: /"\$schema"/ });
  t.match(await run(file, 'list', '--help'), { out: /^usage: xidrill list/ });
  t.match(await run(plugin, 'list', '--help'), { out: /^usage: kubectl xidrill list/ });
  t.match(await run(plugin, 'lst'), { code: 2, err: /^kubectl xidrill: there is no command "lst"/ });
});
