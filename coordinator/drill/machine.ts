import type {
  Control,
  ControlStatus,
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

/** `Selected`: baseline and preflight come next. `Injecting`: the order may or may not have been given. */
export type InjectionStep = 'prepare' | 'control' | 'inject' | 'verify' | 'rest';

/** Where a negative drill goes next in a phase of controls; they are made one after the other. */
export type ControlStep =
  | { readonly step: 'observe'; readonly control: Control }
  /** The order may or may not have been given. */
  | { readonly step: 'order'; readonly control: Control; readonly made: ControlStatus }
  | { readonly step: 'await'; readonly control: Control; readonly made: ControlStatus }
  /** Each has been answered. */
  | { readonly step: 'proceed' };

export type InjectionState = {
  readonly name: string;
  readonly spec: InjectionSpec;
  readonly status: InjectionStatus | undefined;
};

export function nextExperimentStep(
  spec: ExperimentSpec,
  status: ExperimentStatus | undefined,
  injections: readonly InjectionState[],
  now: number,
): ExperimentStep {
  if (isEnded(status)) return { step: 'rest' };
  const open = injections
    .filter((injection) => nextInjectionStep(injection.status) !== 'rest')
    .map(({ name }) => name);
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

export function nextInjectionStep(status: InjectionStatus | undefined): InjectionStep {
  switch (status?.phase) {
    case undefined:
    case 'Selected':
      return 'prepare';
    case 'ControlBefore':
    case 'ControlAfter':
      return 'control';
    case 'Injecting':
      return 'inject';
    case 'Verifying':
      return 'verify';
    case 'Completed':
      return 'rest';
  }
}

export function nextControlStep(
  { controls = [] }: Pick<InjectionSpec, 'controls'>,
  status: Pick<InjectionStatus, 'phase' | 'controls'>,
): ControlStep {
  const when = status.phase === 'ControlBefore' ? 'before' : 'after';
  for (const control of controls.filter((candidate) => candidate.when === when)) {
    const made = status.controls?.find(({ orderId }) => orderId === control.order.orderId);
    if (made === undefined) return { step: 'observe', control };
    if (made.receipt === undefined) return { step: 'order', control, made };
    if (made.seen === undefined) return { step: 'await', control, made };
  }
  return { step: 'proceed' };
}

export function isEnded(status: Pick<ExperimentStatus, 'phase'> | undefined): boolean {
  return status?.phase === 'Completed' || status?.phase === 'Aborted';
}
