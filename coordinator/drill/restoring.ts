import { renderDuration } from '../../shared/duration.ts';
import type { ExperimentSpec, ExperimentStatus, InjectionStatus, LinkStatus } from '../store/experiment.ts';
import { furtherFrom } from '../store/explanation.ts';
import { type Restore, type RestoreState, type RestoreSummary, restoreStates } from '../store/restore.ts';
import { isEnded } from './ended.ts';

/** Which nodes an experiment restores, when, and what that means for its verdict. Pure. */

/** The request that the next restore of an experiment answers; 0: `restore: auto`. */
export function requestOf({ restoreRequest = 0 }: Pick<ExperimentSpec, 'restoreRequest'>): number {
  return restoreRequest;
}

/** Whether its nodes are restored before it ends. */
export function restoresAtEnd(
  spec: Pick<ExperimentSpec, 'restore' | 'restoreRequest' | 'expectation'>,
): boolean {
  return spec.restore === 'auto' || forbidsRepair(spec) || requestOf(spec) > 0;
}

/** Whether its nodes have to be restored before a controller repairs them. */
export function forbidsRepair({ expectation }: Pick<ExperimentSpec, 'expectation'>): boolean {
  return expectation?.repair === 'forbid';
}

/** Whether a restore was requested of an experiment that has ended, and has not come to its end. */
export function isRestorePending(
  spec: Pick<ExperimentSpec, 'restoreRequest'>,
  status: Pick<ExperimentStatus, 'phase' | 'restore'> | undefined,
): boolean {
  return isEnded(status) && requestOf(spec) > (status?.restore?.request ?? 0);
}

/** Whether a restore is on its way: it goes on, or comes at the end of the drill. */
export function isRestoreComing(
  spec: Pick<ExperimentSpec, 'restore' | 'restoreRequest' | 'expectation'>,
  status: Pick<ExperimentStatus, 'phase' | 'restore'> | undefined,
): boolean {
  return isEnded(status) ? isRestorePending(spec, status) : restoresAtEnd(spec);
}

/**
 * When a restore would be carried out that somebody asks for; undefined: there is nothing to ask for, as one is on its way, nothing was
 * injected, or it has been taken back.
 */
function restorable(
  spec: Pick<ExperimentSpec, 'restore' | 'restoreRequest' | 'expectation'>,
  status: Pick<ExperimentStatus, 'phase' | 'restore' | 'injected'> | undefined,
): 'now' | 'at-end' | undefined {
  if (isRestoreComing(spec, status)) return undefined;
  if (!isEnded(status)) return 'at-end';
  const isDone = status?.restore?.state === 'restored' || status?.restore?.state === 'nothing';
  return isDone || status?.injected === 'none' ? undefined : 'now';
}

/** What is left to do for an experiment, and what somebody may ask for. */
export function standingOf({
  spec,
  status,
}: {
  readonly spec: Pick<ExperimentSpec, 'restore' | 'restoreRequest' | 'expectation'>;
  readonly status?: Pick<ExperimentStatus, 'phase' | 'restore' | 'injected'> | undefined;
}): { readonly restorable: 'now' | 'at-end' | undefined; readonly isSettled: boolean } {
  return { restorable: restorable(spec, status), isSettled: isSettled(spec, status) };
}

/** The number of the next request to restore. */
export function nextRequest(
  spec: Pick<ExperimentSpec, 'restoreRequest'>,
  status: Pick<ExperimentStatus, 'restore'> | undefined,
): number {
  return Math.max(requestOf(spec), status?.restore?.request ?? 0) + 1;
}

/** Whether nothing is left to do for an experiment: neither its drill nor a restore goes on. */
export function isSettled(
  spec: Pick<ExperimentSpec, 'restoreRequest'>,
  status: Pick<ExperimentStatus, 'phase' | 'restore'> | undefined,
): boolean {
  return isEnded(status) && !isRestorePending(spec, status);
}

/** Whether the node of an injection is being restored, so that no other drill may begin there. */
export function isRestoring(status: Pick<InjectionStatus, 'restore'> | undefined): boolean {
  return status?.restore?.state === 'running';
}

/** Whether the restore of an injection that answers this request, or a later one, has come to its end. */
export function isRestored(status: Pick<InjectionStatus, 'restore'> | undefined, request: number): boolean {
  const restore = status?.restore;
  return restore !== undefined && restore.state !== 'running' && restore.request >= request;
}

/** From the worst to the best. */
const severity: readonly RestoreState[] = ['running', 'failed', 'restored', 'nothing'];

/** The restores of an experiment over its nodes; undefined: there is none. */
export function summarizeRestores(
  injections: readonly { readonly status: Pick<InjectionStatus, 'restore'> | undefined }[],
  request: number,
): RestoreSummary {
  const all = injections.flatMap(({ status }) => status?.restore ?? []);
  const nodes: Record<string, number> = {};
  for (const state of restoreStates) {
    const count = all.filter((restore) => restore.state === state).length;
    if (count > 0) nodes[state] = count;
  }
  const endedAt = all
    .flatMap((restore) => restore.endedAt ?? [])
    .toSorted()
    .at(-1);
  const state = severity.find((one) => nodes[one] !== undefined) ?? 'nothing';
  const [warning] = all.flatMap((restore) => restore.warning ?? []);
  return {
    request,
    state,
    nodes,
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(warning === undefined ? {} : { warning }),
  };
}

/** A restore as a link of the chain, behind all others. */
export function restoreLink(restore: Restore): LinkStatus {
  const states = { running: 'waiting', restored: 'reached', nothing: 'skipped', failed: 'missed' } as const;
  const { state, startedAt, endedAt, summary, steps } = restore;
  const seconds =
    state === 'restored' && endedAt !== undefined
      ? { seconds: (Date.parse(endedAt) - Date.parse(startedAt)) / 1000 }
      : {};
  return {
    id: 'restore',
    link: 'restore',
    state: states[state],
    expected: 'what the drill left on the node is gone and stays gone',
    clock: 'coordinator',
    ...(endedAt === undefined ? {} : { at: endedAt }),
    ...seconds,
    ...(summary === undefined ? {} : { because: summary }),
    evidence: steps.flatMap((step) => step.evidence),
  };
}

/**
 * The status of an injection whose restore has ended. A drill that restores at its end passes only with it; a verdict that
 * is no pass says more than a restore does, and keeps its cause.
 */
export function withRestored(status: InjectionStatus, restore: Restore, isOfDrill: boolean): InjectionStatus {
  const { verdict, explanation } = status;
  const after = { ...status, restore };
  if (!isOfDrill || explanation === undefined) return after;
  const { explanation: failure } = restore;
  if (failure === undefined) {
    if (restore.state === 'running') return after;
    // What the drill left is what the remedy of one that passed is about; of any other it is about the broken link.
    const remedy = verdict === 'pass' ? [] : [explanation.remedy];
    return {
      ...after,
      explanation: { ...explanation, remedy: [...remedy, remedyAfter(restore)].join(' ') },
    };
  }
  if (verdict !== 'pass')
    return {
      ...after,
      explanation: { ...explanation, alsoFound: [...explanation.alsoFound, furtherFrom(failure)] },
    };
  return {
    ...after,
    verdict: 'fail',
    explanation: { ...failure, evidence: [...explanation.evidence, ...failure.evidence] },
  };
}

function remedyAfter({ state, left, startedAt, endedAt }: Restore): string {
  const seconds = (Date.parse(endedAt ?? startedAt) - Date.parse(startedAt)) / 1000;
  const done =
    state === 'restored'
      ? `Nothing to do: restored within ${renderDuration(seconds)}.`
      : 'Nothing to restore.';
  return [done, ...left.map(({ what, until }) => `Stays until ${until}: ${what}.`)].join(' ');
}
