import t from 'tap';
import { faults, notOffered } from '../../coordinator/catalogue/catalogue.ts';
import { describeFault } from '../../coordinator/catalogue/describe.ts';
import { nmaVersions } from '../../coordinator/catalogue/nma/versions.ts';
import { explain, explainPass, preflight } from '../../coordinator/diagnosis/explain.ts';
import { forecastRepair } from '../../coordinator/repair/forecast.ts';
import { renderDuration } from '../../shared/duration.ts';
import { reasons } from '../../shared/errors.ts';
import { ruleRows } from '../coordinator/diagnosis/rows.ts';

t.test('N5: one way of writing a span of time', async (t) => {
  const rows: readonly (readonly [seconds: number, text: string])[] = [
    [-3, '0 s'],
    [0, '0 s'],
    [0.04, 'less than 0.1 s'],
    [0.84, '0.8 s'],
    [9.96, '10 s'],
    [9.94, '9.9 s'],
    [45.4, '45 s'],
    [59.6, '1 min'],
    [60, '1 min'],
    [595, '9 min 55 s'],
    [600, '10 min'],
    [3599.6, '1 h'],
    [3600, '1 h'],
    [12_000, '3 h 20 min'],
    [86_400, '24 h'],
    [172_800, '2 d'],
    [705_600, '8 d 4 h'],
  ];
  for (const [seconds, text] of rows) t.equal(renderDuration(seconds), text, String(seconds));
});

/** Texts of other programs, which we repeat as they are. */
const quoted = [/blocked for more than \d+ seconds/g, /faster than every 5 minutes/g, /stuck for \d+s!?/g];

/**
 * Spans in another spelling than `renderDuration` gives, where a person reads them: spelt-out units, milliseconds, a minute and
 * more as seconds, an hour and more as minutes. What is to be copied (`"within": "90s"`) is Go's and has no space.
 */
function strayIn(text: string): readonly string[] {
  const own = quoted.reduce((rest, quote) => rest.replace(quote, ''), text);
  const spelt = own.match(/\b\d+(\.\d+)? ?(ms|secs?|seconds?|mins|minutes?|hrs?|hours?|days?)\b/g) ?? [];
  const long = [...own.matchAll(/\b(\d+)(?:\.\d+)? (s|min)\b/g)].filter(([, amount]) => Number(amount) >= 60);
  return [...spelt, ...long.map(([all]) => all)];
}

/** Every text anywhere in a value; members that are messages of the monitoring agent are left out. */
function textsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, member]) => (name === 'message' ? [] : textsIn(member)));
}

t.test('N5: the search for stray spellings finds them', async (t) => {
  for (const stray of ['after 600 s', '0.5 seconds', '90 min', '100 ms', 'every 5 minutes', '2 hours'])
    t.equal(strayIn(stray).length, 1, stray);
  for (const good of [
    '10 to 30 s',
    '9 min 55 s',
    '0.8 s',
    '"within": "90s"',
    'blocked for more than 120 seconds',
  ])
    t.strictSame(strayIn(good), [], good);
});

t.test('N5: no text of the catalogue has another spelling', async (t) => {
  for (const row of faults)
    t.strictSame(textsIn({ ...row, described: describeFault(row) }).flatMap(strayIn), [], row.name);
  for (const row of notOffered) t.strictSame(textsIn(row).flatMap(strayIn), [], row.name);
  for (const row of nmaVersions) t.strictSame(textsIn(row).flatMap(strayIn), [], row.version);
  t.strictSame(textsIn(reasons).flatMap(strayIn), []);
});

t.test('N5: no explanation, check or forecast has another spelling', async (t) => {
  let texts = 0;
  for (const [code, name, , facts] of ruleRows) {
    const answers = [explain(facts), preflight(facts), forecastRepair(facts)];
    const shown = { text: 'x', source: 'y', latencySeconds: 95 };
    const all = textsIn([...answers, ...(facts.drill === undefined ? [] : [explainPass(facts, shown)])]);
    texts += all.length;
    t.strictSame(all.flatMap(strayIn), [], `${code}: ${name}`);
  }
  t.ok(texts > 1000, `${texts} texts`);
});
