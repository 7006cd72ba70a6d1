import { isoFromMillis } from '../../../shared/clock.ts';
import type { Introspection } from '../../../shared/schemas/read-back.ts';
import type { DcgmiRun } from '../port.ts';
import { refusalFromRun } from './injection.ts';
import { notWatched, returnCodeFromExit } from './return-codes.ts';

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * Reads `dcgmi test --introspect --gpuid N -f F`. Null where the engine has no entry for the field; it says the same
 * about a GPU that does not exist, so the GPU has to be checked against `discovery` first.
 */
export function parseIntrospection(run: DcgmiRun): Introspection | null {
  if (returnCodeFromExit(run.exitCode) === notWatched) return null;
  if (run.exitCode !== 0) throw refusalFromRun(run, 'could not look at the field');
  const lines = new Map(run.output.split('\n').flatMap(pairOf));
  const integer = (label: string) => {
    const text = lines.get(label);
    if (text === undefined || !/^-?\d{1,15}$/.test(text))
      throw refusalFromRun(run, `printed no number for "${label}"`);
    return Number(text);
  };
  const time = (label: string) => {
    const at = parseTime(lines.get(label));
    if (at === undefined) throw refusalFromRun(run, `printed no time for "${label}"`);
    return at;
  };
  return {
    fieldTag: lines.get('Field ID') ?? '',
    watched: integer('Flags') % 2 === 1,
    samples: integer('Number of Samples'),
    newest: time('Newest Timestamp'),
    oldest: time('Oldest Timestamp'),
    watchers: integer('Number of Watchers'),
    monitorIntervalMs: integer('Monitor Interval (ms)'),
    maxAgeSeconds: integer('Max Age (sec)'),
    lastStatus: integer('Last Status'),
  };
}

/**
 * `Mon Nov 23 02:24:09 2026`, UTC because dcgmi is run with TZ=UTC. The epoch means that there is no sample: null.
 * undefined: no time.
 */
export function parseTime(text: string | undefined): string | null | undefined {
  const [, month = '', day, hour, minute, second, year] =
    /^\w{3} (\w{3}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/.exec(text ?? '') ?? [];
  const index = months.indexOf(month);
  if (index < 0) return undefined;
  const at = Date.UTC(Number(year), index, Number(day), Number(hour), Number(minute), Number(second));
  const isDay = new Date(at).getUTCDate() === Number(day) && Number(hour) < 24;
  if (!isDay || Number(minute) > 59 || Number(second) > 59) return undefined;
  return at === 0 ? null : isoFromMillis(at);
}

function pairOf(line: string): [string, string][] {
  const [, label, value] = /^\s*(.*?) : (.*)$/.exec(`${line} `) ?? [];
  return label === undefined || value === undefined ? [] : [[label.trim(), value.trim()]];
}
