import { constants, type Dirent } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { messageFromUnknown } from '../../shared/errors.ts';
import { bundleFile, isTelling, keptLines, longestWhole } from '../why/bundle.ts';
import type { WhyAnswer } from '../why/finding.ts';
import { type Input, longestText } from '../why/why.ts';
import { longestLine } from '../why/words.ts';

/** A file of a folder: whether it was read, and how, or why not. */
type FolderFile = NonNullable<WhyAnswer['files']>[number];

/** A bundle of EKS’s collector has about 300 files, up to 7 folders deep. */
const most = { entries: 5000, depth: 10, logBytes: 64 * 1024 * 1024 } as const;

/** Whether that is a path of a folder that there is: a pasted text is none. */
export async function isFolder(path: string): Promise<boolean> {
  if (path.length > 4096 || path.includes('\n') || !(path.includes('/') || path === '.')) return false;
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * Reads a folder with logs, such as a bundle of `kubectl ekslogs`: the known files, and of logs the lines that say something. Links
 * are not followed: what they lead to stands under its own name, or is not of the folder. Throws where the folder cannot be read.
 */
export async function readFolder(
  folder: string,
): Promise<{ readonly inputs: readonly Input[]; readonly files: readonly FolderFile[] }> {
  const root = await rootOf(await realpath(folder));
  const inputs: Input[] = [];
  const files: FolderFile[] = [];
  let left = longestText / 2;
  for (const { path, entry } of await entriesOf(root)) {
    const file = path.split(sep).join('/');
    if (entry === undefined) files.push({ file, read: false, because: `more than ${most.entries} files` });
    else if (entry.isSymbolicLink())
      files.push({ file, read: false, because: 'it is a link, and links are not followed' });
    else if (!entry.isFile()) files.push({ file, read: false, because: 'it is no file' });
    else {
      const { input, because, read } = await readOne(join(root, path), file);
      const isTooMuch = (input?.text.length ?? 0) > left;
      files.push(
        isTooMuch ? { file, read: false, because: 'too much was read before it' } : { file, read, because },
      );
      if (input === undefined || isTooMuch) continue;
      inputs.push(input);
      left -= input.text.length + 1;
    }
  }
  return { inputs, files };
}

/** The archive has a folder of its own name within: `eks_i-0abc_…/`. */
async function rootOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  const [only] = entries;
  const isArchive =
    entries.length === 1 &&
    only?.isDirectory() === true &&
    !/^(?:kernel|var_log|kubelet|gpu|system)$/.test(only.name);
  return isArchive ? join(folder, only.name) : folder;
}

type Entry = { readonly path: string; readonly entry: Dirent | undefined };

/** In the order of their names; the one without an entry says that there are more. */
async function entriesOf(root: string): Promise<readonly Entry[]> {
  const found: Entry[] = [];
  async function walk(folder: string, depth: number): Promise<void> {
    const entries = await readdir(folder, { withFileTypes: true });
    for (const entry of entries.toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
      const path = relative(root, join(folder, entry.name));
      if (found.length >= most.entries) {
        if (found.at(-1)?.entry !== undefined) found.push({ path, entry: undefined });
        return;
      }
      if (entry.isDirectory() && depth < most.depth) await walk(join(folder, entry.name), depth + 1);
      else found.push({ path, entry });
    }
  }
  await walk(root, 0);
  return found;
}

async function readOne(
  path: string,
  file: string,
): Promise<{ readonly input?: Input; readonly read: boolean; readonly because: string }> {
  const how = bundleFile(file);
  if ('because' in how) return { read: false, because: how.because };
  try {
    // Neither a link that came in the meantime, nor a wait for a writer.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { size } = await handle.stat();
      if (how.as === 'log') {
        const lines = handle.readLines({ encoding: 'utf8', end: most.logBytes - 1, autoClose: false });
        return await logOf(file, lines, size > most.logBytes);
      }
      if (size > longestWhole)
        return { read: false, because: `it has ${size} bytes, at most ${longestWhole} are read` };
      const text = await handle.readFile('utf8');
      if (how.as === 'text') return { input: { name: file, text }, read: true, because: 'whole' };
      // For --live, which looks for the node of it; as a comment it is nothing to explain.
      const id = /\bi-[0-9a-f]{8,17}\b/.exec(text)?.[0] ?? '';
      return { input: { name: file, text: `# ${id}` }, read: true, because: `instance ${id}` };
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    return { read: false, because: messageFromUnknown(thrown) };
  }
}

async function logOf(file: string, lines: AsyncIterable<string>, isCut: boolean) {
  const first: { readonly line: number; readonly text: string }[] = [];
  let last: { readonly line: number; readonly text: string }[] = [];
  let count = 0;
  let telling = 0;
  for await (const text of lines) {
    count += 1;
    if (!isTelling(text)) continue;
    telling += 1;
    if (first.length < keptLines / 2) first.push({ line: count, text });
    else last = [...last.slice(-(keptLines / 2 - 1)), { line: count, text }];
  }
  const kept = [...first, ...last];
  const left = telling - kept.length;
  const because = [
    `${telling} of ${count} lines say something about the chain`,
    ...(left > 0 ? [`${left} in the middle were left out`] : []),
    ...(isCut ? [`what is behind the first ${most.logBytes} bytes was not read`] : []),
  ].join(', ');
  const input = {
    name: file,
    // More of a line is not looked at anyway.
    text: kept.map(({ text }) => text.slice(0, longestLine)).join('\n'),
    lines: kept.map(({ line }) => line),
  };
  return { ...(kept.length === 0 ? {} : { input }), read: true, because };
}
