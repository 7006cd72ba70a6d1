import { restoreLink } from '../drill/restoring.ts';
import { type ExperimentStatus, knownLinkState, type LinkStatus } from '../store/experiment.ts';
import { injectedByAny } from '../store/injected.ts';
import type { Experiment, Injection } from '../store/store.ts';
import { knownVerdict, type Verdict } from '../store/timeline.ts';
import type { ExperimentReport, ReportLink, ReportNode, SuiteDrill, SuiteReport } from './model.ts';
import { reportSchema } from './model.ts';

/** The report of one experiment as it stands. Pure: the same objects give the same report. */
export function experimentReport(experiment: Experiment, injections: readonly Injection[]): ExperimentReport {
  const { metadata, spec } = experiment;
  const status: Partial<ExperimentStatus> = experiment.status ?? {};
  const { phase = 'Pending', verdict = null, explanation = null, startedAt = null, endedAt = null } = status;
  return {
    schema: reportSchema,
    kind: 'ExperimentReport',
    name: metadata.name,
    fault: { name: spec.fault.name, parameters: { ...spec.fault.parameters } },
    target: spec.target ?? null,
    expectation: spec.expectation ?? null,
    phase,
    verdict: verdict === null ? null : knownVerdict(verdict),
    injected: status.injected ?? injectedByAny(injections.map((one) => one.status?.injected ?? 'none')),
    summary: explanation?.summary ?? (verdict === null ? `It has not ended (${phase}).` : ''),
    explanation,
    counts: status.counts ?? null,
    restore: status.restore ?? null,
    createdAt: metadata.creationTimestamp ?? null,
    startedAt,
    endedAt,
    seconds: secondsBetween(startedAt, endedAt),
    nodes: injections
      .map(nodeReport)
      .toSorted((left, right) => (left.node < right.node ? -1 : left.node > right.node ? 1 : 0)),
    skipped: status.skipped ?? [],
  };
}

function nodeReport({ spec, status }: Injection): ReportNode {
  const { links = [], restore } = status ?? {};
  const known: readonly LinkStatus[] = spec.chain.map(
    ({ id, link, expected }) =>
      links.find((one) => one.id === id) ?? { id, link, state: 'waiting', expected, evidence: [] },
  );
  const shown: readonly LinkStatus[] =
    restore === undefined ? known : [...known, { ...restoreLink(restore), since: restore.startedAt }];
  return {
    node: spec.node,
    pool: spec.pool ?? null,
    verdict: status?.verdict === undefined ? null : knownVerdict(status.verdict),
    injected: status?.injected ?? 'none',
    latency: status?.latency ?? null,
    explanation: status?.explanation ?? null,
    links: shown.map(linkReport),
    receipts: known.flatMap(({ id, receipt }) => (receipt === undefined ? [] : [{ link: id, receipt }])),
    timeline: status?.timeline ?? [],
  };
}

function linkReport(link: LinkStatus): ReportLink {
  const { id, link: name, expected, since, at, clock, because, evidence } = link;
  const seconds = isTime(link.seconds) ? link.seconds : undefined;
  const until = endOf(link);
  return {
    id,
    link: name,
    state: knownLinkState(link.state),
    expected,
    ...(since === undefined ? {} : { since }),
    ...(at === undefined ? {} : { at }),
    ...(clock === undefined ? {} : { clock }),
    ...(seconds === undefined ? {} : { seconds }),
    ...(until === undefined ? {} : { until }),
    ...(because === undefined ? {} : { because }),
    evidence,
  };
}

/** Seconds that are none come of times that are none: somebody else wrote them. */
function isTime(seconds: number | undefined): seconds is number {
  return seconds !== undefined && Math.abs(seconds) < 1e12;
}

/** On the clock of `since`, so that bars of one drawing are of one clock. */
function endOf({ since, seconds, state, at, clock, dueAt }: LinkStatus): string | undefined {
  if (since === undefined) return undefined;
  // A clock far off, or a text that is none of ours, has no end that could be drawn.
  const end = new Date(Date.parse(since) + (isTime(seconds) ? seconds : 0) * 1000);
  if (isTime(seconds)) return Number.isNaN(end.getTime()) ? undefined : end.toISOString();
  if (clock === 'coordinator' && at !== undefined) return at;
  return state === 'missed' || state === 'unknown' ? dueAt : undefined;
}

function secondsBetween(from: string | null, to: string | null): number | null {
  const seconds = (Date.parse(to ?? '') - Date.parse(from ?? '')) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

/** From the worst to the best. */
const severity: readonly Verdict[] = ['error', 'fail', 'inconclusive', 'aborted', 'pass'];

/** The verdict of a drill of a suite; undefined: it was not run. */
export function verdictOf({ error, report, skipped }: SuiteDrill): Verdict | undefined {
  if (skipped !== null) return undefined;
  return error === null ? (report?.verdict ?? 'error') : 'error';
}

/** The report of a run of a suite: the verdict is that of its worst drill. Pure. */
export function suiteReport(name: string, run: string, drills: readonly SuiteDrill[]): SuiteReport {
  const verdicts = drills.flatMap((drill) => verdictOf(drill) ?? []);
  const count = (...of: readonly Verdict[]) => verdicts.filter((one) => of.includes(one)).length;
  const skipped = drills.length - verdicts.length;
  const verdict = severity.find((one) => verdicts.includes(one)) ?? 'error';
  const reports = drills.flatMap(({ report }) => report ?? []);
  const times = (of: 'startedAt' | 'endedAt') => reports.flatMap((report) => report[of] ?? []).toSorted();
  const bad = drills.filter((drill) => (verdictOf(drill) ?? 'pass') !== 'pass').map((drill) => drill.name);
  return {
    schema: reportSchema,
    kind: 'SuiteReport',
    name,
    run,
    verdict,
    summary: `${count('pass')} of ${drills.length} drills passed${skipped > 0 ? `, ${skipped} were not run` : ''}${bad.length > 0 ? `; not passed: ${bad.join(', ')}` : ''}.`,
    counts: {
      total: drills.length,
      pass: count('pass'),
      fail: count('fail'),
      other: count('inconclusive', 'error', 'aborted'),
      skipped,
    },
    startedAt: times('startedAt')[0] ?? null,
    endedAt: times('endedAt').at(-1) ?? null,
    drills: [...drills],
    latencies: latenciesOf(drills),
  };
}

function latenciesOf(drills: readonly SuiteDrill[]): SuiteReport['latencies'] {
  const links = new Map<string, SuiteReport['latencies'][number]['samples']>();
  for (const { name, report } of drills)
    for (const { node, links: chain } of report?.nodes ?? [])
      for (const { link, state, seconds } of chain)
        if (state === 'reached' && seconds !== undefined)
          links.set(link, [...(links.get(link) ?? []), { drill: name, node, seconds }]);
  return [...links].map(([link, samples]) => ({ link, samples }));
}
