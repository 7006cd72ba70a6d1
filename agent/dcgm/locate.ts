import { dirname, join, posix } from 'node:path';
import type { EngineProcess } from '../engines/port.ts';
import { findProgram, type ProgramFile, untrustedFolder } from '../programs/root-path.ts';
import { renderUntrusted, type Untrusted, untrustedBelow, writableVolume } from '../programs/trust.ts';
import type { ProcessFacts } from './process-facts.ts';

/** Where packages and images put it (DCGM's own packages: /usr/bin). */
const usualFolders = [
  '/usr/bin',
  '/usr/local/bin',
  '/opt/nvidia/dcgm/bin',
  '/usr/local/dcgm/bin',
  '/opt/dcgm/bin',
];

/** The `dcgmi` for an engine, or why there is none. */
export type Located =
  | {
      readonly path: string;
      /** True: in the engine's mount namespace; false: the agent's own, so only the network is entered. */
      readonly inEngine: boolean;
    }
  | {
      readonly because: string;
      /** Set where one was found and is not run. */
      readonly untrusted?: Untrusted;
    };

/**
 * The `dcgmi` to run for an engine: the configured one, else the one that came with the engine, else the agent's own.
 * The engine's own fits its version for certain (dcgm.md 7), which is why it goes first.
 */
export async function locateDcgmi(
  engine: EngineProcess,
  facts: ProcessFacts,
  options: { readonly dcgmiPath?: string | undefined; readonly procRoot: string },
): Promise<Located> {
  const root = join(options.procRoot, String(engine.pid), 'root');
  const configured = options.dcgmiPath === undefined ? [] : [options.dcgmiPath];
  const refused: (Untrusted | string)[] = [];
  const inEngine = async (paths: readonly string[]) => {
    for (const path of paths) {
      const file = await findProgram(root, path);
      if (file === undefined) continue;
      const because = await whyNotTrusted(root, facts, file);
      if (because === undefined) return { path: file.path, inEngine: true };
      refused.push(because);
    }
    return undefined;
  };
  const own = async (paths: readonly string[]) => {
    for (const path of paths) {
      const file = await findProgram('/', path);
      if (file === undefined) continue;
      const because = await whyOwnNotTrusted(options.procRoot, file);
      if (because === undefined) return { path: file.path, inEngine: false };
      refused.push(because);
    }
    return undefined;
  };
  const engineFolders = foldersOf(engine, facts);
  const found =
    (await inEngine(configured)) ??
    (await own(configured)) ??
    (await inEngine(engineFolders.map((folder) => posix.join(folder, 'dcgmi')))) ??
    (await own(usualFolders.map((folder) => posix.join(folder, 'dcgmi'))));
  if (found !== undefined) return found;
  const searched = refused.length > 0 ? 'no other dcgmi' : 'no dcgmi';
  const where = `${searched} in ${engineFolders.join(', ')} of the engine, and the agent has none of its own`;
  const untrusted = refused.find((item) => typeof item !== 'string');
  const texts = refused.map((item) => (typeof item === 'string' ? item : renderUntrusted(item)));
  return { because: [...texts, where].join('; '), ...(untrusted === undefined ? {} : { untrusted }) };
}

function foldersOf(engine: EngineProcess, facts: ProcessFacts): string[] {
  const beside = engine.executable.startsWith('/') ? [dirname(engine.executable)] : [];
  const path = (facts.environment.PATH ?? '').split(':');
  const folders = [...beside, ...path, ...usualFolders].filter((folder) => folder.startsWith('/'));
  return [...new Set(folders.map((folder) => posix.normalize(folder)))];
}

/**
 * Whatever runs in the engine's namespaces runs as root with all of the agent's capabilities. Any pod can name a
 * process nv-hostengine and put a `dcgmi` beside it, so the file is only run where this gives no one more power than
 * they have: the engine is privileged itself, or it is on the host or in our own mounts; and nobody but root (or us) can change
 * the file, what leads to it, or a folder that its libraries are looked for in.
 */
async function whyNotTrusted(
  root: string,
  facts: ProcessFacts,
  file: ProgramFile,
): Promise<Untrusted | string | undefined> {
  if (!facts.isPrivileged && !facts.sameMounts && !facts.isOnHost) {
    return `${file.path} is not run: the engine is in an unprivileged container, and its files would be run with the rights of the agent`;
  }
  if (file.untrusted !== undefined) return file.untrusted;
  for (const folder of libraryFolders(facts)) {
    const found = await untrustedFolder(root, folder);
    if (found !== undefined) return found;
  }
  return untrustedBeside(root, file.path);
}

/** What lies beside a program in a tree of its own, `…/bin/dcgmi` with `…/lib`, is loaded with it. */
async function untrustedBeside(root: string, path: string): Promise<Untrusted | undefined> {
  const tree = dirname(dirname(path));
  const isOwnTree = posix.basename(dirname(path)) === 'bin' && !['/', '/usr', '/usr/local'].includes(tree);
  return isOwnTree ? untrustedBelow(root, tree) : undefined;
}

/** Folders of the engine's LD_LIBRARY_PATH that are looked into; a relative one would be that of whoever starts it. */
export function libraryFolders({ environment }: Pick<ProcessFacts, 'environment'>): readonly string[] {
  return (environment.LD_LIBRARY_PATH ?? '').split(/[:;]/).filter((folder) => folder.startsWith('/'));
}

/**
 * The agent's own `dcgmi` is what an image or a person put there. From the volume that the chart lends it on, the libraries
 * beside it are loaded as well, and nobody else may be able to write to it while the agent runs.
 */
async function whyOwnNotTrusted(
  procRoot: string,
  { path, untrusted }: ProgramFile,
): Promise<Untrusted | string | undefined> {
  if (untrusted !== undefined) return untrusted;
  const volume = await writableVolume(procRoot, path);
  if (volume !== undefined)
    return `${path} is not run: ${volume} is a volume that is mounted writable, and has to be read-only`;
  return untrustedBeside('/', path);
}
