import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { type Answer, service, temporaryFolder } from './rig.ts';

const main = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));

export type AgentProcess = {
  readonly url: string;
  readonly child: ChildProcess;
  readonly stateDir: string;
  call(method: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Resolves when it is gone, with its exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
};

/**
 * The real process on a free port of loopback, without anything of this shell's environment that would steer it. It sees
 * no process but its own: other tests run host engines at the same time. `seesAll`: for a test with engines of its own,
 * which then has to name the one that it means.
 */
export async function startAgent(
  t: Pick<Test, 'teardown'>,
  options: {
    readonly stateDir?: string;
    readonly flags?: readonly string[];
    readonly seesAll?: boolean;
  } = {},
): Promise<AgentProcess> {
  const stateDir = options.stateDir ?? temporaryFolder(t);
  const flags = ['--node', 'n1', '--listen', '127.0.0.1:0', '--state-dir', stateDir];
  const wrapper = options.seesAll === true ? [] : ownProcesses();
  const child = spawnAgent([...flags, ...(options.flags ?? [])], {}, wrapper);
  const gone = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const end = async (signal: NodeJS.Signals) => {
    // unshare(1) ignores SIGTERM while it waits for the process that it started.
    const inner = wrapper.length === 0 ? undefined : childOf(child.pid);
    if (child.exitCode !== null || child.signalCode !== null) return gone;
    if (inner === undefined) child.kill(signal);
    else process.kill(inner, signal);
    return gone;
  };
  t.teardown(() => end('SIGKILL'));
  const url = await Promise.race([
    addressOf(child),
    gone.then((code) => Promise.reject(new Error(`the agent ended with ${code}`))),
  ]);
  return {
    url,
    child,
    stateDir,
    end,
    async call(method, body = {}, headers = {}) {
      const answer = await fetch(`${url}${service}/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      return { status: answer.status, body: (await answer.json()) as Answer['body'] };
    },
  };
}

/** Runs the agent with flags that make it end by itself; one that listens all the same is killed, and has the code null. */
export async function runAgent(
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawnAgent(flags, env);
  let output = '';
  child.stderr?.on('data', (chunk) => {
    output += String(chunk);
  });
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  await Promise.race([closed, addressOf(child)]);
  child.kill('SIGKILL');
  return { code: await closed, output };
}

/** Without the options that tap gives to every Node below it: its loader more than doubles the time to start. */
function spawnAgent(
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
  wrapper: readonly string[] = [],
): ChildProcess {
  const agent = ['/usr/bin/env', '-u', 'NODE_OPTIONS', process.execPath, main, ...flags];
  const [program = '', ...args] = [...wrapper, ...agent];
  return spawn(program, args, {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

let namespaceWorks: boolean | undefined;

/** Whether a process can be given a view of its own: that takes root, like most of what the agent does. */
export function hasOwnProcesses(): boolean {
  namespaceWorks ??= spawnSync('unshare', [...ownNamespace, 'true'], { stdio: 'ignore' }).status === 0;
  return namespaceWorks;
}

const ownNamespace = ['--pid', '--fork', '--kill-child', '--mount-proc'];

/** What starts a program in a pid namespace of its own, with a /proc that shows only that. */
function ownProcesses(): readonly string[] {
  return hasOwnProcesses() ? ['unshare', ...ownNamespace] : [];
}

function childOf(parent: number | undefined): number | undefined {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).find((pid) => parent !== undefined && parentOf(pid) === parent);
}

/** proc_pid_stat(5): behind the name, which stands in parentheses, come state and parent. */
function parentOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    // It ended meanwhile.
    return undefined;
  }
}

/** The agent says where it serves in its log. */
function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    child.stderr?.on('data', (chunk) => {
      text += String(chunk);
      const url = /"url":"(https?:[^"]+)"/.exec(text)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
}
