import { isoFromMillis } from '../../shared/clock.ts';
import { refusalFromUnknown } from '../../shared/errors.ts';
import type { RestoreStep } from '../store/restore.ts';
import type { Going } from './ends.ts';
import type { createLooks } from './looks.ts';
import type { RestorePods } from './port.ts';
import type { RestoreStepRow, StepFinding } from './steps.ts';

/**
 * Carries out the effect of a step, which may have been carried out before: a pod is deleted by its uid, so that the one which
 * came in its place stays. Answers what ends the step at once.
 */
export function createActs(
  deps: {
    readonly pods: RestorePods;
    readonly clock: { now(): number };
    /** The kill switch in a line, while it is engaged. */
    readonly killSwitch: () => string | undefined;
  },
  looks: Pick<ReturnType<typeof createLooks>, 'stopOrders'>,
): (
  going: Going,
  row: RestoreStepRow,
  step: RestoreStep,
  signal: AbortSignal,
) => Promise<StepFinding | undefined> {
  return async ({ injection }, row, step, signal) => {
    if (row.act === 'stop-orders') return looks.stopOrders(injection, signal);
    if (row.act !== 'restart-pod' || step.pod === undefined) return undefined;
    const engaged = deps.killSwitch();
    if (engaged !== undefined) return switchedOff(engaged);
    try {
      await deps.pods.restart(step.pod);
    } catch (thrown) {
      const refusal = refusalFromUnknown(thrown);
      // Another pod has its name by now: it was restarted before.
      if (refusal.reason === 'object_conflict') return undefined;
      if (refusal.reason !== 'cluster_refused') throw thrown;
      const source = `delete pods ${step.pod.namespace}/${step.pod.name}`;
      const evidence = [{ source, observed: refusal.message, at: isoFromMillis(deps.clock.now()) }];
      return { state: 'failed', code: 'restore-not-allowed', because: refusal.message, evidence };
    }
    return undefined;
  };
}

/** The kill switch ends a restore: nothing is restarted while it is engaged. */
export function switchedOff(because: string): StepFinding {
  return { state: 'failed', code: 'restore-kill-switch', because, evidence: [] };
}
