import { isoFromMillis, leftOf } from '../../shared/clock.ts';
import { Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import { isConcluded } from '../drill/ended.ts';
import { isRestored, isRestoring } from '../drill/restoring.ts';
import type { Restore, RestoreStep } from '../store/restore.ts';
import { type Injection, injectionFrom, type Store } from '../store/store.ts';
import { createActs, switchedOff } from './acts.ts';
import { createEnds, type Going, withStep } from './ends.ts';
import { createLooks, createNews, type LooksDeps } from './looks.ts';
import { planRestore } from './plan.ts';
import type { RestorePods } from './port.ts';
import { writeRestore } from './record.ts';
import { takenBy } from './seen.ts';
import { type RestoreStepRow, restoreSteps, type StepFinding } from './steps.ts';

/** What restores are carried out with. */
export type RestorerDeps = LooksDeps & {
  readonly store: Pick<Store, 'readInjection' | 'writeInjectionStatus'>;
  readonly pods: RestorePods;
  /** The kill switch in a line, while it is engaged. */
  readonly killSwitch: () => string | undefined;
  /** Called when a restore has ended, with its state, and the code of a failed one. */
  readonly onEnd: (state: Restore['state'], code: string | undefined) => void;
};

/** Between two looks at the agent; the view wakes it sooner. */
const lookMs = 5_000;
/** After a failure that may pass. */
const retryMs = 2_000;

/**
 * Restores nodes: one loop over the steps of a stored restore, each of which is written down before its effect and after it, so that
 * any coordinator can go on from there, and no pod is restarted twice.
 */
export function createRestorer(deps: RestorerDeps) {
  const { store, clock, log } = deps;
  const looks = createLooks(deps);
  const { look } = looks;
  const { settle, failStep, end, warn } = createEnds(deps);
  const act = createActs(deps, looks);

  async function restore(name: string, ask: Going['ask'], signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      try {
        const injection = await store.readInjection(name);
        if (injection === undefined || isRestored(injection.status, ask.request)) return;
        await advance(injection, ask, signal);
      } catch (thrown) {
        signal.throwIfAborted();
        const refusal = refusalFromUnknown(thrown);
        if (refusal.reason === 'object_conflict') continue;
        log.warn({ injection: name, err: thrown }, 'restore step failed, trying again');
        await clock.sleep(retryMs, signal);
      }
    }
  }

  async function advance(injection: Injection, ask: Going['ask'], signal: AbortSignal): Promise<void> {
    const known = injection.status?.restore;
    if (known === undefined || known.request < ask.request) return begin(injection, ask, signal);
    const going = { injection, restore: known, ask };
    const step = known.steps.find(({ state }) => state === 'waiting');
    if (step === undefined) return end(going, endedState(known));
    const row = restoreSteps.find((one) => one.step === step.step);
    if (row === undefined) throw new Refusal('internal', `this coordinator has no restore step ${step.step}`);
    if (step.since === undefined) return beginStep(going, row, signal);
    return carryOn(going, row, step, signal);
  }

  async function begin(injection: Injection, ask: Going['ask'], signal: AbortSignal): Promise<void> {
    const { restore, busy } = await planned(deps, looks, { injection, ask }, signal);
    const going = { injection, restore, ask };
    if (restore.state !== 'running') return end(going, restore);
    if (busy === undefined) return writeRestore(deps, going, restore);
    const because = `${busy.spec.experiment} (injection ${busy.metadata.name})`;
    return failStep(going, restore.steps[0], {
      state: 'failed',
      code: 'restore-node-busy',
      because,
      evidence: [],
    });
  }

  async function beginStep(going: Going, row: RestoreStepRow, signal: AbortSignal): Promise<void> {
    const seen = await look(going.injection, row, signal);
    const taken = takenBy(seen);
    if (taken !== undefined) return failStep(going, stepOf(going.restore, row), repairFirst(taken));
    const late = tooLate(going.restore, row, seen.now);
    if (late !== undefined) return failStep(going, stepOf(going.restore, row), late);
    const warning = overdue(going, row, seen.now);
    if (warning !== undefined) return warn(going, warning);
    const begun = row.begin(going.restore, seen);
    const since = isoFromMillis(clock.now());
    if (begun.state !== undefined) return settle(going, { ...stepOf(going.restore, row), since }, begun);
    const dueAt = isoFromMillis(clock.now() + row.limitMs);
    const chosen = begun.pod === undefined ? {} : { pod: begun.pod };
    const step = { ...stepOf(going.restore, row), ...chosen, since, dueAt };
    await writeRestore(deps, going, withStep(going.restore, step));
  }

  /** The effect, which may have been made before, and then the wait for what it leads to. */
  async function carryOn(
    going: Going,
    row: RestoreStepRow,
    step: RestoreStep,
    signal: AbortSignal,
  ): Promise<void> {
    const stopped = await act(going, row, step, signal);
    if (stopped !== undefined) return settle(going, step, stopped);
    const from = Date.parse(step.since ?? '');
    const until = Date.parse(step.dueAt ?? '');
    const news = createNews(deps.view, going.injection.spec.node);
    try {
      for (;;) {
        signal.throwIfAborted();
        const left = leftOf({ from, until }, clock.now());
        const isDue = left <= 0;
        const seen = await look(going.injection, row, signal, isDue);
        const taken = takenBy(seen);
        const engaged = row.act === undefined ? undefined : deps.killSwitch();
        const finding: StepFinding | undefined =
          taken !== undefined
            ? repairFirst(taken)
            : (row.find(step, { restore: going.restore, seen, isDue }) ??
              tooLate(going.restore, row, seen.now) ??
              (engaged === undefined ? undefined : switchedOff(engaged)));
        if (finding !== undefined) return settle(going, step, finding);
        const warning = overdue(going, row, seen.now);
        if (warning !== undefined) return warn(going, warning);
        await news.wait(Math.min(left, lookMs), clock, signal);
      }
    } finally {
      news.close();
    }
  }

  return {
    restore,
    /** Ends a restore that will not be carried on: what was done, and what is left to do, is in its explanation. */
    async cut(name: string, { isOfDrill }: Pick<Going['ask'], 'isOfDrill'>): Promise<void> {
      const injection = await store.readInjection(name);
      const restore = injection?.status?.restore;
      if (injection === undefined || restore?.state !== 'running') return;
      const ask = { request: restore.request, isOfDrill, forbidsRepair: false };
      const going = { injection, restore, ask };
      const step = restore.steps.find(({ state }) => state === 'waiting') ?? restore.steps.at(-1);
      const because = deps.killSwitch() ?? 'its experiment was aborted or is gone';
      await failStep(going, step, { state: 'failed', code: 'restore-cut-short', because, evidence: [] });
    },
  };
}

/** The plan of a restore, and another injection that works on the node. */
async function planned(
  { view, clock }: Pick<RestorerDeps, 'view' | 'clock'>,
  looks: ReturnType<typeof createLooks>,
  { injection, ask }: Pick<Going, 'injection' | 'ask'>,
  signal: AbortSignal,
): Promise<{ readonly restore: Restore; readonly busy: Injection | undefined }> {
  const { metadata, spec } = injection;
  const others = view
    .injectionsOn(spec.node)
    .map(injectionFrom)
    .filter((other) => other.spec.nodeUid === spec.nodeUid && other.metadata.uid !== metadata.uid);
  const restore = planRestore({
    injection,
    ours: [injection, ...others],
    facts: await looks.factsOf(injection),
    inventory: await looks.inventoryOf(spec.node, signal),
    request: ask.request,
    forbidsRepair: ask.forbidsRepair,
    now: clock.now(),
  });
  const busy = others.find(({ status }) => !isConcluded(status) || isRestoring(status));
  return { restore, busy };
}

function stepOf({ steps }: Restore, { step }: Pick<RestoreStepRow, 'step'>): RestoreStep {
  return steps.find((one) => one.step === step) ?? { step, state: 'waiting', expected: '', evidence: [] };
}

/** Every step has come to its end, and none failed. */
function endedState(restore: Restore): Restore {
  const done = restore.steps.filter(({ step, state }) => state === 'done' && step !== 'stop');
  if (done.length === 0)
    return {
      ...restore,
      state: 'nothing',
      summary: 'nothing of the drill was left that could be taken back',
    };
  const last = restore.steps.findLast(({ step }) => step === 'stable')?.because;
  return { ...restore, state: 'restored', summary: last ?? done.at(-1)?.because ?? '' };
}

/** A forbidden repair is due before what is left can be done: that is said while there is time to stop it by hand. */
function tooLate(
  { forbidsRepair, repairDueAt }: Restore,
  { leastLeftMs }: RestoreStepRow,
  now: number,
): StepFinding | undefined {
  if (forbidsRepair !== true || repairDueAt === undefined || leastLeftMs === undefined) return undefined;
  if (now + leastLeftMs < Date.parse(repairDueAt)) return undefined;
  const because = `the repair is due at ${repairDueAt}, and what is left takes ${leastLeftMs / 1000} s at least`;
  return { state: 'failed', code: 'restore-not-in-time', because, evidence: [] };
}

/** The repair is due, and the condition that leads to it is not True so far; undefined: it is not, or that was said before. */
function overdue(
  { restore, injection }: Going,
  { leastLeftMs }: RestoreStepRow,
  now: number,
): string | undefined {
  const { repairDueAt, warning } = restore;
  if (repairDueAt === undefined || warning !== undefined || leastLeftMs === undefined) return undefined;
  if (now < Date.parse(repairDueAt)) return undefined;
  const { node } = injection.spec;
  return `the repair of node ${node} was due at ${repairDueAt}, and its restore is not done: its controller may take it at any moment. To keep the node: kubectl annotate node ${node} karpenter.sh/do-not-repair=true (Karpenter 1.15 and later), gate NodeRepair off (before), or auto repair of its node group off`;
}

function repairFirst(because: string): StepFinding {
  return { state: 'failed', code: 'restore-repair-first', because, evidence: [] };
}
