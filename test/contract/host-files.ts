import type { Test } from 'tap';
import type { HostFiles } from '../../agent/host-files/port.ts';

export type HostFilesUnderTest = {
  readonly files: HostFiles;
  /** Makes an empty file, with the folders above it. */
  readonly create: (path: string) => void;
  readonly remove: (path: string) => void;
  /** undefined: there is no such file. */
  readonly content: (path: string) => string | undefined;
  /** Somebody else logs a line. */
  readonly log: (path: string, line: string) => Promise<void>;
};

const path = '/var/log/messages';

/** Runs over every adapter of `HostFiles`. */
export async function hostFilesContract(t: Test, make: (t: Test) => HostFilesUnderTest): Promise<void> {
  const under = make(t);
  const { files } = under;

  await t.test('a file that is missing is refused, said how to make, and not made', async (t) => {
    const refused = {
      name: 'Refusal',
      reason: 'log_file_missing',
      details: { value: path, remedy: /touch/ },
    };
    await t.rejects(files.assertAppendable(path), refused);
    await t.rejects(files.append(path, 'a'), refused);
    t.equal(under.content(path), undefined);
  });

  await t.test('whether something stands at a path can be asked', async (t) => {
    t.match(await files.whyMissing(path), /ENOENT.*no such file/);
    under.create(path);
    t.equal(await files.whyMissing(path), undefined);
    under.remove(path);
  });

  await t.test('lines are appended, each read back where it stands', async (t) => {
    under.create(path);
    await files.assertAppendable(path);
    t.equal(under.content(path), '', 'looking writes nothing');
    t.same(await files.append(path, 'first'), { path, offset: 0, line: 'first' });
    await under.log(path, 'of somebody else');
    t.same(await files.append(path, ' a;b "c" \\x41 '), { path, offset: 23, line: ' a;b "c" \\x41 ' });
    t.equal(under.content(path), 'first\nof somebody else\n a;b "c" \\x41 \n');
  });

  await t.test('lines at the same time do not mix', async (t) => {
    const start = under.content(path)?.length ?? 0;
    const lines = Array.from({ length: 40 }, (_, number) => `line ${number} ${'x'.repeat(800)}`);
    const offsets = await Promise.all(lines.map(async (line) => (await files.append(path, line)).offset));
    const content = under.content(path) ?? '';
    for (const [number, line] of lines.entries()) {
      const offset = offsets[number] ?? 0;
      t.equal(content.slice(offset, offset + line.length + 1), `${line}\n`);
    }
    t.equal(content.length, start + lines.join('\n').length + 1);
  });

  await t.test('a file that went away is missing', async (t) => {
    under.remove(path);
    await t.rejects(files.append(path, 'a'), { name: 'Refusal', reason: 'log_file_missing' });
    t.equal(under.content(path), undefined);
  });
}
