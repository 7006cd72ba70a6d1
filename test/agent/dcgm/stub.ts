import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fieldRows } from '../../../shared/dcgm-fields/rows.ts';

type Test = { teardown(handler: () => unknown): void };

/** A folder with the two stand-ins as real executables; gone at the end of the test. */
export function installStub(
  t: Test,
  programs: readonly ('dcgmi' | 'nv-hostengine')[] = ['dcgmi', 'nv-hostengine'],
) {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-dcgm-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of programs) writeExecutable(join(folder, name), stubSource(name));
  return folder;
}

/**
 * An absolute interpreter, because the environment of a drilled program has nothing of ours; and without the options
 * that tap gives to every Node below it, whose loader cannot take a module without an ending.
 */
export function writeExecutable(path: string, source: string, interpreter = process.execPath): void {
  writeFileSync(path, `#!/usr/bin/env -S -u NODE_OPTIONS ${interpreter}\n${source}`);
  chmodSync(path, 0o755);
}

/** Of an executable, without its first line. */
export function stubSource(name: 'dcgmi' | 'nv-hostengine'): string {
  const source = readFileSync(new URL(`./stub/${name}.mjs`, import.meta.url), 'utf8');
  const known = fieldRows.map((row) => [row.id, { tag: row.tag ?? row.name.toLowerCase(), type: row.type }]);
  return source.replace(/\/\* FIELDS \*\/.*$/m, () => `${JSON.stringify(known)});`);
}

export type StubEngine = {
  readonly pid: number;
  readonly port: number;
  readonly process: ChildProcess;
  /** Sets `version`, `mode` (ok, hang, die, lying, blinded, denylist, flood) or `gpus`. */
  configure(set: Record<string, unknown>): Promise<void>;
  /** Connects or disconnects a node monitoring agent. */
  nma(connected: boolean): Promise<void>;
  /** Everything that was injected so far; `at` in milliseconds. */
  injected(): Promise<
    readonly { readonly gpu: number; readonly field: number; readonly value: string; readonly at: number }[]
  >;
  /** Ends it and waits until it is gone. */
  stop(): Promise<void>;
};

type EngineOptions = {
  readonly socket?: string;
  /** Put before the program, for namespaces. */
  readonly wrapper?: readonly string[];
  readonly env?: Record<string, string>;
  readonly program?: string;
  readonly port?: number;
};

/** How often another free port is tried: between looking for one and listening on it another program may take it. */
const mostPorts = 20;

/** Starts an engine on a free loopback port, or at `socket`. */
export async function startEngine(t: Test, folder: string, options: EngineOptions = {}): Promise<StubEngine> {
  for (let attempt = 1; ; attempt += 1)
    try {
      return await startOnce(t, folder, options);
    } catch (thrown) {
      const isFixed = options.socket !== undefined || options.port !== undefined;
      if (isFixed || attempt === mostPorts) throw thrown;
    }
}

async function startOnce(t: Test, folder: string, options: EngineOptions): Promise<StubEngine> {
  const address =
    options.socket === undefined
      ? ['-p', String(options.port ?? (await freePort()))]
      : ['-d', options.socket];
  const program = options.program ?? join(folder, 'nv-hostengine');
  const [file = '', ...args] = [...(options.wrapper ?? []), program, '-n', ...address];
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH ?? '', ...options.env },
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  t.teardown(stop);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the stub engine ended with ${code}`)));
    child.once('error', reject);
  });
  const target =
    options.socket === undefined ? { port: Number(address[1]), host: '127.0.0.1' } : { path: options.socket };
  return {
    pid: child.pid ?? 0,
    port: options.socket === undefined ? Number(address[1]) : 0,
    process: child,
    configure: async (set) => void (await control(target, { ask: 'configure', set })),
    nma: async (connected) => void (await control(target, { ask: 'nma', connected })),
    injected: async () => JSON.parse(await control(target, { ask: 'injected' })),
    stop,
  };
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function control(
  target: { port: number; host: string } | { path: string },
  request: object,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(target, () => socket.write(`${JSON.stringify(request)}\n`));
    let text = '';
    socket.on('error', reject);
    socket.on('data', (data) => {
      text += String(data);
    });
    socket.on('end', () => resolve(text));
  });
}
