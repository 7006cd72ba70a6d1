import fc from 'fast-check';
import t from 'tap';
import { experimentReport, suiteReport } from '../../../coordinator/report/build.ts';
import { reportFormats } from '../../../coordinator/report/formats.ts';
import { acceptedFormat } from '../../../coordinator/report/route.ts';
import {
  ExperimentSpec,
  ExperimentStatus,
  InjectionSpec,
  InjectionStatus,
} from '../../../coordinator/store/experiment.ts';
import type { Experiment, Injection } from '../../../coordinator/store/store.ts';
import { valuesOf } from '../../contract/stored-values.ts';
import { checked, namesIn } from './check.ts';
import { explanation, nasty, nastyExperiment, nastySuite } from './nasty.ts';

t.test('hostile names are shown, and obeyed by nobody', async (t) => {
  const single = checked(t, experimentReport(...nastyExperiment()), 'experiment');
  const suite = checked(t, suiteReport(nasty, nasty, nastySuite()), 'suite');
  for (const texts of [single, suite]) {
    for (const format of reportFormats) {
      const text = texts[format];
      t.notMatch(text, /[\u0007\u001b\u202e\u2066]/, `${format}: nothing steers`);
      t.ok(text.isWellFormed(), `${format}: no half of a pair`);
    }
    const { html, junit } = texts;
    // A block of code is shown as it is: its fence is longer than any in it.
    const fence = '`'.repeat(4);
    const markdown = texts.markdown
      .split(fence)
      .filter((_, index) => index % 2 === 0)
      .join('');
    t.match(texts.markdown, `${fence}sh\n`);
    const { elements, attributes, links } = namesIn(html);
    t.same(
      elements.filter((name) => ['img', 'script', 'b'].includes(name)),
      [],
    );
    t.same(
      attributes.filter((name) => name.startsWith('on') || ['src', 'style'].includes(name)),
      [],
    );
    t.ok(
      links.every((link) => link.startsWith('#drill-')),
      'nothing is loaded, and no link leads away',
    );
    t.match(html, '&lt;img src=x onerror=alert(1)&gt;', 'but all of it can be read');
    t.match(junit, ']]&gt;');
    t.notMatch(markdown.replaceAll('\\<', '\\'), /<(img|script|b|svg)\b/, 'no HTML in Markdown');
    t.notMatch(markdown, /(^|[^\\])\[x\]\(/, 'no link of theirs');
    t.notMatch(markdown, /^# heading/m, 'no heading of theirs');
  }
});

t.test('every experiment that can be stored has a report in every format', async () => {
  const experiments = fc.record({
    spec: valuesOf(ExperimentSpec as never),
    status: fc.option(valuesOf(ExperimentStatus as never), { nil: undefined }),
  });
  const injections = fc.array(
    fc.record({
      spec: valuesOf(InjectionSpec as never),
      status: fc.option(valuesOf(InjectionStatus as never), { nil: undefined }),
    }),
    { maxLength: 2 },
  );
  fc.assert(
    fc.property(experiments, injections, (experiment, all) => {
      const stored = { metadata: { name: 'made' }, ...experiment } as Experiment;
      const report = experimentReport(
        stored,
        all.map((one) => ({ metadata: { name: 'one' }, ...one }) as Injection),
      );
      const drill = { name: 'a', experiment: 'made', tags: [], skipped: null, error: null, report };
      for (const one of [report, suiteReport('s', 'r', [drill])]) {
        const failures: string[] = [];
        const collect = {
          equal: (found: unknown, wanted: unknown, what: string) =>
            found === wanted || failures.push(`${what}: ${String(found).slice(0, 2000)}`),
        };
        checked(collect as never, one, one.kind);
        if (failures.length > 0) throw new Error(failures.join('\n'));
      }
    }),
    { numRuns: 30, seed: 20261201 },
  );
});

t.test('a pipeline sees each link, and never takes what did not pass for a success', async (t) => {
  const [experiment, injections] = nastyExperiment();
  const [injection] = injections;
  const counts = (junit: string) =>
    /<testsuites [^>]*tests="(\d+)" failures="(\d+)" errors="(\d+)"/.exec(junit)?.slice(1).map(Number);
  const of = (given: Experiment, all: readonly Injection[]) =>
    counts(checked(t, experimentReport(given, all), 'case').junit);
  t.same(of(experiment, injections), [3, 1, 0], 'the missed link is the failure, what follows is skipped');
  t.same(of({ ...experiment, status: undefined }, []), [1, 0, 1], 'one that has not ended is an error');
  const blocked = {
    ...injection,
    status: { phase: 'Completed', verdict: 'fail', explanation, links: [] },
  } as unknown as Injection;
  t.same(of(experiment, [blocked]), [4, 1, 0], 'one that was blocked before its first link');
  const passed = { ...blocked, status: { phase: 'Completed', verdict: 'pass' } } as Injection;
  const ended = { ...experiment, status: { phase: 'Completed', verdict: 'pass' } } as Experiment;
  t.same(of(ended, [passed]), [3, 0, 0]);
  for (const verdict of ['inconclusive', 'error', 'aborted'] as const) {
    const other = { ...experiment, status: { phase: 'Completed', verdict, explanation } } as Experiment;
    t.same(of(other, []), [1, 0, 1], `${verdict} is an error, not a failure`);
  }
  const suite = checked(t, suiteReport('s', 'r', nastySuite()), 'suite').junit;
  t.same(counts(suite), [5, 1, 1]);
  t.match(suite, /<skipped type="skipped"/);
});

t.test('what Accept asks for', async (t) => {
  const rows: readonly (readonly [string | undefined, string])[] = [
    [undefined, 'json'],
    ['', 'json'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'html'],
    ['text/markdown', 'markdown'],
    ['application/xml', 'junit'],
    ['text/*', 'html'],
    ['application/*;q=0.5, text/markdown;q=0.6', 'markdown'],
    ['text/html;q=0, */*;q=0.1', 'json'],
    ['TEXT/HTML', 'html'],
  ];
  for (const [accept, format] of rows) t.equal(acceptedFormat(accept), format, String(accept));
  for (const accept of ['image/png', 'text/plain', 'application/json;q=0', ';;,'])
    t.throws(() => acceptedFormat(accept), { reason: 'not_acceptable' } as never, accept);
});
