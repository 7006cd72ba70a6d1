import { dirname, join, posix } from 'node:path';
import type { EngineProcess } from '../engines/port.ts';
import type { ProcessFacts } from './process-facts.ts';
import { findProgram, type ProgramFile } from './root-path.ts';

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
  | { readonly because: string };

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
  const refused: string[] = [];
  const inEngine = async (paths: readonly string[]) => {
    for (const path of paths) {
      const file = await findProgram(root, path);
      if (file === undefined) continue;
      const because = whyNotTrusted(facts, file);
      if (because === undefined) return { path: file.path, inEngine: true };
      refused.push(`${path} is not run: ${because}`);
    }
    return undefined;
  };
  const own = async (paths: readonly string[]) => {
    for (const path of paths) {
      const file = await findProgram('/', path);
      if (file !== undefined) return { path: file.path, inEngine: false };
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
  const searched = `no dcgmi in ${engineFolders.join(', ')} of the engine, and the agent has none of its own`;
  return { because: [...refused, searched].join('; ') };
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
 * they have: the engine is privileged itself, or the file belongs to root (or to us) on the host or in our own mounts.
 */
function whyNotTrusted(facts: ProcessFacts, file: ProgramFile): string | undefined {
  if (facts.isPrivileged) return undefined;
  if (!facts.sameMounts && !facts.isOnHost) {
    return 'the engine is in an unprivileged container, and its files would be run with the rights of the agent';
  }
  const isOurs = file.ownerUid === 0 || file.ownerUid === process.geteuid?.();
  if (isOurs && !file.writableByOthers) return undefined;
  return 'others than root can change the file, and it would be run with the rights of the agent';
}
