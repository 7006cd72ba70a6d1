import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { causeOf, reasons } from '../../shared/errors.ts';
import { type RestoreState, restoreCodes, restoreStates } from '../store/restore.ts';
import type { Verdict } from '../store/timeline.ts';
import { type RemovalReason, removalReasons } from './retention.ts';
import type { RunnerMetrics } from './runner.ts';

/** The verdicts of the alert XidrillDrillsFail. */
const alarming: readonly Verdict[] = ['fail', 'error'];

/** `faults` and `causes` are the names that can come. */
export function createRunnerMetrics(
  registry: Registry,
  names: { readonly faults: readonly string[]; readonly causes: readonly string[] },
): RunnerMetrics & {
  removed(why: RemovalReason): void;
  restored(state: RestoreState): void;
} {
  const experiments = new Counter({
    name: 'xidrill_experiments_total',
    help: 'Experiments that have ended, by fault and verdict',
    labelNames: ['fault', 'verdict'],
    registers: [registry],
  });
  const explanations = new Counter({
    name: 'xidrill_explanations_total',
    help: 'Explanations of experiments that have ended, by cause',
    labelNames: ['cause'],
    registers: [registry],
  });
  const detection = new Histogram({
    name: 'xidrill_detection_seconds',
    help: 'From the order to the expected reaction, on the clock of the coordinator',
    labelNames: ['fault'],
    buckets: [0.1, 0.5, 1, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600],
    registers: [registry],
  });
  const active = new Gauge({
    name: 'xidrill_active_experiments',
    help: 'Experiments that are being worked on by this coordinator',
    registers: [registry],
  });
  const removed = new Counter({
    name: 'xidrill_removed_experiments_total',
    help: 'Ended experiments whose records this coordinator removed, by why: age or count',
    labelNames: ['why'],
    registers: [registry],
  });
  const restores = new Counter({
    name: 'xidrill_restores_total',
    help: 'Restores of nodes that have ended, by state',
    labelNames: ['state'],
    registers: [registry],
  });
  for (const state of restoreStates) if (state !== 'running') restores.inc({ state }, 0);
  for (const why of removalReasons) removed.inc({ why }, 0);
  // A series that first appears with its first failure is one that no alert on an increase can see. Those that nobody is
  // alerted by are left out: they are many.
  for (const fault of names.faults) for (const verdict of alarming) experiments.inc({ fault, verdict }, 0);
  for (const cause of names.causes) explanations.inc({ cause }, 0);
  // Whoever may write an Experiment chooses its fault's name, and an agent the cause of its refusal: neither makes a series.
  const faultLabel = oneOf(names.faults);
  const causeLabel = oneOf([
    ...names.causes,
    ...endings,
    ...restoreCodes,
    ...Object.keys(reasons).map(causeOf),
  ]);
  return {
    ended(fault, verdict, cause) {
      experiments.inc({ fault: faultLabel(fault), verdict });
      explanations.inc({ cause: causeLabel(cause) });
    },
    detected: (fault, seconds) => detection.observe({ fault: faultLabel(fault) }, seconds),
    active: (count) => active.set(count),
    removed: (why) => removed.inc({ why }),
    restored: (state) => restores.inc({ state }),
  };
}

/** Codes of explanations that are neither a rule's nor a reason's (coordinator/drill, coordinator/diagnosis). */
const endings = [
  'aborted',
  'deadline-passed',
  'experiment-gone',
  'injected',
  'no-reaction-as-expected',
  'node-replaced',
  'path-not-proven',
  'replacement-missed',
  'taint-unknown',
  'termination-missed',
  'termination-unknown',
  'reacted',
  'required-event-missing',
  'unexpected-reaction',
  'unexplained',
];

/** The value itself where it is known, `other` for anything else. */
function oneOf(known: readonly string[]): (value: string) => string {
  const values = new Set(known);
  return (value) => (values.has(value) ? value : 'other');
}
