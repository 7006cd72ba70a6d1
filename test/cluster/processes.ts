import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { guarded } from './controlplane/guard.ts';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export type Running = {
  readonly pid: number;
  /** Everything that it wrote to standard error so far. */
  errors(): string;
  kill(signal?: NodeJS.Signals): Promise<void>;
};

/** One of our programs as a process of its own, on the Node that runs this test. */
export async function start(
  file: string,
  args: readonly string[],
  isReady: (running: ChildProcess, errors: () => string) => Promise<boolean>,
): Promise<Running> {
  // A test that is killed must not leave its processes behind.
  const [program, programArgs] = guarded(process.execPath, [join(root, file), ...args]);
  const child = spawn(program, programArgs, { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-100_000);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await until(`${file} is ready`, async () => {
    if (child.exitCode !== null)
      throw new Error(`${file} ended with ${child.exitCode}: ${errors.slice(-2000)}`);
    return isReady(child, () => errors);
  });
  return {
    pid: child.pid ?? 0,
    errors: () => errors,
    async kill(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
    },
  };
}

/** Looks again and again; `seconds` are a bound for a broken product, far above what a busy machine needs. */
export async function until(
  what: string,
  isSo: () => Promise<boolean>,
  seconds = 300,
  /** Between two looks. */
  everyMs = 25,
): Promise<void> {
  const deadline = AbortSignal.timeout(seconds * 1000);
  while (!(await isSo())) {
    if (deadline.aborted) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await sleep(everyMs);
  }
}

export async function isServing(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).ok;
  } catch {
    return false;
  }
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
