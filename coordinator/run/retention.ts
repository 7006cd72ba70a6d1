import type { Clock } from '../../shared/clock.ts';
import { parseDuration } from '../../shared/duration.ts';
import { refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { lastingSeconds, scheduledMs } from '../../shared/orders/call.ts';
import { isRestoring, isSettled } from '../drill/restoring.ts';
import type { Experiment, Injection, Store } from '../store/store.ts';
import { experimentFrom, injectionFrom } from '../store/store.ts';
import type { View } from '../view/view.ts';

/** How many ended experiments are kept, and for how long. */
export type Retention = {
  /** Milliseconds from the end of an experiment until its records are removed. */
  readonly keepMs: number;
  /** The newest ended experiments that are kept; older ones are removed before their time. */
  readonly keepCount: number;
};

/** `30d`, or a duration as in requests, as milliseconds. Refuses with `deadline_invalid`; days are no duration of Go's. */
export function parseAge(text: string, field: string): number {
  const days = /^(\d+)d$/.exec(text)?.[1];
  return days === undefined ? parseDuration(text, field) : Number(days) * 86_400_000;
}

/** Why the records of an experiment are removed: `age`, it ended too long ago; `count`, too many newer ones have ended. */
export const removalReasons = ['age', 'count'] as const;
/** One of `removalReasons`. */
export type RemovalReason = (typeof removalReasons)[number];

/** An ended experiment that is due, and why. */
export type Removal = { readonly experiment: Experiment; readonly why: RemovalReason };

/** Records are looked through this often, in milliseconds, and whenever an experiment has ended. */
const everyMs = 10 * 60_000;
/** Ends that come close together are looked at once. */
const gatherMs = 1_000;

/**
 * The ended experiments whose records are to be removed, the oldest first. One that runs is never among them, nor one of
 * whose injections may still hold a value or a process on a node. `now` in milliseconds of the coordinator's clock.
 */
export function removalsOf(
  experiments: readonly Experiment[],
  injectionsOf: (experiment: string) => readonly Injection[],
  { keepMs, keepCount }: Retention,
  now: number,
): readonly Removal[] {
  const ended = experiments
    .filter(
      ({ spec, status, metadata }) => isSettled(spec, status) && metadata.deletionTimestamp === undefined,
    )
    .map((experiment) => ({ experiment, at: endOf(experiment) }))
    .toSorted((left, right) => left.at - right.at);
  return ended.flatMap(({ experiment, at }, index) => {
    const why = now - at > keepMs ? 'age' : index < ended.length - keepCount ? 'count' : undefined;
    if (why === undefined) return [];
    const holds = injectionsOf(experiment.metadata.name).some(
      (injection) => activeUntil(injection) > now || isRestoring(injection.status),
    );
    return holds ? [] : [{ experiment, why }];
  });
}

function endOf({ metadata, status }: Experiment): number {
  return Date.parse(status?.endedAt ?? status?.startedAt ?? metadata.creationTimestamp ?? '') || 0;
}

/**
 * Until when, in milliseconds, orders of an injection may be active on its node; 0: none is. An order without a receipt may
 * have been carried out, and one that could not be stopped goes on until its own end.
 */
export function activeUntil({ spec, status }: Injection): number {
  const ends = (status?.links ?? []).map(({ id, baseline, receipt, since }) => {
    const order = spec.chain.find((link) => link.id === id)?.order;
    if (order === undefined || baseline === undefined) return 0;
    if (receipt !== undefined && receipt.state !== 'running') return 0;
    const planned = scheduledMs(order) + (lastingSeconds(order) ?? 0) * 1000;
    const until = (receipt?.surfaces ?? []).map(({ sustained }) => Date.parse(sustained?.until ?? '') || 0);
    const from = Date.parse(receipt?.acceptedAt ?? since ?? baseline.at) || 0;
    return Math.max(from + planned, ...until);
  });
  return Math.max(0, ...ends);
}

/** Removes what is due until the signal is aborted; run by the coordinator that holds the lease. */
export async function retainExperiments(
  deps: {
    readonly view: Pick<View, 'all' | 'injectionsOf' | 'isCurrent' | 'onChange'>;
    readonly store: Pick<Store, 'deleteExperiment'>;
    readonly clock: Clock;
    readonly log: Log;
    /** Counts what was removed. */
    readonly removed: (why: RemovalReason) => void;
  },
  limits: Retention,
  signal: AbortSignal,
): Promise<void> {
  const { view, store, clock, log } = deps;
  let wake: () => void = () => undefined;
  const unsubscribe = view.onChange('experiments', ({ type, object }) => {
    const { spec, status } = experimentFrom(object);
    if (type !== 'deleted' && isSettled(spec, status)) wake();
  });

  /** Deleted, and perhaps still in the view. */
  let gone: readonly string[] = [];

  async function pass(): Promise<void> {
    // With a gap in the view an injection that is active may be missing from it.
    if (!view.isCurrent('experiments') || !view.isCurrent('injections')) return;
    const shown = view.all('experiments').map(experimentFrom);
    gone = gone.filter((uid) => shown.some(({ metadata }) => metadata.uid === uid));
    const experiments = shown.filter(({ metadata }) => !gone.includes(metadata.uid ?? ''));
    const injectionsOf = (name: string) => view.injectionsOf(name).map(injectionFrom);
    for (const { experiment, why } of removalsOf(experiments, injectionsOf, limits, clock.now())) {
      signal.throwIfAborted();
      const { name, uid } = experiment.metadata;
      try {
        await store.deleteExperiment(name, uid);
      } catch (thrown) {
        // Another experiment has this name by now.
        if (refusalFromUnknown(thrown).reason === 'object_conflict') continue;
        throw thrown;
      }
      if (uid !== undefined) gone = [...gone, uid];
      deps.removed(why);
      log.info({ experiment: name, why, endedAt: experiment.status?.endedAt }, 'records removed');
    }
  }

  try {
    while (!signal.aborted) {
      const woken = new AbortController();
      wake = () => woken.abort();
      try {
        await pass();
      } catch (thrown) {
        if (signal.aborted) return;
        const { reason, message } = refusalFromUnknown(thrown);
        log.warn({ reason, message }, 'old experiments were not removed, trying again');
      }
      await clock.sleep(everyMs, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
      if (!signal.aborted) await clock.sleep(gatherMs, signal).catch(() => undefined);
    }
  } finally {
    unsubscribe();
  }
}
