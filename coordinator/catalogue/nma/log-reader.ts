import { type LogGate, type LogMatch, type LogRule, type LogSource, matchLogRules } from './log-rules.ts';
import type { NmaVersion } from './versions.ts';

/** The state that NMA's log rules keep between lines: token buckets and the last time of each key. */
export type LogReader = {
  /** What one line leads to, at this time of NMA's own clock; lines of a source in their order. */
  read(source: LogSource, line: string, atMs: number): readonly LogMatch[];
};

/** NMA's log rules with what it remembers between lines, for one life of its process. */
export function createLogReader(row: NmaVersion): LogReader {
  const buckets = new Map<LogRule, { tokens: number; atMs: number }>();
  const lastSeen = new Map<string, number>();

  /** Go's rate.Limiter.Allow(), denied. */
  function isOverRate(rule: LogRule, { perSecond, burst }: Rate, atMs: number): boolean {
    const bucket = buckets.get(rule) ?? { tokens: burst, atMs };
    const refilled = bucket.tokens + ((atMs - bucket.atMs) / 1000) * perSecond;
    const tokens = Math.min(burst, refilled);
    const isAllowed = tokens >= 1;
    buckets.set(rule, { tokens: isAllowed ? tokens - 1 : tokens, atMs });
    return !isAllowed;
  }

  function isRepeated(match: RegExpExecArray, minutes: number): boolean {
    const [, month = '', day = '', time = '', key = ''] = match;
    const at = logTime(month, day, time);
    if (at === undefined) return false;
    const last = lastSeen.get(key);
    lastSeen.set(key, at);
    return last !== undefined && at < last + minutes * 60_000;
  }

  return {
    read: (source, line, atMs) =>
      matchLogRules(row, source, line, (rule, match) => {
        const { gate } = rule;
        if (gate === undefined) return true;
        return gate.kind === 'over-rate' ? isOverRate(rule, gate, atMs) : isRepeated(match, gate.minutes);
      }),
  };
}

type Rate = Extract<LogGate, { kind: 'over-rate' }>;

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** Go's time.Parse("Jan 2 15:04:05"): a year without number, which has a 29 February; undefined: no such time. */
function logTime(month: string, day: string, time: string): number | undefined {
  const index = months.indexOf(month.toLowerCase());
  const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number);
  if (index < 0 || hours > 23 || minutes > 59 || seconds > 59) return undefined;
  const at = new Date(Date.UTC(2000, index, Number(day), hours, minutes, seconds));
  return at.getUTCMonth() === index && Number(day) > 0 ? at.getTime() : undefined;
}
