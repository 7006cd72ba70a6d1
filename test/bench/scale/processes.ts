import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { NodeRow } from '../../../coordinator/rehearsal/objects.ts';
import type { ServerTls } from '../../../shared/http/tls.ts';
import { guarded } from '../../cluster/controlplane/guard.ts';

/** The host engine that each monitoring agent is connected to. */
export const nmaEngine = { pid: 2201, port: 5555, nmaVersion: '1.6.4' } as const;

/** What agents.ts reads. */
export type AgentsFile = {
  readonly nodes: readonly { readonly row: NodeRow; readonly port: number; readonly enginePodUid: string }[];
  /** Of the process that writes for the monitoring agents. */
  readonly socket: string;
  readonly stateDir: string;
  /** Absent: plain HTTP. */
  readonly tls?: ServerTls;
};

/** What nma.ts reads. */
export type NmaFile = {
  readonly kubeconfig: string;
  readonly socket: string;
  readonly nodes: readonly string[];
};

/** A process of the bench. */
export type Helper = {
  readonly pid: number;
  /** Writes a line of JSON to its standard input. */
  tell(command: object): void;
  /** Resolves when it has written that line to its standard output. */
  heard(line: string): Promise<void>;
  stop(): Promise<void>;
};

/** Starts a program of this folder with the file that it reads, and waits until it has written `ready`. */
export async function startHelper(
  program: 'agents.ts' | 'nma.ts',
  path: string,
  input: object,
): Promise<Helper> {
  writeFileSync(path, JSON.stringify(input));
  const file = fileURLToPath(new URL(program, import.meta.url));
  // The file descriptors of a thousand servers and their connections; a heap for as many agents.
  const [command, args] = guarded(process.execPath, ['--max-old-space-size=4096', file, path]);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const helper: Helper = {
    pid: child.pid ?? 0,
    tell: (line) => child.stdin.write(`${JSON.stringify(line)}\n`),
    heard: (line) => heard(child, lines, line),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
  await helper.heard('ready');
  return helper;
}

async function heard(child: ChildProcess, lines: Interface, expected: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onLine = (line: string) => {
    if (line === expected) resolve();
  };
  const onExit = () => reject(new Error(`a process of the bench ended before it wrote "${expected}"`));
  lines.on('line', onLine);
  child.once('exit', onExit);
  try {
    await promise;
  } finally {
    lines.off('line', onLine);
    child.off('exit', onExit);
  }
}

/** Seconds of processor time that a process has used, all its threads together. */
export function cpuSeconds(pid: number): number {
  // The name in parentheses may hold spaces; utime and stime are the 14th and 15th field, in ticks of 1/100 s.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The largest resident memory of a process since its start or since `forgetPeak`, in MiB. */
export function peakMiB(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

/** Begins the peak anew (proc(5), clear_refs: 5). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}
