import type { ExperimentStatus, InjectionStatus } from '../store/experiment.ts';

/** Whether the chain of an injection has come to its verdict. */
export function isConcluded(status: Pick<InjectionStatus, 'phase'> | undefined): boolean {
  return status?.phase === 'Completed';
}

/** Whether the experiment has its verdict. */
export function isEnded(status: Pick<ExperimentStatus, 'phase'> | undefined): boolean {
  return status?.phase === 'Completed' || status?.phase === 'Aborted';
}
