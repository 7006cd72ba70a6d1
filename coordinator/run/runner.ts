import { type Clock, isoFromMillis, leftOf } from '../../shared/clock.ts';
import { Refusal, refusalFromUnknown, rowOf } from '../../shared/errors.ts';
import { createPlaces, inParallel as limited } from '../../shared/parallel.ts';
import { endedBy, explainRequest } from '../drill/cut-short.ts';
import { isEnded } from '../drill/ended.ts';
import { forbidsRepair, isSettled, requestOf, restoresAtEnd } from '../drill/restoring.ts';
import { nextExperimentStep } from '../drill/summary.ts';
import { deadlineMillis, type Planner } from '../plan/planner.ts';
import type { ExperimentStatus } from '../store/experiment.ts';
import { type Experiment, experimentFrom, type Injection, injectionFrom } from '../store/store.ts';
import type { View } from '../view/view.ts';
import { createInjectionDriver, type DriverDeps, type InjectionDriver, type RenderEnd } from './driver.ts';
import { endOrphans } from './orphans.ts';

/** What experiments are run with. */
export type RunnerDeps = Omit<DriverDeps, 'onDetection'> & {
  readonly planner: Planner;
  /** The kill switch in a line, while it is engaged. */
  readonly killSwitch: () => string | undefined;
  /** How a fault is undone, by its name. */
  readonly undo: (fault: string) => string;
  readonly view: View;
  readonly metrics: RunnerMetrics;
  readonly restorer: Restorer;
};

/** Takes nodes back to where they were before a drill (coordinator/restore). */
export type Restorer = {
  /**
   * Takes the node of an injection from where its restore stands to its end. `isOfDrill`: the experiment has not ended, and
   * the outcome decides on its verdict. Throws what the signal was aborted with.
   */
  restore(
    injection: string,
    ask: {
      readonly request: number;
      readonly isOfDrill: boolean;
      /** It fails as soon as it cannot be done before the repair is due. */
      readonly forbidsRepair: boolean;
    },
    signal: AbortSignal,
  ): Promise<void>;
  /** Ends a restore that will not be carried on: what was done and what is left is in its explanation. */
  cut(injection: string, ask: { readonly isOfDrill: boolean }): Promise<void>;
};

type Work = RunnerDeps & {
  readonly driver: InjectionDriver;
  /** One after the other: a node that one experiment selects is busy for the next. */
  readonly inTurn: (work: () => Promise<void>) => Promise<void>;
};

/** What is counted; no node and no name of a run is passed. */
export type RunnerMetrics = {
  ended(fault: string, verdict: string, cause: string): void;
  detected(fault: string, seconds: number): void;
  active(count: number): void;
};

/** Nodes of one experiment on which something is begun at the same time; what is only waited for takes no place. */
const parallel = 64;

const retryPauseMs = 1_000;
/** On top of the longest wait: finding, ordering, and an agent that is slow to answer. */
const deadlineMarginMs = 120_000;

/** Drives every experiment that has not ended, until the signal is aborted. Run by one coordinator at a time. */
export async function runExperiments(deps: RunnerDeps, signal: AbortSignal): Promise<void> {
  const { log } = deps;
  const driver = createInjectionDriver({ ...deps, onDetection: deps.metrics.detected });
  const work: Work = { ...deps, driver, inTurn: createTurns() };
  const driving = new Map<string, { readonly cut: AbortController; readonly done: Promise<void> }>();

  function consider(experiment: Experiment): void {
    const { name } = experiment.metadata;
    if (signal.aborted || isSettled(experiment.spec, experiment.status)) return;
    const current = driving.get(name);
    if (current !== undefined) {
      if (experiment.spec.abort === true && !isEnded(experiment.status))
        current.cut.abort(new Refusal('experiment_ended', 'the experiment was aborted'));
      return;
    }
    const cut = new AbortController();
    const done = driveExperiment(work, name, cut, signal)
      .catch((thrown) => {
        if (!signal.aborted) log.error({ err: thrown, experiment: name }, 'experiment stopped being driven');
      })
      .finally(() => {
        driving.delete(name);
        deps.metrics.active(driving.size);
      });
    driving.set(name, { cut, done });
    deps.metrics.active(driving.size);
  }

  const { view } = deps;
  const unsubscribeInjections = view.onChange('injections', ({ type, object }) => {
    if (type !== 'deleted') driver.learn(injectionFrom(object));
  });
  for (const object of view.all('injections')) driver.learn(injectionFrom(object));
  const unsubscribe = view.onChange('experiments', ({ type, object }) => {
    if (type === 'deleted') {
      driving
        .get(object.metadata.name)
        ?.cut.abort(new Refusal('experiment_unknown', 'the experiment was deleted'));
    } else consider(experimentFrom(object));
  });
  for (const object of view.all('experiments')) consider(experimentFrom(object));
  const orphans = endOrphans({ ...deps, driver, isDriven: (name) => driving.has(name) }, signal);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  unsubscribe();
  unsubscribeInjections();
  await Promise.all([orphans, ...[...driving.values()].map(({ done }) => done)]);
}

/** Step by step, each decided by what stands in the cluster; whatever fails in passing is tried again. */
async function driveExperiment(
  deps: Work,
  name: string,
  first: AbortController,
  stop: AbortSignal,
): Promise<void> {
  const { store, clock, log } = deps;
  let cut = first;
  // Once it has passed, it stays so, wherever the wall clock is set to.
  let isLate = false;
  const onDeadline = () => {
    isLate = true;
  };
  for (;;) {
    stop.throwIfAborted();
    try {
      const experiment = await store.readExperiment(name);
      if (experiment === undefined) return;
      const injections = await store.listInjections(name);
      const states = injections.map(({ metadata, ...rest }) => ({ name: metadata.name, ...rest }));
      const now = isLate ? Number.POSITIVE_INFINITY : clock.now();
      const next = nextExperimentStep(experiment.spec, experiment.status, states, now);
      log.debug({ experiment: name, step: next.step }, 'step');
      if (next.step === 'rest') return;
      await perform(
        { ...deps, onDeadline },
        experiment,
        injections,
        next,
        AbortSignal.any([cut.signal, stop]),
      );
    } catch (thrown) {
      stop.throwIfAborted();
      if (cut.signal.aborted) {
        // Abort and deletion are seen at the next look; what lasts on a node is not seen then.
        const { reason } = cut.signal;
        cut = new AbortController();
        if (reason instanceof Refusal && reason.reason === 'experiment_unknown')
          await deps.driver.abandon(name, stop);
        continue;
      }
      const refusal = refusalFromUnknown(thrown);
      // Written by somebody else, or the deadline passed: both are seen at the next look.
      if (refusal.reason === 'object_conflict' || refusal.reason === 'experiment_ended') continue;
      log.warn({ experiment: name, err: thrown }, 'step failed, trying again');
      await clock.sleep(retryPauseMs, stop);
    }
  }
}

type Step = ReturnType<typeof nextExperimentStep>;

async function perform(
  deps: Work & { readonly onDeadline: () => void },
  experiment: Experiment,
  injections: readonly Injection[],
  next: Exclude<Step, { step: 'rest' }>,
  signal: AbortSignal,
): Promise<void> {
  const { store, clock, driver, undo } = deps;
  const at = isoFromMillis(clock.now());
  const named = (names: readonly string[]) =>
    injections.filter(({ metadata }) => names.includes(metadata.name));
  switch (next.step) {
    case 'select':
      return deps.inTurn(() => select(deps, experiment));
    case 'create':
      return create(deps, experiment, next.nodes, signal);
    case 'work': {
      const over = new AbortController();
      const deadline = deadlineSignal(deps, experiment, over.signal);
      try {
        const places = createPlaces(parallel);
        const restorePlaces = createPlaces(parallel);
        const restore = ({ metadata: { name } }: Injection) =>
          restorePlaces(() =>
            deps.restorer.restore(
              name,
              {
                request: requestOf(experiment.spec),
                isOfDrill: !isEnded(experiment.status),
                forbidsRepair: forbidsRepair(experiment.spec) && !isEnded(experiment.status),
              },
              signal,
            ),
          );
        // All at once: those that wait for half an hour must not keep others from being begun.
        await allOf(named([...next.injections, ...next.restore]), async (injection) => {
          if (next.restore.includes(injection.metadata.name)) return restore(injection);
          await driver.drive(injection, AbortSignal.any([signal, deadline]), places);
          // At once: other nodes may be waited for much longer, and a repair does not wait for them.
          if (restoresAtEnd(experiment.spec)) await restore(injection);
        });
      } finally {
        over.abort();
      }
      return;
    }
    case 'cut':
      return inParallel(named(next.injections), ({ metadata }) =>
        deps.restorer.cut(metadata.name, { isOfDrill: true }),
      );
    case 'restored':
      await store.writeExperimentStatus(experiment, {
        ...(experiment.status ?? { phase: 'Completed' }),
        restore: next.restore,
      });
      return;
    case 'abort':
      return inParallel(named(next.injections), async (injection) => {
        const render: RenderEnd = (settled) =>
          endedBy('aborted', experiment, { injection: settled, at, undo, ...switchOf(deps) });
        await driver.end(injection, 'aborted', render, signal);
      });
    case 'expire':
      return inParallel(named(next.injections), async (injection) => {
        const trouble = driver.troubleWith(injection.metadata.name);
        const render: RenderEnd = (settled) =>
          endedBy('deadline-passed', experiment, {
            injection: settled,
            at,
            undo,
            ...(trouble && { trouble }),
          });
        await driver.expire(injection, render, signal);
      });
    case 'conclude': {
      const { verdict } = next.summary;
      const code = verdict === 'aborted' ? 'aborted' : 'deadline-passed';
      const explanation =
        next.summary.explanation ?? endedBy(code, experiment, { at, undo, ...switchOf(deps) });
      await store.writeExperimentStatus(experiment, {
        ...(experiment.status ?? {}),
        ...next.summary,
        explanation,
        endedAt: at,
      });
      deps.metrics.ended(experiment.spec.fault.name, verdict, explanation.code);
    }
  }
}

/** Evidence of an abort: who aborts everything. */
function switchOf({ killSwitch }: RunnerDeps): { readonly killSwitch?: string } {
  const engaged = killSwitch();
  return engaged === undefined ? {} : { killSwitch: engaged };
}

async function select(deps: RunnerDeps, experiment: Experiment): Promise<void> {
  const { store, planner, clock } = deps;
  const startedAt = clock.now();
  try {
    const { seed, nodes, skipped, longestSeconds } = await planner.choose(experiment);
    const { deadline } = experiment.spec;
    const allowed =
      deadline === undefined ? longestSeconds * 1000 + deadlineMarginMs : deadlineMillis(deadline);
    await store.writeExperimentStatus(experiment, {
      phase: 'Running',
      startedAt: isoFromMillis(startedAt),
      deadlineAt: isoFromMillis(startedAt + allowed),
      seed,
      selected: [...nodes],
      skipped: skipped.slice(0, 100),
    });
  } catch (thrown) {
    const refusal = refusalFromUnknown(thrown);
    if (rowOf(refusal.reason).mayPass) throw thrown;
    if (refusal.reason === 'internal')
      deps.log.error({ err: thrown, experiment: experiment.metadata.name }, 'selection failed');
    await concludeRefused(deps, experiment, refusal, startedAt);
  }
}

/** A request that cannot be carried out ends with its reason: `kubectl apply` has no other way to answer. */
async function concludeRefused(
  deps: RunnerDeps,
  experiment: Experiment,
  refusal: Refusal,
  startedAt: number,
): Promise<void> {
  const at = isoFromMillis(deps.clock.now());
  const source = `experiments/${experiment.metadata.name} spec`;
  const { verdict } = rowOf(refusal.reason);
  const explanation = explainRequest(refusal, { source, at });
  const status: ExperimentStatus = {
    phase: 'Completed',
    verdict,
    explanation,
    startedAt: isoFromMillis(startedAt),
    endedAt: at,
    counts: { total: 0, pass: 0, fail: 0, other: 0 },
    injected: 'none',
    ...(Array.isArray(refusal.details.skipped) ? { skipped: refusal.details.skipped.slice(0, 100) } : {}),
  };
  await deps.store.writeExperimentStatus(experiment, status);
  deps.metrics.ended(experiment.spec.fault.name, verdict, explanation.code);
}

async function create(
  deps: RunnerDeps,
  experiment: Experiment,
  nodes: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const specs = await deps.planner.injections(experiment, nodes);
  await inParallel(specs, async (spec) => {
    // Thousands of objects take longer than a pod is given to stop.
    signal.throwIfAborted();
    await deps.store.createInjection(experiment, spec);
  });
}

/** Each begins when the one before it has ended, however that was. */
function createTurns(): (work: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (work) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
}

/** Aborts when the deadline passes; the sleeper goes away with `signal`. */
function deadlineSignal(
  { clock, onDeadline }: { readonly clock: Clock; readonly onDeadline: () => void },
  experiment: Experiment,
  signal: AbortSignal,
): AbortSignal {
  const passed = new AbortController();
  const { startedAt, deadlineAt } = experiment.status ?? {};
  if (deadlineAt !== undefined) {
    const until = Date.parse(deadlineAt);
    const from = Date.parse(startedAt ?? deadlineAt);
    clock.sleep(leftOf({ from, until }, clock.now()), signal).then(
      () => {
        onDeadline();
        passed.abort(new Refusal('experiment_ended', 'the deadline passed'));
      },
      () => undefined,
    );
  }
  return passed.signal;
}

/** All of them, a few at a time; the first failure is thrown when all have come to rest. */
function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  return allOf(items, work, parallel);
}

/** All of them, `limit` at a time; the first failure is thrown when all have come to rest. */
async function allOf<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  limit = items.length,
): Promise<void> {
  const failures: unknown[] = [];
  await limited(items, limit, (item) => work(item).catch((thrown: unknown) => void failures.push(thrown)));
  if (failures.length > 0) throw failures[0];
}
