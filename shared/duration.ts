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

/**
 * A span of time for people, the same in every text and answer: `less than 0.1 s`, `0.8 s`, `45 s`, `9 min 55 s`, `10 min`,
 * `3 h 20 min`, `8 d 4 h`. Tenths below ten seconds, whole seconds below an hour; `seconds` below 0 count as 0.
 */
export function renderDuration(seconds: number): string {
  const tenths = Math.round(Math.max(0, seconds) * 10) / 10;
  if (tenths < 10) return tenths === 0 && seconds > 0 ? 'less than 0.1 s' : `${tenths} s`;
  const whole = Math.round(seconds);
  const units =
    whole < 3600
      ? ([
          ['min', Math.floor(whole / 60)],
          ['s', whole % 60],
        ] as const)
      : whole < 172_800
        ? ([
            ['h', Math.floor(whole / 3600)],
            ['min', Math.floor((whole % 3600) / 60)],
          ] as const)
        : ([
            ['d', Math.floor(whole / 86_400)],
            ['h', Math.floor((whole % 86_400) / 3600)],
          ] as const);
  return units
    .filter(([, amount]) => amount > 0)
    .map(([unit, amount]) => `${amount} ${unit}`)
    .join(' ');
}
