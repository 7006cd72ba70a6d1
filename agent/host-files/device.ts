import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageFromUnknown, type Refusal } from '../../shared/errors.ts';
import type { HostFiles } from './port.ts';
import { fileMissing, fileUnusable, notReadBack } from './refusals.ts';

const { O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/** No O_CREAT: an empty file in place of a missing log would look like a node that logs nothing. */
const appending = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK;

/**
 * The files below `root`, which is the host's root as the agent sees it (`/proc/1/root` with the host's process ids).
 * Synchronous from the write to the read-back, so that orders cannot come between one another.
 */
export function createHostFiles(options: { readonly root: string }): HostFiles {
  return {
    async assertAppendable(path) {
      closeSync(openAppending(options.root, path));
    },
    async append(path, line) {
      const file = openAppending(options.root, path);
      try {
        return { path, ...appendLine(file, path, line) };
      } finally {
        closeSync(file);
      }
    },
    async whyMissing(path) {
      try {
        lstatSync(join(options.root, path));
        return undefined;
      } catch (thrown) {
        return messageFromUnknown(thrown);
      }
    },
  };
}

/**
 * Walks down one directory at a time and follows no link on the way: a link below another root would be followed from
 * the agent's own, so it could lead anywhere. Node has no openat(2); an open directory under /proc/self/fd is the same.
 */
function openAppending(root: string, path: string): number {
  const names = path.split('/').filter(Boolean);
  const last = names.pop() ?? '';
  let folder = attempt(path, root, () => openSync(root, O_RDONLY | O_DIRECTORY));
  let walked = '';
  try {
    for (const name of names) {
      walked += `/${name}`;
      const next = attempt(path, walked, () => openBelow(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      closeSync(folder);
      folder = next;
    }
    const file = attempt(path, path, () => openBelow(folder, last, appending));
    if (fstatSync(file).isFile()) return file;
    closeSync(file);
    throw fileUnusable(path, 'it is no regular file');
  } finally {
    closeSync(folder);
  }
}

function openBelow(folder: number, name: string, flags: number): number {
  if (name === '..') throw new Error('a path of a log file does not go up');
  return openSync(`/proc/self/fd/${folder}/${name}`, flags);
}

const causes: Readonly<Record<string, string>> = {
  ELOOP: 'is a symbolic link',
  ENOTDIR: 'is a symbolic link or no directory',
  EISDIR: 'is a directory',
  ENXIO: 'is a pipe or a device',
};

function attempt(path: string, at: string, open: () => number): number {
  try {
    return open();
  } catch (thrown) {
    throw refusalFor(path, at, thrown);
  }
}

function refusalFor(path: string, at: string, thrown: unknown): Refusal {
  const code = (thrown as NodeJS.ErrnoException).code ?? '';
  if (code === 'ENOENT') return fileMissing(path, at);
  return fileUnusable(
    path,
    `${at} ${causes[code] ?? `cannot be opened: ${messageFromUnknown(thrown)}`}`,
    thrown,
  );
}

function appendLine(file: number, path: string, line: string): { offset: number; line: string } {
  const reader = openSync(`/proc/self/fd/${file}`, O_RDONLY);
  try {
    // Behind half a line of somebody else's, ours would be no line of its own.
    const start = endsInLine(reader) ? '' : '\n';
    const bytes = Buffer.from(`${start}${line}\n`, 'latin1');
    const written = writeAll(file, path, bytes);
    const offset = positionOf(file) - written;
    const seen = Buffer.alloc(bytes.length);
    const length = readSync(reader, seen, 0, seen.length, offset);
    if (length === bytes.length && seen.equals(bytes)) return { offset: offset + start.length, line };
    throw notReadBack(path, `${length} of ${bytes.length} bytes are there, or others`);
  } finally {
    closeSync(reader);
  }
}

function writeAll(file: number, path: string, bytes: Buffer): number {
  let written: number;
  try {
    written = writeSync(file, bytes);
  } catch (thrown) {
    throw fileUnusable(path, `the write failed: ${messageFromUnknown(thrown)}`, thrown);
  }
  if (written !== bytes.length) throw notReadBack(path, `${written} of ${bytes.length} bytes were taken`);
  return written;
}

function endsInLine(reader: number): boolean {
  const { size } = fstatSync(reader);
  const last = Buffer.alloc(1);
  return size === 0 || (readSync(reader, last, 0, 1, size - 1) === 1 && last.toString() === '\n');
}

/** After an appending write it is the end of what was written, whoever else appends (write(2)); Node has no lseek. */
function positionOf(file: number): number {
  return Number(/^pos:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${file}`, 'utf8'))?.[1]);
}
