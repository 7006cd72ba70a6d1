import { execFile } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import { findNsenter, isNotExecuted, noNsenter, nsenterFailed, nsenterWords } from './nsenter.ts';
import { findProgram } from './root-path.ts';

/** How a program of the host ended. */
export type HostRun = { readonly exitCode: number; readonly output: string; readonly errors: string };

/** Runs programs of the host, in its root: they fit its files, and the agent's image needs none of them. */
export type HostPrograms = {
  /** Where the first of these paths is on the host; undefined: at none of them, or not trusted. */
  find(paths: readonly string[]): Promise<string | undefined>;
  /** Why the agent can run none of them, as far as that shows without running one; undefined: it can. */
  whyNot(): Promise<string | undefined>;
  /**
   * Runs it to its end, at most `timeoutMs`. Refuses with `agent_incapable` where the agent cannot, and with
   * `host_program_failed` where it did not end by itself.
   */
  run(
    program: string,
    args: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<HostRun>;
};

const mostOutput = 1024 * 1024;

/** The programs below `root`, which is the host's root as the agent sees it (`/proc/1/root`). */
export function createHostPrograms(options: {
  readonly root: string;
  /** Where the agent's nsenter may be; absent: where packages put it. */
  readonly nsenterPaths?: readonly string[];
}): HostPrograms {
  const { root } = options;
  return {
    async find(paths) {
      for (const path of paths) {
        const file = await findProgram(root, path);
        // It runs as root with all that the agent may do.
        if (file !== undefined && file.untrusted === undefined) return file.path;
      }
      return undefined;
    },
    async whyNot() {
      if (isOwnRoot(root) || (await findNsenter(options.nsenterPaths)) !== undefined) return undefined;
      return noNsenter(runningThere(root)).message;
    },
    async run(program, args, { timeoutMs, signal }) {
      const commandLine = isOwnRoot(root)
        ? [program, ...args]
        : [...(await entering(root, options.nsenterPaths)), program, ...args];
      return execute(commandLine, { root, timeoutMs, signal });
    },
  };
}

/** nsenter(1) with a directory enters no namespace; it changes the root, where the host's mounts are as the host sees them. */
async function entering(root: string, paths: readonly string[] | undefined): Promise<string[]> {
  const nsenter = await findNsenter(paths);
  if (nsenter === undefined) throw noNsenter(runningThere(root));
  return [nsenter, `--root=${root}`, `--wd=${root}`, '--'];
}

function runningThere(root: string): string {
  return `to run programs of the host in ${root}`;
}

/** Whether programs of that root are run as those of the agent's own: the same folder with the same mounts. */
function isOwnRoot(root: string): boolean {
  if (root === '/') return true;
  const process = /^(\/proc\/\d+)\/root\/?$/.exec(root)?.[1];
  if (process === undefined) return false;
  try {
    const links = (folder: string) =>
      [`${folder}/ns/mnt`, `${folder}/root`].map((link) => readlinkSync(link));
    return links(process).join() === links('/proc/self').join();
  } catch {
    // Not reachable: nsenter then says why.
    return false;
  }
}

function execute(
  commandLine: readonly string[],
  options: { readonly root: string; readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<HostRun> {
  const { root, timeoutMs, signal } = options;
  const [file = '', ...args] = commandLine;
  return new Promise((resolve, reject) => {
    const settings = {
      // Real time on purpose: the program runs in it, whatever clock the product is on.
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: mostOutput,
      cwd: '/',
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        LC_ALL: 'C',
        TZ: 'UTC',
        SYSTEMD_COLORS: '0',
        SYSTEMD_PAGER: '',
      },
      ...(signal === undefined ? {} : { signal }),
    } as const;
    execFile(file, args, settings, (error, output, errors) => {
      const words = nsenterWords(file, errors);
      if (words !== undefined && isNotExecuted(words)) reject(failed(commandLine, words));
      else if (words !== undefined)
        reject(nsenterFailed(`the root of the host, ${root}`, words, { commandLine }));
      else if (error === null) resolve({ exitCode: 0, output, errors });
      else if (typeof error.code === 'number') resolve({ exitCode: error.code, output, errors });
      else if (signal?.aborted === true) reject(signal.reason);
      else
        reject(
          failed(
            commandLine,
            error.killed === true ? `no end within ${timeoutMs} ms` : messageFromUnknown(error),
          ),
        );
    });
  });
}

function failed(commandLine: readonly string[], because: string): Refusal {
  return new Refusal('host_program_failed', `${commandLine.join(' ')}: ${because}`, { commandLine });
}
