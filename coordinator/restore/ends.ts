import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Restore, RestoreStep } from '../store/restore.ts';
import type { Injection, Store } from '../store/store.ts';
import { explainRestore } from './explain.ts';
import { settledStep, writeRestore } from './record.ts';
import type { StepFinding } from './steps.ts';

/** What a restore answers, and what depends on it. */
export type RestoreAsk = {
  readonly request: number;
  /** Its outcome decides on the verdict of its drill. */
  readonly isOfDrill: boolean;
  /** It fails as soon as it cannot be done before the repair is due. */
  readonly forbidsRepair: boolean;
};

/** A restore that goes on, with what its next step is made from. */
export type Going = {
  readonly injection: Injection;
  readonly restore: Restore;
  readonly ask: RestoreAsk;
};

/** How steps end, and with them restores; each is one write. */
export function createEnds(deps: {
  readonly store: Pick<Store, 'writeInjectionStatus'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when a restore has ended, with its state, and the code of a failed one. */
  readonly onEnd: (state: Restore['state'], code: string | undefined) => void;
}) {
  const { clock } = deps;

  async function end(going: Going, restore: Restore): Promise<void> {
    const ended = { ...restore, endedAt: restore.endedAt ?? isoFromMillis(clock.now()) };
    await writeRestore(deps, going, ended);
    deps.onEnd(ended.state, ended.explanation?.code);
  }

  async function failStep(going: Going, step: RestoreStep | undefined, finding: StepFinding): Promise<void> {
    if (step === undefined) throw new Refusal('internal', 'a restore without steps failed');
    const ended = settledStep(step, finding, clock.now());
    const { code = 'restore-cut-short', because } = finding;
    const restore = withStep(going.restore, ended);
    const { node } = going.injection.spec;
    const explanation = explainRestore(code, { step: ended, restore, node, because });
    await end(going, { ...restore, state: 'failed', summary: explanation.summary, explanation });
  }

  return {
    end,
    /** Shown where people look: in the log, the timeline, and every answer about the restore, which goes on. */
    async warn(going: Going, warning: string): Promise<void> {
      const { spec, metadata } = going.injection;
      deps.log.warn({ node: spec.node, injection: metadata.name }, warning);
      await writeRestore(deps, going, { ...going.restore, warning });
    },
    /** The step, and with it the restore, failed. */
    failStep,
    /** The step has come to its end; a failed one ends the restore. */
    async settle(going: Going, step: RestoreStep, finding: StepFinding): Promise<void> {
      if (finding.state === 'failed') return failStep(going, step, finding);
      const restore = withStep(going.restore, settledStep(step, finding, clock.now()));
      await writeRestore(deps, going, restore);
    },
  };
}

/** The restore with another state of one of its steps. */
export function withStep(restore: Restore, step: RestoreStep): Restore {
  return { ...restore, steps: restore.steps.map((one) => (one.step === step.step ? step : one)) };
}
