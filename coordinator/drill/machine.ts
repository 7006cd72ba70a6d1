import type {
  ExperimentSpec,
  ExperimentStatus,
  InjectionSpec,
  InjectionStatus,
} from '../store/experiment.ts';
import { abortedSummary, type Summary, summarize } from './summary.ts';

/**
 * Where an experiment goes next. Pure: what has happened stands in the objects, so that a coordinator that was killed
 * between any two steps, or another one, goes on from there.
 */
export type ExperimentStep =
  | { readonly step: 'select' }
  /** Selected nodes that have no Injection object yet. */
  | { readonly step: 'create'; readonly nodes: readonly string[] }
  | { readonly step: 'work'; readonly injections: readonly string[] }
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
  if (isEnded(status)) return { step: 'rest' };
  const open = injections.filter((injection) => !isConcluded(injection.status)).map(({ name }) => name);
  if (spec.abort === true) {
    if (open.length > 0) return { step: 'abort', injections: open };
    return { step: 'conclude', summary: abortedSummary(injections) };
  }
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
  if (open.length === 0) return { step: 'conclude', summary: summarize(injections) };
  return { step: 'work', injections: open };
}

/** Whether nothing is left to do for an injection: its chain has come to its verdict. */
export function isConcluded(status: Pick<InjectionStatus, 'phase'> | undefined): boolean {
  return status?.phase === 'Completed';
}

/** Whether the experiment has its verdict. */
export function isEnded(status: Pick<ExperimentStatus, 'phase'> | undefined): boolean {
  return status?.phase === 'Completed' || status?.phase === 'Aborted';
}
