import { pino } from 'pino';
import { printable } from './printable.ts';
import { withoutSecrets } from './secrets.ts';

/** Structured logging: facts first, a constant sentence last. */
export type Log = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(bindings: object): Log;
};

/** Each logs its own and all to the right of it. */
export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
/** The value of `--log-level`. */
export type LogLevel = (typeof logLevels)[number];

/**
 * One JSON object a line on standard error, so that what a command answers on standard output stays parseable. Whatever the level
 * and the member, secrets are removed from the line before it is written.
 */
export function createLog(options: {
  readonly name: string;
  readonly level: LogLevel;
  /** Where lines go; absent: standard error. */
  readonly to?: { write(line: string): void };
}): Log {
  return pino(
    {
      name: options.name,
      level: options.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      // JSON leaves C1 controls and the direction of text as they are.
      hooks: { streamWrite: (line) => printable(withoutSecrets(line)) },
    },
    options.to ?? pino.destination({ dest: 2, sync: true }),
  );
}

/** Logs nothing. */
export function createSilentLog(): Log {
  return pino({ level: 'silent' });
}
