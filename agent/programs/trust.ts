import type { Stats } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';

/**
 * A file or folder that others than root (or than us) can change. What is run with the rights of the agent, and whatever that
 * loads, lies only where nobody else can put something in its place.
 */
export type Untrusted = {
  /** As the process sees it that the file belongs to. */
  readonly path: string;
  readonly ownerUid: number;
  /** Permission bits in octal, such as 0777. */
  readonly mode: string;
  /** What is wrong with it, for people. */
  readonly because: string;
};

/** Others may make files in it, but neither rename nor remove those of somebody else (inode(7), the sticky bit). */
const sticky = 0o1000;
const writableByOthers = 0o022;

/** undefined: it belongs to root or to us, and nobody else may write to it. */
export function untrusted(path: string, facts: Pick<Stats, 'uid' | 'mode'>): Untrusted | undefined {
  const { uid, mode } = facts;
  const found = lookOf(path, facts);
  if (uid !== 0 && uid !== process.geteuid?.()) return { ...found, because: `it belongs to uid ${uid}` };
  // The mode of a link says nothing (symlink(7)).
  const isLink = (mode & 0o170000) === 0o120000;
  if (isLink || (mode & writableByOthers) === 0 || (mode & sticky) !== 0) return undefined;
  return { ...found, because: 'others than its owner may write to it' };
}

/** As a refusal has it. */
export function renderUntrusted({ path, ownerUid, mode, because }: Untrusted): string {
  return `${path} (owner uid ${ownerUid}, mode ${mode}) is not trusted: ${because}, and it would be used with the rights of the agent`;
}

/** What makes a program usable that is not trusted. */
export function untrustedRemedy({ path }: Pick<Untrusted, 'path'>): string {
  return `have ${path} belong to root and be writable by nobody else (chown root, chmod go-w), or give the agent --dcgmi PATH with one that is`;
}

/** More than dcgmi and all of its libraries. */
const mostEntries = 1000;

/**
 * The first entry below a folder of the root directory `root` that is not trusted: a library there is loaded by the program that
 * is run. A link has to stay in the folder. undefined: all are.
 */
export async function untrustedBelow(root: string, folder: string): Promise<Untrusted | undefined> {
  const entries = await readdir(join(root, folder), { recursive: true });
  const because = `it has ${entries.length} entries, and no more than ${mostEntries} are looked at`;
  if (entries.length > mostEntries) return { ...lookOf(folder, await lstat(join(root, folder))), because };
  for (const entry of entries) {
    const path = posix.join(folder, entry);
    const facts = await lstat(join(root, path));
    const found = untrusted(path, facts);
    if (found !== undefined) return found;
    if (!facts.isSymbolicLink()) continue;
    const target = posix.resolve(posix.dirname(path), await readlink(join(root, path)));
    if (target !== folder && !target.startsWith(`${folder}/`))
      return { ...lookOf(path, facts), because: `it is a link out of ${folder}, to ${target}` };
  }
  return undefined;
}

function lookOf(path: string, { uid, mode }: Pick<Stats, 'uid' | 'mode'>): Omit<Untrusted, 'because'> {
  return { path, ownerUid: uid, mode: (mode & 0o7777).toString(8).padStart(4, '0') };
}

/**
 * The mount of the agent's container that a path lies on, where that is a volume which is not read-only: another container may
 * share it. undefined: the container's own root, a read-only volume, or no container.
 */
export async function writableVolume(procRoot: string, path: string): Promise<string | undefined> {
  const [own, host] = await Promise.all(
    ['self', '1'].map((pid) => readlink(join(procRoot, pid, 'ns/mnt')).catch(() => undefined)),
  );
  if (own === undefined || own === host) return undefined;
  return writableVolumeIn(await readFile(join(procRoot, 'self/mountinfo'), 'utf8'), path);
}

/** The same by the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)): the fifth field is the mount point, the sixth its options. */
export function writableVolumeIn(mountinfo: string, path: string): string | undefined {
  const mounts = mountinfo.split('\n').flatMap((line) => {
    const [, , , , point, options] = line.split(' ');
    return point === undefined || options === undefined ? [] : [{ point: unescaped(point), options }];
  });
  const over = mounts
    .filter(({ point }) => point === '/' || path === point || path.startsWith(`${point}/`))
    // Of two at one place the later one lies on top.
    .reduce<(typeof mounts)[number] | undefined>(
      (best, mount) => (best === undefined || mount.point.length >= best.point.length ? mount : best),
      undefined,
    );
  if (over === undefined || over.point === '/' || over.options.split(',').includes('ro')) return undefined;
  return over.point;
}

/** Blanks and the like are written in octal. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
