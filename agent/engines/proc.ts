import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageFromUnknown } from '../../shared/errors.ts';
import { whyNoHostPids } from '../programs/means.ts';
import { parseCgroup } from './cgroup.ts';
import {
  type EngineAddress,
  engineName,
  engineProgram,
  parseEngineArguments,
  renderAddress,
} from './command-line.ts';
import type { EngineFinder, EngineProcess } from './port.ts';
import { listenersFor } from './sockets.ts';
import { defaultTrust, type EngineTrust, readPods, type Standing, whyNotCounted } from './standing.ts';
import { effectiveUid, isPrivileged } from './status.ts';

/** Codes with which /proc says that the process ended meanwhile. */
const gone = new Set(['ENOENT', 'ESRCH']);

/** A node has one or two; each costs several runs of dcgmi. */
const mostEngines = 16;

/**
 * Finds standalone host engines by their process name. Embedded ones (inside another program) have no socket and are
 * out of reach of `dcgmi`, so they are not looked for. Anybody may call a process so: one that does not count says why.
 */
export function createProcEngineFinder(
  options: {
    readonly procRoot?: string;
    /** The host's root directory, for the names of its pods; absent: that of process 1. */
    readonly hostRoot?: string;
    readonly trust?: EngineTrust;
  } = {},
): EngineFinder {
  const { procRoot = '/proc', trust = defaultTrust } = options;
  const hostRoot = options.hostRoot ?? join(procRoot, '1/root');
  return {
    whyBlind: () => whyNoHostPids(procRoot),
    async find() {
      const names = await readdir(procRoot);
      const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
      const named = (await Promise.all(pids.map((pid) => isNamed(procRoot, pid)))).flat();
      if (named.length === 0) return [];
      const pods = await readPods(hostRoot);
      const found = await Promise.all(
        named.map(async (pid) => {
          const standing = await standingOf(procRoot, pid, pods);
          return { pid, pod: standing.pod, untrusted: whyNotCounted(standing, trust) };
        }),
      );
      const chosen = found
        .toSorted(
          (a, b) => Number(a.untrusted !== undefined) - Number(b.untrusted !== undefined) || a.pid - b.pid,
        )
        .slice(0, mostEngines);
      const described = await Promise.all(
        chosen.map(async ({ pid, pod, untrusted }) => {
          const engine = await describe(procRoot, pid);
          return (
            engine && {
              ...engine,
              ...(pod === undefined ? {} : { pod }),
              ...(untrusted === undefined ? {} : { untrusted }),
            }
          );
        }),
      );
      const [first, ...others] = described
        .filter((engine) => engine !== undefined)
        .toSorted((a, b) => a.pid - b.pid);
      if (first === undefined) return [];
      const leftOut = named.length - chosen.length;
      return [leftOut > 0 ? { ...first, problems: [...first.problems, tooMany(leftOut)] } : first, ...others];
    },
  };
}

/** The pid, where the process has the name of an engine; empty: it is none, or has ended. */
async function isNamed(procRoot: string, pid: number): Promise<readonly number[]> {
  try {
    return (await readFile(join(procRoot, String(pid), 'comm'), 'utf8')).trim() === engineName ? [pid] : [];
  } catch (thrown) {
    return isGone(thrown) ? [] : [pid];
  }
}

/** By the status file, not by the owner of the folder: that is root as well where a process may not be dumped (proc_pid(5)). */
async function standingOf(
  procRoot: string,
  pid: number,
  pods: ReadonlyMap<string, string>,
): Promise<Standing> {
  const at = (file: string) => join(procRoot, String(pid), file);
  const status = await readFile(at('status'), 'utf8').catch(() => '');
  const { container, podUid } = parseCgroup(await readFile(at('cgroup'), 'utf8').catch(() => ''));
  const [user, host] = await Promise.all(
    [at('ns/user'), join(procRoot, '1/ns/user')].map((path) => readlink(path).catch(() => undefined)),
  );
  return {
    uid: effectiveUid(status),
    isPrivileged: user !== undefined && user === host && isPrivileged(status),
    isContained: container !== null || podUid !== null,
    pod: podUid === null ? undefined : pods.get(podUid),
  };
}

function tooMany(leftOut: number): string {
  return `${leftOut} more processes are named ${engineName} and were not looked at: ${mostEngines} are the limit`;
}

async function describe(procRoot: string, pid: number): Promise<EngineProcess | undefined> {
  const at = (file: string) => join(procRoot, String(pid), file);
  try {
    const commandLine = splitArguments(await readFile(at('cmdline'), 'utf8'));
    // A process that is ending has no arguments any more.
    if (commandLine.length === 0) return undefined;
    const problems: string[] = [];
    const executable = await readlink(at('exe'));
    const workingDirectory = await readlink(at('cwd'));
    const address = parseEngineArguments(commandLine);
    return {
      pid,
      commandLine,
      executable: engineProgram(executable.replace(/ \(deleted\)$/, ''), commandLine, workingDirectory),
      ...parseCgroup(await readFile(at('cgroup'), 'utf8')),
      address: renderAddress(address),
      ...(await holderOf(at, address, problems)),
      problems,
    };
  } catch (thrown) {
    if (isGone(thrown)) return undefined;
    return unreadable(pid, thrown);
  }
}

async function holderOf(
  at: (file: string) => string,
  address: EngineAddress,
  problems: string[],
): Promise<Pick<EngineProcess, 'listening' | 'foreign'>> {
  if (address.kind === 'vsock') {
    problems.push(`${renderAddress(address)}: whether a vsock address is bound cannot be seen in /proc`);
    return { listening: false };
  }
  const tables = await Promise.all(
    listenersFor(address).map((table) => inodesOf(at(table.file), table.parse)),
  );
  const inodes = new Set(tables.flat());
  const owned = inodes.size > 0 && (await holdsOneOf(at('fd'), inodes));
  if (!owned) {
    const because = inodes.size === 0 ? 'nothing listens there' : 'another process listens there';
    problems.push(`${renderAddress(address)} is not bound by this process: ${because}`);
  }
  return owned || inodes.size === 0 ? { listening: owned } : { listening: false, foreign: true };
}

async function inodesOf(file: string, parse: (text: string) => string[]): Promise<string[]> {
  try {
    return parse(await readFile(file, 'utf8'));
  } catch (thrown) {
    // Without IPv6 there is no tcp6 table.
    if (isGone(thrown)) return [];
    throw thrown;
  }
}

async function holdsOneOf(folder: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const links = await Promise.all(
    (await readdir(folder)).map(async (fd) => {
      try {
        return await readlink(join(folder, fd));
      } catch {
        // Closed between the listing and this look.
        return '';
      }
    }),
  );
  return links.some((link) => inodes.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? ''));
}

function splitArguments(cmdline: string): string[] {
  return cmdline
    .replace(/\0+$/, '')
    .split('\0')
    .filter((argument, index) => index > 0 || argument !== '');
}

function isGone(thrown: unknown): boolean {
  return thrown instanceof Error && gone.has((thrown as NodeJS.ErrnoException).code ?? '');
}

/** A host engine is there but hides what is needed: that is shown, not skipped. */
function unreadable(pid: number, thrown: unknown): EngineProcess {
  return {
    pid,
    commandLine: [],
    executable: '',
    container: null,
    podUid: null,
    address: '',
    listening: false,
    problems: [
      `/proc/${pid} cannot be read: ${messageFromUnknown(thrown)}; the agent needs root and the host's pids`,
    ],
  };
}
