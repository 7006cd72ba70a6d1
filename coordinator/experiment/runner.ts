import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { parseDuration } from '../../shared/duration.ts';
import { Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import { findFault } from '../../shared/faults/parameters.ts';
import type { Log } from '../../shared/log.ts';
import type { ExperimentStatus } from '../../shared/schemas/experiment.ts';
import type { Explanation } from '../../shared/schemas/explanation.ts';
import type { Cluster } from '../cluster/port.ts';
import { createReflector } from '../cluster/reflector.ts';
import { explainRefusal } from '../diagnosis/explain.ts';
import { createInjectionDriver, type DriverDeps } from './injection-driver.ts';
import { isEnded, nextExperimentStep } from './machine.ts';
import type { Planner } from './planner.ts';
import { type Experiment, experimentFrom, type Injection, type Store } from './store.ts';

export type RunnerDeps = Omit<DriverDeps, 'onDetection'> & {
  readonly planner: Planner;
  readonly random: () => number;
  readonly metrics: RunnerMetrics;
};

export type RunnerMetrics = {
  ended(fault: string, verdict: string, cause: string): void;
  detected(fault: string, seconds: number): void;
  active(count: number): void;
};

/** Injections of one experiment that are worked on at the same time. */
const parallel = 64;

const retryPauseMs = 1_000;
/** On top of the longest wait: finding, ordering, and an agent that is slow to answer. */
const deadlineMarginMs = 120_000;

/** Drives every experiment that has not ended, until the signal is aborted. Run by one coordinator at a time. */
export async function runExperiments(deps: RunnerDeps, signal: AbortSignal): Promise<void> {
  const { store, clock, log } = deps;
  const driving = new Map<string, { readonly cut: AbortController; readonly done: Promise<void> }>();

  function consider(experiment: Experiment): void {
    const { name } = experiment.metadata;
    if (signal.aborted || isEnded(experiment.status)) return;
    const current = driving.get(name);
    if (current !== undefined) {
      if (experiment.spec.abort === true)
        current.cut.abort(new Refusal('experiment_ended', 'the experiment was aborted'));
      return;
    }
    const cut = new AbortController();
    const done = driveExperiment(deps, name, cut, signal)
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

  const reflector = createReflector({
    cluster: deps.cluster,
    resource: 'experiments',
    query: { namespace: store.namespace },
    clock,
    random: deps.random,
    log,
    onChange: ({ type, object }) => {
      if (type === 'deleted') {
        driving
          .get(object.metadata.name)
          ?.cut.abort(new Refusal('experiment_unknown', 'the experiment was deleted'));
      } else consider(experimentFrom(object));
    },
  });
  reflector.start(signal);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await reflector.stop();
  await Promise.all([...driving.values()].map(({ done }) => done));
}

/** Step by step, each decided by what stands in the cluster; whatever fails in passing is tried again. */
async function driveExperiment(
  deps: RunnerDeps,
  name: string,
  first: AbortController,
  stop: AbortSignal,
): Promise<void> {
  const { store, clock, log } = deps;
  let cut = first;
  for (;;) {
    stop.throwIfAborted();
    try {
      const experiment = await store.readExperiment(name);
      if (experiment === undefined) return;
      const injections = await store.listInjections(name);
      const states = injections.map(({ metadata, ...rest }) => ({ name: metadata.name, ...rest }));
      const next = nextExperimentStep(experiment.spec, experiment.status, states, clock.now());
      log.debug({ experiment: name, step: next.step }, 'step');
      if (next.step === 'rest') return;
      await perform(deps, experiment, injections, next, AbortSignal.any([cut.signal, stop]));
    } catch (thrown) {
      stop.throwIfAborted();
      if (cut.signal.aborted) {
        // Abort and deletion are seen at the next look.
        cut = new AbortController();
        continue;
      }
      const refusal = refusalFromUnknown(thrown);
      if (refusal.reason === 'object_conflict') continue;
      log.warn({ experiment: name, err: thrown }, 'step failed, trying again');
      await clock.sleep(retryPauseMs, stop);
    }
  }
}

type Step = ReturnType<typeof nextExperimentStep>;

async function perform(
  deps: RunnerDeps,
  experiment: Experiment,
  injections: readonly Injection[],
  next: Exclude<Step, { step: 'rest' }>,
  signal: AbortSignal,
): Promise<void> {
  const { store, clock } = deps;
  const driver = createInjectionDriver({ ...deps, onDetection: deps.metrics.detected });
  const named = (names: readonly string[]) =>
    injections.filter(({ metadata }) => names.includes(metadata.name));
  switch (next.step) {
    case 'select':
      return select(deps, experiment);
    case 'create':
      return create(deps, experiment, next.nodes);
    case 'work': {
      const deadline = AbortSignal.any([signal, deadlineSignal(clock, experiment, signal)]);
      return inParallel(named(next.injections), (injection) => driver.drive(injection, deadline));
    }
    case 'abort':
      return inParallel(named(next.injections), async (injection) => {
        await driver.end(injection, 'aborted', endedBy('aborted', experiment, injection));
      });
    case 'expire':
      return inParallel(named(next.injections), async (injection) => {
        await driver.end(injection, 'error', endedBy('deadline-passed', experiment, injection));
      });
    case 'conclude': {
      await store.writeExperimentStatus(experiment, {
        ...(experiment.status ?? {}),
        ...next.summary,
        endedAt: isoFromMillis(clock.now()),
      });
      const cause = next.summary.explanation?.code ?? 'none';
      deps.metrics.ended(experiment.spec.fault.name, next.summary.verdict, cause);
    }
  }
}

async function select(deps: RunnerDeps, experiment: Experiment): Promise<void> {
  const { store, planner, clock } = deps;
  const startedAt = clock.now();
  try {
    const plan = await planner.plan(experiment);
    const longest = Math.max(...plan.targets.map(({ expectation }) => expectation.withinSeconds * 1000));
    const { deadline } = experiment.spec;
    const allowed = deadline === undefined ? longest + deadlineMarginMs : parseDuration(deadline, 'deadline');
    await store.writeExperimentStatus(experiment, {
      phase: 'Running',
      startedAt: isoFromMillis(startedAt),
      deadlineAt: isoFromMillis(startedAt + allowed),
      seed: plan.seed,
      selected: plan.targets.map(({ node }) => node),
      skipped: plan.skipped.slice(0, 100),
    });
  } catch (thrown) {
    if (!isAboutRequest(thrown)) throw thrown;
    await concludeRefused(deps, experiment, thrown, startedAt);
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
  const told = explainRefusal(refusal, { source: `experiments/${experiment.metadata.name} spec`, at });
  const status: ExperimentStatus = {
    phase: 'Completed',
    verdict: 'error',
    explanation:
      told.code === 'injection-refused' ? { ...told, code: refusal.reason.replaceAll('_', '-') } : told,
    startedAt: isoFromMillis(startedAt),
    endedAt: at,
    counts: { total: 0, pass: 0, fail: 0, other: 0 },
    ...(Array.isArray(refusal.details['skipped'])
      ? { skipped: refusal.details['skipped'].slice(0, 100) }
      : {}),
  };
  await deps.store.writeExperimentStatus(experiment, status);
  deps.metrics.ended(experiment.spec.fault.name, 'error', refusal.reason);
}

function isAboutRequest(thrown: unknown): thrown is Refusal {
  return (
    thrown instanceof Refusal &&
    (thrown.code === 'invalid_argument' ||
      thrown.reason === 'no_target' ||
      thrown.reason === 'node_unknown' ||
      thrown.reason === 'field_value_no_effect')
  );
}

async function create(deps: RunnerDeps, experiment: Experiment, nodes: readonly string[]): Promise<void> {
  const specs = await deps.planner.injections(experiment, nodes);
  await inParallel(specs, async (spec) => {
    await deps.store.createInjection(experiment, spec);
  });
}

function endedBy(
  code: 'aborted' | 'deadline-passed',
  experiment: Experiment,
  injection: Injection,
): Explanation {
  const wrote = injection.status?.receipt !== undefined || injection.status?.phase === 'Injecting';
  const { undo } = findFault(injection.spec.fault);
  const at = experiment.status?.deadlineAt ?? new Date(0).toISOString();
  return {
    code,
    summary:
      code === 'aborted'
        ? `The experiment was aborted${wrote ? ' after the order was given' : ' before anything was written'}.`
        : `The experiment's deadline passed${wrote ? ' while the reaction was awaited' : ' before anything was written'}.`,
    evidence: [
      code === 'aborted'
        ? { source: `experiments/${experiment.metadata.name} spec.abort`, observed: 'true', at }
        : { source: `experiments/${experiment.metadata.name} status.deadlineAt`, observed: at, at },
    ],
    remedy: wrote ? `what was injected stays: ${undo}` : 'nothing to undo',
    refuted: [],
    alsoFound: [],
  };
}

/** Aborts when the deadline passes; the sleeper goes away with the step. */
function deadlineSignal(clock: Clock, experiment: Experiment, signal: AbortSignal): AbortSignal {
  const passed = new AbortController();
  const { deadlineAt } = experiment.status ?? {};
  if (deadlineAt !== undefined) {
    clock.sleep(Date.parse(deadlineAt) - clock.now(), signal).then(
      () => passed.abort(new Refusal('experiment_ended', 'the deadline passed')),
      () => undefined,
    );
  }
  return passed.signal;
}

/** All of them, a few at a time; the first failure is thrown when all have come to rest. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const failures: unknown[] = [];
  const worker = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) {
      try {
        await work(item);
      } catch (thrown) {
        failures.push(thrown);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
