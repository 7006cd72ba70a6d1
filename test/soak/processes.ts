import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../suite.ts';

/** What one life of a program took, seen every few seconds. */
export type Sample = { readonly ageMs: number; readonly residentMiB: number; readonly descriptors: number };

/** What was left after a collection of garbage: what the program refers to, which alone tells a leak from a lazy collector. */
export type LiveHeap = { readonly ageMs: number; readonly liveMiB: number };

/** One life of a program of ours. */
export type Life = {
  readonly name: string;
  readonly pid: number;
  readonly samples: Sample[];
  /** As live-heap.mjs noted it; empty: it was not loaded into the program. */
  heap(): readonly LiveHeap[];
  /** The end of what it wrote to standard error. */
  errors(): string;
  /** SIGKILL, and until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL if it is not gone after 20 s; resolves with its exit code. */
  stop(): Promise<number | null>;
  send(signal: NodeJS.Signals): void;
  isGone(): boolean;
};

const lastWordsKept = 4_000;

/** Starts FILE on this Node; `onDeath` is called when it ends without having been asked to. */
export function startLife(
  name: string,
  command: readonly [string, ...(readonly string[])],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly onDeath: (life: Life, how: string) => void;
    /** Where live-heap.mjs writes; a file of this life alone. */
    readonly heapFile?: string;
    /** Where standard error goes as well; absent: nowhere. */
    readonly logFile?: string;
  },
): Life {
  const [program, ...args] = command;
  const child: ChildProcess = spawn(program, args, {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env.PATH ?? '',
      ...(options.heapFile === undefined ? {} : { XIDRILL_SOAK_HEAP: options.heapFile }),
      ...options.env,
    },
  });
  let said = '';
  let isAsked = false;
  const startedAt = performance.now();
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-lastWordsKept);
    if (options.logFile !== undefined) appendFileSync(options.logFile, text);
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve();
      if (!isAsked) options.onDeath(life, `ended with ${signal ?? code}`);
    });
    child.once('error', (thrown) => {
      resolve();
      options.onDeath(life, thrown.message);
    });
  });
  const isGone = () => child.exitCode !== null || child.signalCode !== null;
  const life: Life = {
    name,
    pid: child.pid ?? 0,
    samples: [],
    heap: () => readHeap(options.heapFile),
    errors: () => said,
    async kill() {
      isAsked = true;
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      isAsked = true;
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(late);
      return child.exitCode;
    },
    send: (signal) => void child.kill(signal),
    isGone,
  };
  const sampling = setInterval(() => {
    if (isGone()) return clearInterval(sampling);
    const seen = look(life.pid);
    if (seen !== undefined) life.samples.push({ ageMs: performance.now() - startedAt, ...seen });
  }, 2_000);
  sampling.unref();
  return life;
}

/** A TypeScript program of this repository, with a wall clock that a file puts off, and whose heap is noted. */
export function ours(file: string, args: readonly string[]): [string, ...string[]] {
  const loaded = ['stepped-clock', 'live-heap'].flatMap((name) => [
    '--import',
    new URL(`./${name}.mjs`, import.meta.url).href,
  ]);
  return [process.execPath, '--expose-gc', ...loaded, join(root, file), ...args];
}

/** The last line may be half written where the program was killed. */
function readHeap(file: string | undefined): readonly LiveHeap[] {
  if (file === undefined || !existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LiveHeap);
}

function look(pid: number): Omit<Sample, 'ageMs'> | undefined {
  try {
    const [, kib] = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
    return { residentMiB: Number(kib) / 1024, descriptors: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    // It ended between two looks.
    return undefined;
  }
}

/** State letters of all processes with this name, as proc_pid_stat(5) has them; T is stopped. */
export function statesOf(comm: string): readonly string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
      return name === comm ? [text.slice(text.lastIndexOf(')') + 2)[0] ?? ''] : [];
    } catch {
      return [];
    }
  });
}
