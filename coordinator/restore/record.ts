import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { withRestored } from '../drill/restoring.ts';
import { shortened, timelineEntry } from '../drill/timeline.ts';
import type { Restore, RestoreStep } from '../store/restore.ts';
import type { Injection, Store } from '../store/store.ts';
import type { StepFinding } from './steps.ts';

/** Stores a restore in its injection, whose timeline gains each step that has ended since. */
export async function writeRestore(
  { store, clock }: { readonly store: Pick<Store, 'writeInjectionStatus'>; readonly clock: Clock },
  { injection, ask }: { readonly injection: Injection; readonly ask: { readonly isOfDrill: boolean } },
  restore: Restore,
): Promise<void> {
  const { spec, status } = injection;
  const known = status?.restore?.request === restore.request ? status.restore : undefined;
  const before = known?.steps ?? [];
  const entries = restore.steps
    .filter((step) => step.at !== undefined && before.find((old) => old.step === step.step)?.at === undefined)
    .map(({ step, state, because = '' }) =>
      timelineEntry(clock.now(), 'note', `restore of ${spec.node}`, `${step} ${state}: ${because}`),
    );
  const warned = restore.warning === undefined || known?.warning !== undefined ? [] : [restore.warning];
  const warnings = warned.map((text) =>
    timelineEntry(clock.now(), 'note', `restore of ${spec.node}`, `warning: ${text}`),
  );
  const base = { ...status, phase: status?.phase ?? ('Completed' as const) };
  const after = withRestored(base, restore, ask.isOfDrill);
  const timeline = shortened([...(status?.timeline ?? []), ...entries, ...warnings]);
  await store.writeInjectionStatus(injection, { ...after, timeline });
}

/** A step that has come to its end; `now` in milliseconds of the coordinator's clock. */
export function settledStep(
  step: RestoreStep,
  { state, because, evidence, replacement }: StepFinding,
  now: number,
): RestoreStep {
  const seconds = step.since === undefined ? 0 : Math.max(0, now - Date.parse(step.since)) / 1000;
  return {
    ...step,
    state,
    at: isoFromMillis(now),
    seconds,
    because,
    evidence: [...evidence],
    ...(replacement === undefined ? {} : { replacement }),
  };
}
