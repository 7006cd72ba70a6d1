import { readFile } from 'node:fs/promises';
import { arch } from 'node:process';
import { findFile } from '../programs/root-path.ts';
import { renderUntrusted, writableVolume } from '../programs/trust.ts';

/** The file to load, without links, or why none is loaded; `isRefused`: there is one, and it is not trusted. */
export type LocatedLibrary =
  | { readonly path: string }
  | { readonly because: string; readonly isRefused: boolean };

/**
 * The library is loaded by a child with all rights of the agent, so that nobody else may be able to change it or what leads to it, or
 * put another one in a place that comes before it. A name is looked for where the dynamic linker does, in its order (ld.so(8)):
 * LD_LIBRARY_PATH, /etc/ld.so.cache, its own folders. What is found is loaded by its path, so that it is the file that was looked at.
 */
export async function locateNvmlLibrary(
  name: string,
  options: {
    /** Folders before all others. Default: LD_LIBRARY_PATH of this process. */
    readonly folders?: readonly string[];
    readonly cache?: string;
    readonly procRoot?: string;
  } = {},
): Promise<LocatedLibrary> {
  const { cache = '/etc/ld.so.cache', procRoot = '/proc' } = options;
  const before = options.folders ?? (process.env.LD_LIBRARY_PATH ?? '').split(/[:;]/);
  const candidates = name.includes('/')
    ? [name]
    : [
        // A relative folder would be that of whoever starts the agent.
        ...before.filter((folder) => folder.startsWith('/')).map((folder) => `${folder}/${name}`),
        ...pathsInCache(await readFile(cache).catch(() => Buffer.alloc(0)), name),
        ...ownFolders.map((folder) => `${folder}/${name}`),
      ];
  const absent: string[] = [];
  for (const candidate of candidates) {
    if (!candidate.startsWith('/')) return { because: `${candidate} is no absolute path`, isRefused: true };
    const found = await findFile('/', candidate);
    if ('because' in found) {
      absent.push(found.because);
      continue;
    }
    if (found.untrusted !== undefined) return { because: renderUntrusted(found.untrusted), isRefused: true };
    const volume = await writableVolume(procRoot, found.path);
    if (volume !== undefined)
      return {
        because: `${found.path} is on ${volume}, a volume that is mounted writable, and has to be read-only`,
        isRefused: true,
      };
    return { path: found.path };
  }
  return {
    because: name.includes('/')
      ? (absent[0] ?? name)
      : `it is neither in ${cache} nor in ${[...before, ...ownFolders].filter(Boolean).join(', ')}`,
    isRefused: false,
  };
}

/** Debian's name for the machine, and the flags of its libraries in the cache (glibc: sysdeps/generic/ldconfig.h). */
const machine = {
  x64: { triplet: 'x86_64-linux-gnu', flags: 0x0303 },
  arm64: { triplet: 'aarch64-linux-gnu', flags: 0x0a03 },
}[arch as string];

/** Those that glibc is built with on Debian and on Red Hat's descendants. */
const ownFolders = [
  ...(machine === undefined ? [] : [`/lib/${machine.triplet}`, `/usr/lib/${machine.triplet}`]),
  ...['/lib64', '/usr/lib64', '/lib', '/usr/lib'],
];

const magic = 'glibc-ld.so.cache1.1';
const headerBytes = 48;
const entryBytes = 24;

/**
 * Paths of a library in the cache of ldconfig (glibc: sysdeps/generic/dl-cache.h): a header with the number of entries, entries of flags
 * and the places of name and path, which count from the header. Empty where it is no such cache.
 */
export function pathsInCache(cache: Buffer, name: string): readonly string[] {
  // Behind a table of the old form, where there is one.
  const start = cache.indexOf(magic);
  if (start < 0 || machine === undefined || start + headerBytes > cache.length) return [];
  const count = cache.readUInt32LE(start + 20);
  const textAt = (offset: number) => {
    const end = cache.indexOf(0, start + offset);
    return end < 0 ? '' : cache.toString('utf8', start + offset, end);
  };
  const paths: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = start + headerBytes + index * entryBytes;
    if (at + entryBytes > cache.length) break;
    if (cache.readInt32LE(at) !== machine.flags || textAt(cache.readUInt32LE(at + 4)) !== name) continue;
    paths.push(textAt(cache.readUInt32LE(at + 8)));
  }
  return paths;
}
