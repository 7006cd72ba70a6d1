import { constants } from 'node:fs';
import { access, lstat, readlink, stat } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { messageFromUnknown } from '../../shared/errors.ts';
import { type Untrusted, untrusted } from './trust.ts';

/** As many as the kernel follows (MAXSYMLINKS). */
const mostLinks = 40;

/** A program inside another process's root, after all links were followed. */
export type ProgramFile = {
  /** Below that root, without links: a link through /proc could lead into another container when it is followed. */
  readonly path: string;
  /** The first of the folders and links on the way, or the file itself, that others can change; undefined: none. */
  readonly untrusted: Untrusted | undefined;
};

/**
 * Looks for an executable file at `path` as a process with the root directory `root` (such as /proc/7/root) would
 * find it. The links are followed here: the kernel would follow an absolute one from the agent's own root.
 */
export async function findProgram(root: string, path: string): Promise<ProgramFile | undefined> {
  try {
    const found = await resolveInRoot(root, path);
    const outside = join(root, found.path);
    if (!(await stat(outside)).isFile()) return undefined;
    await access(outside, constants.X_OK);
    return found;
  } catch {
    // Not there, not reachable, not executable: for the caller it is all "not here".
    return undefined;
  }
}

/** A regular file at `path` below `root`, found in the same way; `because`: why there is none, for people. */
export async function findFile(
  root: string,
  path: string,
): Promise<ProgramFile | { readonly because: string }> {
  try {
    const found = await resolveInRoot(root, path);
    if ((await lstat(join(root, found.path))).isFile()) return found;
    return { because: `${path} is no regular file` };
  } catch (thrown) {
    return { because: `${path}: ${(thrown as NodeJS.ErrnoException).code ?? messageFromUnknown(thrown)}` };
  }
}

/** Whether others can change a folder, or what is on the way to it; where it does not exist, whether they can make it. */
export async function untrustedFolder(root: string, path: string): Promise<Untrusted | undefined> {
  const seen: Untrusted[] = [];
  try {
    return (await resolveInRoot(root, path, (found) => seen.push(found))).untrusted;
  } catch {
    return seen[0];
  }
}

async function resolveInRoot(
  root: string,
  path: string,
  onUntrusted: (found: Untrusted) => void = () => undefined,
): Promise<ProgramFile> {
  let todo = posix.normalize(path).split('/').filter(Boolean);
  let done = '/';
  let first: Untrusted | undefined;
  const look = async (at: string) => {
    const facts = at === '/' ? await stat(root) : await lstat(join(root, at));
    const found = untrusted(at, facts);
    if (found !== undefined) onUntrusted(found);
    first ??= found;
    return facts;
  };
  await look('/');
  for (let links = 0; todo.length > 0; ) {
    const [name = '', ...rest] = todo;
    const next = name === '..' ? dirname(done) : posix.join(done, name);
    if ((await look(next)).isSymbolicLink()) {
      links += 1;
      if (links > mostLinks) throw new Error(`${path}: too many links`);
      const target = await readlink(join(root, next));
      if (target.startsWith('/')) done = '/';
      todo = [...target.split('/').filter((part) => part !== '' && part !== '.'), ...rest];
    } else {
      done = next;
      todo = rest;
    }
  }
  return { path: done, untrusted: first };
}
