import { pino } from 'pino';
import { printable } from './printable.ts';

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

/** Members and headers whose value is nobody's business, wherever they stand. */
const secretNames = [
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'x-api-key'],
  ...[
    'token',
    'access_token',
    'id_token',
    'refresh_token',
    'password',
    'secret',
    'client_secret',
    'api_key',
    'signature',
  ],
].join('|');

/** What a secret looks like in a line, and what stands there instead; the rest of the line stays as it was. */
const secretShapes: readonly (readonly [RegExp, string])[] = [
  // A member of an object, also of one that was made a text before.
  [
    new RegExp(
      `((?<!\\\\)\\\\*"(?:${secretNames})\\\\*"\\s*:\\s*(?:\\[\\s*)?)(\\\\*")(.*?)(?<!\\\\)\\2`,
      'gi',
    ),
    '$1$2[removed]$2',
  ],
  [new RegExp(`([?&](?:${secretNames}|key|sig)=)[^&#\\s"\\\\]*`, 'gi'), '$1[removed]'],
  // A header in a text (RFC 9110, 11.4), a JSON Web Token, and who logs in by an address (RFC 3986, 3.2.1).
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, '$1 [removed]'],
  [/\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*/g, '[removed]'],
  [/([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/"\\@?#]+@/gi, '$1[removed]@'],
];

/** A line of the log without what looks like a secret: the last guard, as whoever logs should not hand one over. */
export function withoutSecrets(line: string): string {
  return secretShapes.reduce((text, [shape, instead]) => text.replace(shape, instead), line);
}

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
