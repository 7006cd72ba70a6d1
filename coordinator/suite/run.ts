import type { Clock } from '../../shared/clock.ts';
import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Cluster } from '../cluster/port.ts';
import { abort, followProgress, isOver, type Progress } from '../drilling/progress.ts';
import { experimentReport, suiteReport, verdictOf } from '../report/build.ts';
import type { SuiteDrill, SuiteReport } from '../report/model.ts';
import { createStore } from '../store/store.ts';
import { assertOurs, createOnce, experimentName } from './experiments.ts';
import type { PlannedDrill, Suite } from './file.ts';

/** A run of a suite over the API server: who may create experiments needs nothing else. */
export type SuiteRun = {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly suite: Suite;
  /** Names the experiments; the same one again goes on where it was killed. */
  readonly run: string;
  readonly clock: Clock;
  /** Aborted: no drill is created any more, and those that run are left alone. */
  readonly signal: AbortSignal;
  /** Each state of a drill. */
  readonly onProgress: (drill: string, progress: Progress) => void;
  /** What passes by itself, or may. */
  readonly onTrouble: (message: string) => void;
};

/** A suite that is being run. */
export type RunningSuite = {
  /** Rejects with `cluster_unreachable` and the like where the experiments cannot be read at all. */
  readonly ended: Promise<SuiteReport>;
  /** Creates no further drill and asks that those which run end. */
  abort(): Promise<void>;
};

/** An API server that does not answer is asked again for so long. */
const patienceMs = 60_000;
const againMs = 1_000;
/** An experiment that no coordinator has taken up by then has perhaps none. */
const pendingMs = 30_000;

/** Runs the drills of a suite in the order of the file, `parallel` of them at a time. */
export function runSuite(options: SuiteRun): RunningSuite {
  const { cluster, namespace, suite, run, clock, signal, onTrouble } = options;
  const store = createStore(cluster, namespace);
  const running = new Set<string>();
  let stopped: string | undefined;

  async function patiently<T>(work: () => Promise<T>): Promise<T> {
    const began = clock.elapsed();
    for (;;) {
      try {
        return await work();
      } catch (thrown) {
        const mayPass = thrown instanceof Refusal && thrown.reason === 'cluster_unreachable';
        if (!mayPass || signal.aborted || clock.elapsed() - began > patienceMs) throw thrown;
        onTrouble(thrown.message);
        await clock.sleep(againMs, signal).catch(() => undefined);
      }
    }
  }

  async function follow(drill: PlannedDrill, experiment: string): Promise<Progress | undefined> {
    let last: Progress | undefined;
    const began = clock.elapsed();
    let isWarned = false;
    for await (const progress of followProgress({
      cluster,
      namespace,
      name: experiment,
      clock,
      signal,
      onTrouble,
    })) {
      last = progress;
      options.onProgress(drill.name, progress);
      const isPending = (progress.experiment.status?.phase ?? 'Pending') === 'Pending';
      if (isPending && !isWarned && clock.elapsed() - began > pendingMs) {
        isWarned = true;
        onTrouble(
          `${drill.name}: no coordinator has taken it up for ${renderDuration(pendingMs / 1000)}; kubectl -n ${namespace} get pods shows whether one runs`,
        );
      }
    }
    return last;
  }

  async function runOne(drill: PlannedDrill, exists: boolean): Promise<SuiteDrill> {
    const experiment = experimentName(suite.name, drill.name, run);
    const result = { name: drill.name, experiment, tags: [...drill.tags], skipped: null };
    let last: Progress | undefined;
    try {
      if (exists) assertOurs(await patiently(() => store.requireExperiment(experiment)), suite, drill, run);
      else await patiently(() => createOnce(store, suite, drill, run));
      running.add(experiment);
      last = await follow(drill, experiment);
      const isLeft = last === undefined || !isOver(last);
      return { ...result, error: isLeft ? 'it was left while it ran' : null, report: reportOf(last) };
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const { remedy } = thrown.details;
      const error = `${thrown.message}${remedy === undefined ? '' : `; ${remedy}`}`;
      return { ...result, error, report: reportOf(last) };
    } finally {
      running.delete(experiment);
    }
  }

  async function work(): Promise<SuiteReport> {
    // What was created before is followed to its end, also where a stop would keep it from being created now.
    const stored = await patiently(() => store.listExperiments());
    const names = new Set(stored.map(({ metadata }) => metadata.name));
    const results: SuiteDrill[] = [];
    let next = 0;
    const worker = async () => {
      for (let index = next++; index < suite.drills.length; index = next++) {
        const drill = suite.drills[index];
        if (drill === undefined) return;
        const experiment = experimentName(suite.name, drill.name, run);
        const exists = names.has(experiment);
        const skipped = signal.aborted ? 'the run was left' : stopped;
        if (skipped !== undefined && !exists) {
          results[index] = {
            name: drill.name,
            experiment,
            tags: [...drill.tags],
            skipped,
            error: null,
            report: null,
          };
          continue;
        }
        const result = await runOne(drill, exists);
        results[index] = result;
        const verdict = verdictOf(result);
        if (suite.stopOnFail && verdict !== 'pass')
          stopped ??= `stopOnFail: ${drill.name} ended with ${verdict ?? 'nothing'}`;
      }
    };
    await Promise.all(Array.from({ length: suite.parallel }, worker));
    return suiteReport(suite.name, run, results);
  }

  return {
    ended: work(),
    async abort() {
      stopped ??= 'the run was aborted';
      await Promise.all([...running].map((name) => abort(cluster, namespace, name)));
    },
  };
}

function reportOf(progress: Progress | undefined): SuiteDrill['report'] {
  return progress === undefined ? null : experimentReport(progress.experiment, progress.injections);
}
