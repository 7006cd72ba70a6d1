import type {
  ExperimentSpec,
  ExperimentStatus,
  InjectionSpec,
  InjectionStatus,
} from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import { injectedByAny } from '../store/injected.ts';
import type { RestoreSummary } from '../store/restore.ts';
import type { Verdict } from '../store/timeline.ts';
import { isConcluded, isEnded } from './ended.ts';
import {
  isRestored,
  isRestorePending,
  isRestoring,
  requestOf,
  restoresAtEnd,
  summarizeRestores,
} from './restoring.ts';

/**
 * Where an experiment goes next. Pure: what has happened stands in the objects, so that a coordinator that was killed
 * between any two steps, or another one, goes on from there.
 */
export type ExperimentStep =
  | { readonly step: 'select' }
  /** Selected nodes that have no Injection object yet. */
  | { readonly step: 'create'; readonly nodes: readonly string[] }
  /** `injections` are drilled, and then, where that is wanted, restored; `restore` have their verdict and are restored. */
  | { readonly step: 'work'; readonly injections: readonly string[]; readonly restore: readonly string[] }
  /** Restores that were begun and are not carried on. */
  | { readonly step: 'cut'; readonly injections: readonly string[] }
  /** All restores of an experiment that had ended before have come to their end. */
  | { readonly step: 'restored'; readonly restore: RestoreSummary }
  | { readonly step: 'abort'; readonly injections: readonly string[] }
  | { readonly step: 'expire'; readonly injections: readonly string[] }
  | { readonly step: 'conclude'; readonly summary: Summary }
  | { readonly step: 'rest' };

/** One injection as it is stored. */
export type InjectionState = {
  readonly name: string;
  readonly spec: InjectionSpec;
  readonly status: InjectionStatus | undefined;
};

/** What an experiment needs next; pure. `now` in ms of the coordinator's clock. */
export function nextExperimentStep(
  spec: ExperimentSpec,
  status: ExperimentStatus | undefined,
  injections: readonly InjectionState[],
  now: number,
): ExperimentStep {
  const request = requestOf(spec);
  const unrestored = injections
    .filter((injection) => isConcluded(injection.status) && !isRestored(injection.status, request))
    .map(({ name }) => name);
  if (isEnded(status)) {
    if (!isRestorePending(spec, status)) return { step: 'rest' };
    if (unrestored.length > 0) return { step: 'work', injections: [], restore: unrestored };
    return { step: 'restored', restore: summarizeRestores(injections, request) };
  }
  const open = injections.filter((injection) => !isConcluded(injection.status)).map(({ name }) => name);
  if (spec.abort === true) {
    if (open.length > 0) return { step: 'abort', injections: open };
    const begun = injections.filter((injection) => isRestoring(injection.status)).map(({ name }) => name);
    if (begun.length > 0) return { step: 'cut', injections: begun };
    return { step: 'conclude', summary: abortedSummary(injections) };
  }
  const restore = restoresAtEnd(spec) ? unrestored : [];
  if (status === undefined || status.phase === 'Pending') return { step: 'select' };
  const missing = (status.selected ?? []).filter(
    (node) => !injections.some(({ spec }) => spec.node === node),
  );
  const late = status.deadlineAt !== undefined && now >= Date.parse(status.deadlineAt);
  if (late && open.length > 0) return { step: 'expire', injections: open };
  if (missing.length > 0) {
    if (!late) return { step: 'create', nodes: missing };
    return { step: 'conclude', summary: { ...summarize(injections), verdict: 'error' } };
  }
  if (open.length === 0 && restore.length === 0)
    return {
      step: 'conclude',
      summary: {
        ...summarize(injections),
        ...(restoresAtEnd(spec) ? { restore: summarizeRestores(injections, request) } : {}),
      },
    };
  return { step: 'work', injections: open, restore };
}

/** How an experiment ended, from the ends of its injections. */
type Summary = Required<Pick<ExperimentStatus, 'verdict' | 'counts' | 'injected' | 'causes'>> &
  Pick<ExperimentStatus, 'phase' | 'explanation' | 'latency' | 'restore'>;

/** An injection as far as it counts for the summary. */
export type SummedInjection = {
  readonly name: string;
  readonly spec: { readonly node: string };
  readonly status: InjectionStatus | undefined;
};

type Ended = {
  readonly name: string;
  readonly node: string;
  readonly verdict: Verdict;
  readonly status: InjectionStatus;
  readonly explanation: Explanation | undefined;
};

/** From the worst to the best: one node that failed is what the caller has to know. */
const severity: readonly Verdict[] = ['error', 'fail', 'inconclusive', 'aborted', 'pass'];

/** Nodes whose cause is kept with the experiment; each injection has its own. */
const longestCauses = 100;
/** Nodes that are named for one cause in a sentence, causes that are explained, and nodes that are shown as evidence. */
const namedNodes = 3;
const explainedCauses = 5;
const shownNodes = 20;

/** The verdict is that of the worst node, the latency that of the slowest; several nodes have a sentence of their own. */
export function summarize(injections: readonly SummedInjection[]): Summary {
  return summed(injections, endedOf(injections).toSorted(byVerdict));
}

/** What an abort cut short is what the caller has to know, also where another node ended worse. */
export function abortedSummary(injections: readonly SummedInjection[]): Summary {
  const ended = endedOf(injections).toSorted(
    (left, right) =>
      Number(right.verdict === 'aborted') - Number(left.verdict === 'aborted') || byVerdict(left, right),
  );
  const { explanation, ...rest } = summed(injections, ended);
  const isCut = ended[0]?.verdict === 'aborted';
  return {
    ...rest,
    phase: 'Aborted',
    verdict: 'aborted',
    ...(isCut && explanation !== undefined ? { explanation } : {}),
  };
}

function summed(injections: readonly SummedInjection[], ended: readonly Ended[]): Summary {
  const [first] = ended;
  const slowest = ended
    .flatMap(({ status }) => status.latency ?? [])
    .toSorted((left, right) => right.seconds - left.seconds)[0];
  const count = (verdict: Verdict) => ended.filter((row) => row.verdict === verdict).length;
  const explanation = injections.length > 1 ? explainMany(injections.length, ended) : first?.explanation;
  return {
    phase: 'Completed',
    verdict: first?.verdict ?? 'error',
    counts: {
      total: injections.length,
      pass: count('pass'),
      fail: count('fail'),
      other: injections.length - count('pass') - count('fail'),
    },
    injected: injectedByAny(injections.map(({ status }) => status?.injected ?? 'none')),
    causes: ended.slice(0, longestCauses).map(({ node, verdict, explanation }) => ({
      node,
      verdict,
      code: explanation?.code ?? 'none',
      summary: explanation?.summary ?? '',
    })),
    ...(explanation === undefined ? {} : { explanation }),
    ...(slowest === undefined ? {} : { latency: slowest }),
  };
}

function endedOf(injections: readonly SummedInjection[]): readonly Ended[] {
  return injections.flatMap(({ name, spec, status }) =>
    status?.verdict === undefined
      ? []
      : [{ name, node: spec.node, verdict: status.verdict, status, explanation: status.explanation }],
  );
}

function byVerdict(left: Ended, right: Ended): number {
  return severity.indexOf(left.verdict) - severity.indexOf(right.verdict);
}

/** `2 of 3 passed; gpu-broken: arm64-gate.` One node's sentence never stands for all. */
function explainMany(total: number, ended: readonly Ended[]): Explanation | undefined {
  const [first] = ended;
  if (first?.explanation === undefined) return undefined;
  const passed = ended.filter(({ verdict }) => verdict === 'pass').length;
  const groups = byCause(ended.filter(({ verdict }) => verdict !== 'pass'));
  const causes = groups.map(({ code, nodes }) => `; ${nodes}: ${code}`).join('');
  const further = groups.length === 0 ? byCause(ended) : groups;
  const explained = further.slice(0, explainedCauses);
  const commands = [...new Set(explained.flatMap((cause) => cause.commands))];
  return {
    code: first.explanation.code,
    summary: `${passed} of ${total} passed${causes}.`,
    evidence: ended.slice(0, shownNodes).map(({ name, verdict, status, explanation }) => ({
      source: `injections/${name} status.explanation`,
      observed: `${verdict}, ${explanation?.code ?? 'none'}: ${explanation?.summary ?? ''}`,
      at: status.endedAt ?? '',
    })),
    remedy: explained.map(({ nodes, remedy }) => `${nodes}: ${remedy}`).join(' '),
    ...(commands.length === 0 ? {} : { commands }),
    refuted: [],
    alsoFound: explained
      .filter(({ code }) => code !== first.explanation?.code)
      .map(({ code, nodes, summary, remedy }) => ({ code, summary: `${nodes}: ${summary}`, remedy })),
  };
}

/** One entry for each cause, in the order of its worst node; `nodes` names a few of them. */
function byCause(ended: readonly Ended[]) {
  const causes = new Map<string, Ended[]>();
  for (const row of ended) {
    const code = row.explanation?.code ?? 'none';
    causes.set(code, [...(causes.get(code) ?? []), row]);
  }
  return [...causes].map(([code, rows]) => ({
    code,
    nodes: namesOf(rows),
    summary: rows[0]?.explanation?.summary ?? '',
    remedy: rows[0]?.explanation?.remedy ?? '',
    commands: rows[0]?.explanation?.commands ?? [],
  }));
}

function namesOf(rows: readonly Ended[]): string {
  const names = rows.slice(0, namedNodes).map(({ node }) => node);
  const more = rows.length - names.length;
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
