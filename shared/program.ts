import type { AddressInfo } from 'node:net';
import { isIP } from 'node:net';
import type { Clock } from './clock.ts';
import {
  type ConfigOf,
  checkListenAddress,
  isLoopback,
  type OptionRow,
  type OptionTable,
  parseListenAddress,
  readConfig,
} from './config.ts';
import { messageFromUnknown, Refusal } from './errors.ts';
import { createCertificateGate } from './http/client-certificate.ts';
import { type CreateReview, createClusterGate, createTokenFileGate, type Gate } from './http/gate.ts';
import { followFiles, readAuthorities, type ServerTls } from './http/tls.ts';
import { createLog, type Log, type LogLevel, logLevels } from './log.ts';
import { printable } from './printable.ts';

/** The option that every program has. */
export const logLevelRow = {
  kind: 'text',
  value: logLevels.join('|'),
  env: 'XIDRILL_LOG_LEVEL',
  check: (text) =>
    (logLevels as readonly string[]).includes(text) ? undefined : `one of ${logLevels.join(', ')}`,
  help: 'how much to log, as JSON lines on standard error',
} as const satisfies OptionRow;

/** The options that every server has; `listen` is the default address. */
export function serverRows<const L extends string>(listen: L) {
  return {
    listen: {
      kind: 'text',
      value: 'HOST:PORT',
      env: 'XIDRILL_LISTEN',
      default: listen,
      check: checkListenAddress,
      help: 'where to listen; beyond loopback only with --token-file or --audience',
    },
    'token-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_TOKEN_FILE',
      help: 'callers must present this file’s content as bearer token',
    },
    audience: {
      kind: 'text',
      value: 'NAME',
      env: 'XIDRILL_AUDIENCE',
      check: (text) => (/^[\w.:/-]+$/.test(text) ? undefined : 'letters, digits and . : / _ - only'),
      help: 'in a cluster, instead: callers need a token of the API server for this audience, and RBAC decides',
    },
    host: {
      kind: 'list',
      value: 'NAME',
      env: 'XIDRILL_HOST',
      check: (text) =>
        /^[a-z0-9._:-]+$/i.test(text) ? undefined : 'a host name or an address, without a port',
      help: 'a name by which callers may address it, beside localhost and its own address; others are refused',
    },
    'tls-cert-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_TLS_CERT_FILE',
      help: 'listen over TLS with this PEM certificate chain; read again when it changes',
    },
    'tls-key-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_TLS_KEY_FILE',
      help: 'its PEM private key',
    },
    'client-ca-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_CLIENT_CA_FILE',
      help: 'callers must also show a client certificate of this PEM authority; read again when it changes',
    },
    'client-name': {
      kind: 'text',
      value: 'NAME',
      env: 'XIDRILL_CLIENT_NAME',
      default: 'xidrill-coordinator',
      help: 'the DNS name in client certificates',
    },
    'client-user': {
      kind: 'text',
      value: 'USER',
      env: 'XIDRILL_CLIENT_USER',
      help: 'with --audience: only this user must show one, such as system:serviceaccount:NS:NAME',
    },
    'log-level': { ...logLevelRow, default: 'info' },
  } as const satisfies OptionTable;
}

type ServerTable = OptionTable & ReturnType<typeof serverRows>;

/** The configuration, or the end of the process: 0 after --help, 2 after telling everything that is wrong. */
export function configOrExit<const T extends OptionTable>(
  program: string,
  table: T,
  argv: readonly string[] = process.argv.slice(2),
): ConfigOf<T> {
  const outcome = readConfig(program, table, argv, process.env);
  if ('config' in outcome) return outcome.config;
  const faults = 'faults' in outcome ? `${outcome.faults.join('\n')}\n\n` : '';
  process.stderr.write(printable(`${faults}${outcome.help}`));
  process.exit(faults === '' ? 0 : 2);
}

/** A server's configuration and what follows from it, ready to be used. */
export type ServerProgram<T extends ServerTable> = {
  readonly config: ConfigOf<T>;
  readonly log: Log;
  readonly address: { readonly host: string; readonly port: number };
  /** For `createServer`: by which names it may be called. */
  readonly hosts: readonly string[];
  /** For `createServer`: an empty object, or TLS. */
  readonly tls: { readonly tls?: ServerTls };
  /** Whom to let in: an empty object, or a gate; `reviews` is asked for only where a cluster decides. */
  gate(parts: { readonly clock: Clock; reviews(): CreateReview }): { readonly gate?: Gate };
};

/** Reads a server's configuration; without a token only this machine may call it. */
export function serverProgram<const T extends ServerTable>(
  name: string,
  table: T,
  /** What is wrong between options of the program's own. */
  ownFault: (config: ConfigOf<T>) => string | undefined = () => undefined,
): ServerProgram<T> {
  const config = configOrExit(name, table);
  const server = config as ConfigOf<ServerTable>;
  const fault = faultOf(server) ?? ownFault(config);
  if (fault !== undefined) {
    process.stderr.write(printable(`${fault}\n`));
    process.exit(2);
  }
  const { 'token-file': tokenFile, audience } = server;
  const { 'tls-cert-file': certFile, 'tls-key-file': keyFile, 'client-ca-file': clientCaFile } = server;
  const { 'client-name': clientName, 'client-user': user } = server;

  function tokenGate(clock: Clock, reviews: () => CreateReview): Gate | undefined {
    if (tokenFile !== undefined) return createTokenFileGate(tokenFile);
    return audience === undefined ? undefined : createClusterGate({ create: reviews(), audience, clock });
  }

  const log = createLog({ name, level: server['log-level'] as LogLevel });
  return {
    config,
    log,
    address: parseListenAddress(server.listen) ?? { host: '127.0.0.1', port: 0 },
    hosts: server.host,
    tls:
      certFile === undefined || keyFile === undefined
        ? {}
        : { tls: { certFile, keyFile, ...(clientCaFile === undefined ? {} : { clientCaFile }) } },
    gate({ clock, reviews }) {
      const inner = tokenGate(clock, reviews);
      if (inner === undefined) return {};
      if (clientCaFile === undefined) return { gate: inner };
      const authorities = followFiles(
        { clientCaFile },
        () => new Set(readAuthorities(clientCaFile, 'client-ca-file').map((found) => found.fingerprint256)),
        (because) => log.error({ because }, 'the new authority is not used; keeping the previous one'),
      );
      log.info(
        { name: clientName, user: user ?? 'everybody' },
        'tokens count only with a client certificate',
      );
      const rule = { authorities, name: clientName, ...(user === undefined ? {} : { user }) };
      return { gate: createCertificateGate(inner, clock, rule) };
    },
  };
}

/** What is wrong between options that are right each by itself. */
function faultOf(config: ConfigOf<ServerTable>): string | undefined {
  const { listen, 'token-file': tokenFile, audience } = config;
  if (tokenFile !== undefined && audience !== undefined)
    return '--audience: give it or --token-file, not both: one of them decides who is let in';
  const pairFault =
    pairFaultOf('tls', config['tls-cert-file'], config['tls-key-file']) ?? clientFaultOf(config);
  if (pairFault !== undefined) return pairFault;
  const isOpen = tokenFile === undefined && audience === undefined;
  if (isOpen && config.host.length > 0)
    return '--host: give it with --token-file or --audience; without a token it is called as localhost only';
  if (isOpen && !isLoopback(parseListenAddress(listen)?.host ?? ''))
    return `--listen: ${listen} is reachable from other machines; give --token-file or --audience, or listen on 127.0.0.1`;
  return undefined;
}

/** A certificate is of no use without its key, nor a key without its certificate. */
export function pairFaultOf(flags: string, certFile?: string, keyFile?: string): string | undefined {
  if ((certFile === undefined) === (keyFile === undefined)) return undefined;
  return `--${flags}-cert-file: give it and --${flags}-key-file, or neither`;
}

/** A client certificate counts besides a token, never instead of one. */
function clientFaultOf(config: ConfigOf<ServerTable>): string | undefined {
  const { 'client-ca-file': caFile, 'client-user': user, audience, 'token-file': tokenFile } = config;
  if (user !== undefined && (caFile === undefined || audience === undefined))
    return '--client-user: give it with --client-ca-file and --audience; only tokens of the API server have a user';
  if (caFile === undefined) return undefined;
  if (config['tls-cert-file'] === undefined)
    return '--client-ca-file: give it with --tls-cert-file; only TLS has client certificates';
  if (audience === undefined && tokenFile === undefined)
    return '--client-ca-file: give it with --audience or --token-file; a certificate counts besides a token';
  return undefined;
}

/**
 * The URL of what a server is listening on, for its log. The server's own answer names loopback where it listens on every
 * address (Fastify, "listen": for `0.0.0.0` it reports 127.0.0.1), which would hide that others can reach it.
 */
export function listeningUrl(answered: string, bound: AddressInfo | string | null): string {
  if (bound === null || typeof bound === 'string') return answered;
  const host = isIP(bound.address) === 6 ? `[${bound.address}]` : bound.address;
  return `${new URL(answered).protocol}//${host}:${bound.port}`;
}

/** Calls back once, at the first request to stop. */
export function onStop(stop: (signal: NodeJS.Signals) => void): void {
  let isStopping = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (!isStopping) stop(name);
      isStopping = true;
    });
  }
}

/** `port_taken` where another program is listening at the address; anything else as it is. */
export function fromListen(thrown: unknown, remedy: string): unknown {
  const { code, port, address } = thrown as { code?: unknown; port?: unknown; address?: unknown };
  if (!(thrown instanceof Error) || code !== 'EADDRINUSE') return thrown;
  const where = `${String(address ?? '')}:${String(port ?? '')}`;
  const details = { value: where, remedy: `${remedy}; who it is: ss -ltnp sport = :${String(port ?? '')}` };
  return new Refusal('port_taken', `${where} is in use by another program`, details, thrown);
}

/** Ends the process with what went wrong and what to do. */
export function exitWith(program: string, cause: unknown): never {
  const thrown = fromListen(cause, 'choose another address with --listen HOST:PORT, or stop that program');
  const remedy = thrown instanceof Refusal ? thrown.details.remedy : undefined;
  const text = `${program}: ${messageFromUnknown(thrown)}${remedy === undefined ? '' : `\n  ${remedy}`}\n`;
  process.stderr.write(printable(text));
  process.exit(4);
}
