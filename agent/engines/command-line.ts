import { posix } from 'node:path';

/** Name of the process and of the program: 13 characters, so /proc/PID/comm holds it whole. */
export const engineName = 'nv-hostengine';

const defaultPort = '5555';
const defaultSocket = '/tmp/nv-hostengine';

/** Binds that mean "every interface": a client inside reaches them through loopback. */
const everywhere = new Set(['ALL', 'all', '0.0.0.0', '::']);

/** Where nv-hostengine listens: TCP (`-b`, `-p`), a Unix socket (`-d`) or vsock (`-c`). */
export type EngineAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'vsock'; readonly cid: string; readonly port: number };

/** Options that take a value, and the one whose value may be missing (hostengine/src/HostEngineCommandLine.cpp). */
const valued: Record<string, 'bind' | 'port' | 'socket' | 'vsock'> = {
  '-b': 'bind',
  '--bind-interface': 'bind',
  '-p': 'port',
  '--port': 'port',
  '-d': 'socket',
  '--domain-socket': 'socket',
  '-c': 'vsock',
  '--vsock-cid': 'vsock',
};

/**
 * Where an engine listens, from its arguments; what it does not say is DCGM's default, 127.0.0.1:5555. An option and its value may
 * be one argument: nv-hostengine takes a space between them (`args: ["-b ALL"]` of a container; TCLAP, Arg::trimFlag, whose
 * delimiter HostEngineCommandLine.cpp sets to ' '), wrappers of it take `=`. Only the first one parts them.
 */
export function parseEngineArguments(commandLine: readonly string[]): EngineAddress {
  const given: Partial<Record<'bind' | 'port' | 'socket' | 'vsock', string>> = {};
  const args = commandLine.slice(1);
  for (let index = 0; index < args.length; index += 1) {
    const [, name = '', inline] = /^([^ =]+)(?:[ =](.*))?$/s.exec(args[index] ?? '') ?? [];
    const option = Object.hasOwn(valued, name) ? valued[name] : undefined;
    if (option === undefined) continue;
    const next = args[index + 1];
    const value = inline ?? (next === undefined || next.startsWith('-') ? undefined : next);
    if (inline === undefined && value !== undefined) index += 1;
    given[option] = value ?? '';
  }
  if (given.socket !== undefined)
    return { kind: 'unix', path: given.socket === '' ? defaultSocket : given.socket };
  const port = portFrom(given.port);
  if (given.vsock !== undefined) return { kind: 'vsock', cid: given.vsock, port };
  const bind = given.bind ?? '127.0.0.1';
  return { kind: 'tcp', host: bind === '' || everywhere.has(bind) ? '127.0.0.1' : bind, port };
}

/** As `dcgmi --host` takes it. */
export function renderAddress(address: EngineAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`;
  if (address.kind === 'vsock') return `vsock://${address.cid}:${address.port}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/**
 * The path of the program. For a script the kernel shows the interpreter as executable; what counts is the script,
 * because its `dcgmi` lies beside it.
 */
export function engineProgram(
  executable: string,
  commandLine: readonly string[],
  workingDirectory: string,
): string {
  if (posix.basename(executable) === engineName) return executable;
  const script = commandLine.slice(0, 2).find((argument) => posix.basename(argument) === engineName);
  return script === undefined ? executable : posix.resolve(workingDirectory, script);
}

function portFrom(text: string | undefined): number {
  return text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : Number(defaultPort);
}
