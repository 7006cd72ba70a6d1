import { constants } from 'node:fs';
import { access, lstat, readlink, stat } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';

/** As many as the kernel follows (MAXSYMLINKS). */
const mostLinks = 40;

/** A program inside another process's root, after all links were followed. */
export type ProgramFile = {
  /** Below that root, without links: a link through /proc could lead into another container when it is followed. */
  readonly path: string;
  readonly ownerUid: number;
  /** Whether somebody else than its owner may write to it. */
  readonly writableByOthers: boolean;
};

/**
 * Looks for an executable file at `path` as a process with the root directory `root` (such as /proc/7/root) would
 * find it. The links are followed here: the kernel would follow an absolute one from the agent's own root.
 */
export async function findProgram(root: string, path: string): Promise<ProgramFile | undefined> {
  try {
    const resolved = await resolveInRoot(root, path);
    const outside = join(root, resolved);
    const facts = await stat(outside);
    if (!facts.isFile()) return undefined;
    await access(outside, constants.X_OK);
    return { path: resolved, ownerUid: facts.uid, writableByOthers: (facts.mode & 0o022) !== 0 };
  } catch {
    // Not there, not reachable, not executable: for the caller it is all "not here".
    return undefined;
  }
}

async function resolveInRoot(root: string, path: string): Promise<string> {
  let todo = posix.normalize(path).split('/').filter(Boolean);
  let done = '/';
  for (let links = 0; todo.length > 0; ) {
    const [name = '', ...rest] = todo;
    const next = name === '..' ? dirname(done) : posix.join(done, name);
    const isLink = (await lstat(join(root, next))).isSymbolicLink();
    if (isLink) {
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
  return done;
}
