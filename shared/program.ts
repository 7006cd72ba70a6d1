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
import { createLog, type Log, type LogLevel, logLevels } from './log.ts';

/** What every program of ours can be told. */
export const logLevelRow = {
  kind: 'text',
  value: logLevels.join('|'),
  env: 'XIDRILL_LOG_LEVEL',
  check: (text) =>
    (logLevels as readonly string[]).includes(text) ? undefined : `one of ${logLevels.join(', ')}`,
  help: 'how much to log, as JSON lines on standard error',
} as const satisfies OptionRow;

/** What our servers can be told besides. */
export function serverRows<const L extends string>(listen: L) {
  return {
    listen: {
      kind: 'text',
      value: 'HOST:PORT',
      env: 'XIDRILL_LISTEN',
      default: listen,
      check: checkListenAddress,
      help: 'where to serve; beyond loopback only with --token-file',
    },
    'token-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_TOKEN_FILE',
      help: 'callers must present this file’s content as bearer token',
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
  process.stderr.write(`${faults}${outcome.help}`);
  process.exit(faults === '' ? 0 : 2);
}

export type ServerProgram<T extends ServerTable> = {
  readonly config: ConfigOf<T>;
  readonly log: Log;
  readonly address: { readonly host: string; readonly port: number };
  readonly token: { readonly tokenFile?: string };
};

/** Reads a server's configuration; nobody but this machine may call it without a token. */
export function serverProgram<const T extends ServerTable>(name: string, table: T): ServerProgram<T> {
  const config = configOrExit(name, table);
  const { listen, 'token-file': tokenFile, 'log-level': level } = config as ConfigOf<ServerTable>;
  const address = parseListenAddress(listen) ?? { host: '127.0.0.1', port: 0 };
  if (!isLoopback(address.host) && tokenFile === undefined) {
    process.stderr.write(
      `--listen: ${listen} is reachable from other machines; give --token-file, or listen on 127.0.0.1\n`,
    );
    process.exit(2);
  }
  return {
    config,
    log: createLog({ name, level: level as LogLevel }),
    address,
    token: tokenFile === undefined ? {} : { tokenFile },
  };
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

/** Ends the process with what went wrong and what to do. */
export function exitWith(program: string, thrown: unknown): never {
  const remedy = thrown instanceof Refusal ? thrown.details.remedy : undefined;
  process.stderr.write(
    `${program}: ${messageFromUnknown(thrown)}${remedy === undefined ? '' : `\n  ${remedy}`}\n`,
  );
  process.exit(4);
}
