import { Refusal } from './errors.ts';

const goUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `90s`, `1m30s`, `1.5h` (Go) or `PT1M30S` (ISO 8601, hours to seconds) as milliseconds. */
export function parseDuration(text: string, field: string): number {
  const iso = /^PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?$/.exec(text);
  if (iso !== null) {
    const [, hours = '0', minutes = '0', seconds = '0'] = iso;
    return Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000;
  }
  if (/^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(text)) {
    const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g);
    return [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * (goUnits[unit ?? ''] ?? 0), 0);
  }
  throw new Refusal('deadline_invalid', `${field}: "${text}" is no duration`, {
    field,
    value: text,
    allowed: ['90s', '1m30s', 'PT90S'],
  });
}
