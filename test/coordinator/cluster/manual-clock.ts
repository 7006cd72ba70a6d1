import type { Clock } from '../../../shared/clock.ts';

export type ManualClock = Clock & {
  /** Moves on to the next moment somebody waits for, once somebody does; resolves after it is there. */
  step(): Promise<number>;
  /** Moves on by so much. */
  advance(milliseconds: number): void;
  /** Resolves when somebody waits for less than this; default a minute. */
  paused(below?: number): Promise<void>;
};

type Sleeper = { readonly at: number; readonly wake: () => void };

/** Time that stands still until a test moves it, so that a test never waits and never races. */
export function createManualClock(startAt: number): ManualClock {
  let now = startAt;
  let sleeping: readonly Sleeper[] = [];
  let watching: readonly { readonly below: number; readonly tell: () => void }[] = [];

  function check(): void {
    const ready = watching.filter(({ below }) => sleeping.some(({ at }) => at - now < below));
    watching = watching.filter((row) => !ready.includes(row));
    for (const { tell } of ready) tell();
  }

  function advance(milliseconds: number): void {
    now += milliseconds;
    const due = sleeping.filter(({ at }) => at <= now);
    sleeping = sleeping.filter(({ at }) => at > now);
    for (const { wake } of due) wake();
  }

  async function paused(below = 60_000): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    watching = [...watching, { below, tell: resolve }];
    check();
    await promise;
  }

  return {
    now: () => now,
    sleep: (milliseconds, signal) => {
      if (signal?.aborted === true) return Promise.reject(signal.reason);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const abort = () => {
        sleeping = sleeping.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const sleeper = {
        at: now + milliseconds,
        wake: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      sleeping = [...sleeping, sleeper];
      check();
      return promise;
    },
    advance,
    paused,
    step: async () => {
      await paused(Number.POSITIVE_INFINITY);
      const by = Math.max(0, Math.min(...sleeping.map(({ at }) => at)) - now);
      advance(by);
      return by;
    },
  };
}
