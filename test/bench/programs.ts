import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A program of ours as a process of its own, ready to answer. */
export type Program = {
  readonly pid: number;
  readonly url: string;
  /** From the start of the process to the first 200 of /readyz, or of what else was asked. */
  readonly readyMs: number;
  /** The end of what it wrote to standard error. */
  errors(): string;
  stop(): Promise<void>;
};

const usualStartMs = 20_000;
const lastWordsKept = 2_000;

/** Starts FILE with the arguments and `--listen`, and waits until it is ready. */
export async function startProgram(
  file: string,
  args: readonly string[],
  options: {
    readonly flags: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    /** Default /readyz; an agent without a kernel log never gets that far. */
    readonly until?: '/healthz' | '/readyz';
    /** Milliseconds that it may take; default 20 s. */
    readonly longestStartMs?: number;
  },
): Promise<Program> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { longestStartMs = usualStartMs } = options;
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [...options.flags, file, ...args, '--listen', `127.0.0.1:${port}`],
    // Not the environment of npm: it would be in the memory that is measured.
    { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/', env: { PATH: process.env.PATH, ...options.env } },
  );
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-lastWordsKept);
  });
  const ended = endOf(child);
  const stop = async () => {
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(late);
  };
  try {
    while (!(await answers(`${url}${options.until ?? '/readyz'}`))) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
        throw new Error(`${file} ended before it was ready: ${said}`);
      if (performance.now() - startedAt > longestStartMs)
        throw new Error(`${file} is not ready after ${longestStartMs} ms: ${said}`);
      await sleep(5);
    }
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return { pid: child.pid ?? 0, url, readyMs: performance.now() - startedAt, errors: () => said, stop };
}

function endOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer().once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
  });
  return promise;
}

/**
 * Resident memory in MiB, with the pages of the node binary, which are most of it and which the processes of one node
 * share. Not VmRSS: the kernel keeps that one per thread and sums it up late.
 */
export function residentMiB(pid: number): number {
  const [, kib] = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
  if (kib === undefined) throw new Error(`process ${pid} has no resident memory`);
  return Number(kib) / 1024;
}

export function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid);
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1]);
  } catch {
    return undefined;
  }
}
