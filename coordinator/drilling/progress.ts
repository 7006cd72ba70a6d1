import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Cluster } from '../cluster/port.ts';
import type { LinkStatus } from '../store/experiment.ts';
import { createStore, type Experiment, type Injection } from '../store/store.ts';

/** An experiment with what happens on each of its nodes. */
export type Progress = {
  readonly experiment: Experiment;
  /** Sorted by node. */
  readonly injections: readonly Injection[];
};

/** Whether it has its verdict. */
export function isOver({ experiment }: Progress): boolean {
  const { phase } = experiment.status ?? {};
  return phase === 'Completed' || phase === 'Aborted';
}

/** Once: an experiment and its injections. Refuses with `experiment_unknown`. */
export async function readProgress(cluster: Cluster, namespace: string, name: string): Promise<Progress> {
  const store = createStore(cluster, namespace);
  const experiment = await store.requireExperiment(name);
  const injections = await store.listInjections(name);
  return {
    experiment,
    injections: injections.toSorted((left, right) => (left.spec.node < right.spec.node ? -1 : 1)),
  };
}

/** How often a drill that is followed is read: the rights to read are all that it takes. */
const everyMs = 1000;
/** A connection that is lost for longer is given up; the drill goes on without us. */
const patienceMs = 60_000;

/** An experiment that is followed. */
export type Followed = {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly name: string;
  /** Paces the reads. */
  readonly clock: Clock;
};

/**
 * Each state of an experiment until it is over, or until the signal is aborted. What may pass (`cluster_unreachable`) is tried again
 * for a minute; `onTrouble` hears of it.
 */
export async function* followProgress(
  options: Followed & {
    readonly signal: AbortSignal;
    readonly onTrouble: (message: string) => void;
  },
): AsyncGenerator<Progress> {
  const { cluster, namespace, name, clock, signal } = options;
  let lostSince: number | undefined;
  while (!signal.aborted) {
    try {
      const progress = await readProgress(cluster, namespace, name);
      lostSince = undefined;
      yield progress;
      if (isOver(progress)) return;
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason !== 'cluster_unreachable') throw thrown;
      lostSince ??= clock.elapsed();
      if (clock.elapsed() - lostSince > patienceMs) throw thrown;
      options.onTrouble(thrown.message);
    }
    await clock.sleep(everyMs, signal).catch(() => undefined);
  }
}

/** Asks that an experiment end; what was injected stays. Refuses with `experiment_unknown`. */
export async function abort(cluster: Cluster, namespace: string, name: string): Promise<void> {
  await change(cluster, namespace, name, (spec) => ({ ...spec, abort: true }));
}

/** Asks that what an experiment left on its nodes be taken back, at its end or now. Refuses with `experiment_unknown`. */
export async function restore(cluster: Cluster, namespace: string, name: string): Promise<void> {
  await change(cluster, namespace, name, (spec) => ({
    ...spec,
    restoreRequest: (spec.restoreRequest ?? 0) + 1,
  }));
}

const mostConflicts = 10;

/** By update, which is what the role of an operator has; its status changes all the time, so that it may conflict. */
async function change(
  cluster: Cluster,
  namespace: string,
  name: string,
  edit: (spec: Experiment['spec']) => Experiment['spec'],
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const whole = await cluster.read('experiments', { name, namespace });
    if (whole === undefined) {
      // Says which one is missing.
      await createStore(cluster, namespace).requireExperiment(name);
      continue;
    }
    try {
      await cluster.replace('experiments', { ...whole, spec: edit(whole.spec as Experiment['spec']) });
      return;
    } catch (thrown) {
      const isConflict = thrown instanceof Refusal && thrown.reason === 'object_conflict';
      if (!isConflict || attempt === mostConflicts) throw thrown;
    }
  }
}

/** The links of an injection as far as they are known; before it is planned, none. */
export function linksOf({
  status,
  spec,
}: Injection): readonly Pick<
  LinkStatus,
  'id' | 'link' | 'state' | 'expected' | 'seconds' | 'because' | 'at'
>[] {
  if (status?.links !== undefined) return status.links;
  return spec.chain.map(({ id, link, expected }) => ({ id, link, state: 'waiting' as const, expected }));
}
