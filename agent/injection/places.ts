import { Refusal } from '../../shared/errors.ts';
import type { InjectionMetrics } from './metrics.ts';

/** Each keeps timers and runs processes; a node has a handful of GPUs. */
const mostRunning = 16;

/** Places for orders that go on after their answer. */
export type Places = {
  /** Refuses with `too_many_running`. */
  take(orderId: string): void;
  /** Does nothing for an order that has none. */
  leave(orderId: string): void;
};

/** 16 places, all free; the metric has the number of those that are taken. */
export function createPlaces(metrics: Pick<InjectionMetrics, 'running'>): Places {
  const taken = new Set<string>();
  return {
    take(orderId) {
      if (taken.size >= mostRunning) {
        throw new Refusal(
          'too_many_running',
          `${taken.size} orders go on already, and this agent keeps ${mostRunning} at most`,
          {
            allowed: { maximum: mostRunning },
            running: [...taken],
            remedy: 'StopInjection ends one of them; or wait for their ends',
          },
        );
      }
      taken.add(orderId);
      metrics.running(taken.size);
    },
    leave(orderId) {
      taken.delete(orderId);
      metrics.running(taken.size);
    },
  };
}
