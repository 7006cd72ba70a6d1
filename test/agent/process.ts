import { type ChildProcess, spawn } from 'node:child_process';
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

/** The real process on a free port of loopback, without anything of this shell's environment that would steer it. */
export async function startAgent(
  t: Pick<Test, 'teardown'>,
  options: { readonly stateDir?: string; readonly flags?: readonly string[] } = {},
): Promise<AgentProcess> {
  const stateDir = options.stateDir ?? temporaryFolder(t);
  const flags = ['--node', 'n1', '--listen', '127.0.0.1:0', '--state-dir', stateDir];
  const child = spawnAgent([...flags, ...(options.flags ?? [])]);
  const gone = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
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

/** Runs the agent with flags that make it end by itself. */
export async function runAgent(
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawnAgent(flags, env);
  let output = '';
  child.stderr?.on('data', (chunk) => {
    output += String(chunk);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

/** Without the options that tap gives to every Node below it: its loader more than doubles the time to start. */
function spawnAgent(flags: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn('/usr/bin/env', ['-u', 'NODE_OPTIONS', process.execPath, main, ...flags], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
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
