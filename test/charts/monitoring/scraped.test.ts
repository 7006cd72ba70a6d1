import t from 'tap';
import { cpuNode, only, startRig } from '../../coordinator/rig.ts';
import { type Asked, askedBy, queries } from './queries.ts';
import { matching, type Series, seriesIn } from './scrape.ts';

/** What is wrong with a query on these series; empty where it would show something. */
function faultsOf(series: readonly Series[], asked: Asked): readonly string[] {
  const family = series.filter(({ name }) => name === asked.metric);
  if (family.length === 0) return [`no series of ${asked.metric}`];
  const faults: string[] = [];
  const found = matching(series, asked);
  if (found.length === 0)
    faults.push(`no series of ${asked.metric} matches ${JSON.stringify(asked.matchers)}`);
  for (const label of [...asked.by, ...asked.matchers.map(({ label }) => label)])
    if (!family.every(({ labels }) => Object.hasOwn(labels, label)))
      faults.push(`${asked.metric} has no label ${label}`);
  const isCounted = family.every(({ type }) => type === 'counter' || type === 'histogram');
  if (asked.isIncrease !== isCounted)
    faults.push(`${asked.metric}: an increase is taken of counters, and of nothing else`);
  return faults;
}

t.test('alerts and dashboard find series in what both programs are scraped for', async (t) => {
  const rig = await startRig(t, { rows: [cpuNode('cpu')] });
  // Histograms have no series before the first drill; all else has to be there without one.
  const scrape = async () =>
    (
      await Promise.all(
        [rig.url, rig.node('cpu').url].map(async (url) => {
          const response = await fetch(`${url}/metrics`);
          return seriesIn(await response.text());
        }),
      )
    ).flat();
  const before = await scrape();
  const drill = await rig.rest.drill({ fault: { name: 'task-blocked' }, target: only('cpu') });
  t.equal(drill.verdict, 'pass');
  const after = await scrape();

  const all = queries();
  t.ok(all.length > 9, `${all.length} queries`);
  for (const { where, expr, named } of all) {
    const asked = askedBy(expr);
    t.not(asked.length, 0, where);
    for (const each of asked) {
      const isHistogram = after.some(({ name, type }) => name === each.metric && type === 'histogram');
      t.strictSame(faultsOf(isHistogram ? after : before, each), [], `${where}: ${expr}`);
      for (const label of named) t.ok(each.by.includes(label), `${where}: its text has the label ${label}`);
    }
  }
});

t.test('what a query could get wrong is found', async (t) => {
  const series = seriesIn(
    [
      '# HELP a_total What.',
      '# TYPE a_total counter',
      'a_total{kind="x",text="a \\"b\\", c"} 1',
      '# TYPE g gauge',
      'g 2',
      '# TYPE h histogram',
      'h_bucket{le="+Inf"} 3',
      '',
    ].join('\n'),
  );
  t.strictSame(series[0]?.labels, { kind: 'x', text: 'a \\"b\\", c' });
  for (const [expr, fault] of [
    ['sum by (kind) (increase(a_total{kind=~"x|y"}[5m])) > 0', undefined],
    ['histogram_quantile(0.5, sum by (le) (rate(h_bucket[5m])))', undefined],
    ['max(g) > 0', undefined],
    ['max(b) > 0', 'no series of b'],
    [
      'increase(a_total{kind="y"}[5m])',
      'no series of a_total matches [{"label":"kind","op":"=","value":"y"}]',
    ],
    [
      'increase(a_total{kind=~"x.+"}[5m])',
      'no series of a_total matches [{"label":"kind","op":"=~","value":"x.+"}]',
    ],
    ['sum by (node) (increase(a_total[5m]))', 'a_total has no label node'],
    ['increase(a_total{node!="x"}[5m])', 'a_total has no label node'],
    ['a_total > 0', 'a_total: an increase is taken of counters, and of nothing else'],
    ['rate(g[5m])', 'g: an increase is taken of counters, and of nothing else'],
  ] as const)
    t.strictSame(
      askedBy(expr).flatMap((asked) => faultsOf(series, asked)),
      fault === undefined ? [] : [fault],
      expr,
    );
  t.throws(() => askedBy('sum by (kind) (increase(a_total[15m])) >'), { message: /no PromQL/ });
  t.throws(() => askedBy('sum without (kind) (increase(a_total[15m]))'), {
    message: /does not read Without/,
  });
  t.throws(() => seriesIn('a{b=c} 1'), { message: /no labels/ });
  t.throws(() => seriesIn('<html>'), { message: /no line of a scrape/ });
});
