import type { Clock } from '../../../shared/clock.ts';

export type ManualClock = Clock & {
  /** Moves the time; what was due wakes up. */
  advance(milliseconds: number): void;
};

/** A clock that stands until the test moves it, so that back-off and watchdog are tested without waiting. */
export function createManualClock(): ManualClock {
  let now = Date.parse('2026-01-01T00:00:00Z');
  const sleepers = new Set<{ readonly until: number; wake(): void }>();
  return {
    now: () => now,
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason);
        const sleeper = {
          until: now + milliseconds,
          wake() {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
    advance(milliseconds) {
      now += milliseconds;
      for (const sleeper of [...sleepers]) if (sleeper.until <= now) sleeper.wake();
    },
  };
}
