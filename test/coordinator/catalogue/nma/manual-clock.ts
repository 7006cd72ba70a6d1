import type { Clock } from '../../../../shared/clock.ts';

export type ManualClock = Clock & {
  /** Moves time on, timer by timer; what they set off is done before the next one. */
  advance(milliseconds: number): Promise<void>;
};

/** A clock that moves only when told to, so that minutes take no time and nothing depends on the machine's speed. */
export function createManualClock(startAt = Date.UTC(2026, 10, 23, 2, 24, 8)): ManualClock {
  let now = startAt;
  let timers: { readonly at: number; readonly wake: () => void }[] = [];

  /** Promises run between two turns of the event loop; a few turns, because one may set off another. */
  async function settle(): Promise<void> {
    for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  return {
    now: () => now,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason);
        const onAbort = () => {
          timers = timers.filter((timer) => timer !== own);
          reject(signal?.reason);
        };
        const own = {
          at: now + Math.max(0, milliseconds),
          wake: () => {
            signal?.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        timers.push(own);
      }),
    async advance(milliseconds) {
      const end = now + milliseconds;
      await settle();
      for (;;) {
        const next = timers.reduce<(typeof timers)[number] | undefined>(
          (first, timer) => (timer.at <= end && (first === undefined || timer.at < first.at) ? timer : first),
          undefined,
        );
        if (next === undefined) break;
        timers = timers.filter((timer) => timer !== next);
        now = Math.max(now, next.at);
        next.wake();
        await settle();
      }
      now = end;
    },
  };
}
