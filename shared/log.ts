import { pino } from 'pino';

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
 * One JSON object a line on standard error, so that what a command answers on standard output stays parseable.
 * Tokens never reach a log line: headers are not logged, and `authorization` is removed wherever it appears.
 */
export function createLog(options: { readonly name: string; readonly level: LogLevel }): Log {
  return pino(
    {
      name: options.name,
      level: options.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: ['authorization', '*.authorization', '*.headers', 'token', '*.token'], remove: true },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}

/** Logs nothing. */
export function createSilentLog(): Log {
  return pino({ level: 'silent' });
}
