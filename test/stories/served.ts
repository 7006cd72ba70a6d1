import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import type { ServedAddresses } from '../../coordinator/rehearsal/serve.ts';
import { root } from '../suite.ts';

/** `npm run serve` as a process on free ports. */
export async function startServe(
  t: Pick<Test, 'teardown'>,
  flags: readonly string[] = [],
  nodeFlags: readonly string[] = [],
): Promise<ServedAddresses & { readonly pid: number }> {
  const child = spawnServe(['--port', '0', '--json', ...flags], nodeFlags);
  const gone = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGINT');
    await gone;
  });
  const lines = createInterface(child.stdout);
  const [line] = (await Promise.race([
    once(lines, 'line'),
    gone.then(([code]) => Promise.reject(new Error(`serve ended with ${code}`))),
  ])) as [string];
  return { ...(JSON.parse(line) as ServedAddresses), pid: child.pid ?? 0 };
}

/** Runs it with flags that make it end by itself. */
export async function runServe(flags: readonly string[]): Promise<{ code: number; text: string }> {
  const child = spawnServe(flags);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += String(chunk)));
  const [code] = (await once(child, 'close')) as [number];
  return { code, text };
}

/** Without the options that tap gives to every Node below it: its loader more than doubles the time to start. */
function spawnServe(flags: readonly string[], nodeFlags: readonly string[] = []) {
  const { NODE_OPTIONS: _tap, ...env } = process.env;
  const program = join(root, 'coordinator/rehearsal/main.ts');
  return spawn(process.execPath, [...nodeFlags, program, 'serve', ...flags], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
