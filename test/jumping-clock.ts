import type { Clock } from '../shared/clock.ts';
import { nothingInFlight } from './in-flight.ts';

/**
 * A clock that stands still while anything is in flight in this process and jumps to the next timer when everything waits: an hour
 * takes as long as its work, and a busy machine changes no result.
 */
export type JumpingClock = Clock & {
  /** From then on it does not jump any more. */
  stop(): void;
};

type Timer = { readonly at: number; readonly wake: () => void };
type Running = { readonly nextAt: () => number; readonly jump: () => void };

const running = new Set<Running>();
let observers: readonly { readonly jumps: number; readonly wake: () => void }[] = [];
let jumps = 0;
let isDriven = false;

/** `startAt` in milliseconds since the Unix epoch. */
export function createJumpingClock(startAt: number): JumpingClock {
  let now = Math.round(startAt);
  let isStopped = false;
  const timers = new Set<Timer>();
  const clock: Running = {
    nextAt: () => Math.min(...[...timers].map(({ at }) => at)) - now,
    jump() {
      now = Math.max(now, Math.min(...[...timers].map(({ at }) => at)));
      for (const timer of [...timers].filter(({ at }) => at <= now)) {
        timers.delete(timer);
        timer.wake();
      }
    },
  };

  return {
    now: () => now,
    elapsed: () => now - startAt,
    sleep(milliseconds, signal) {
      if (signal?.aborted === true) return Promise.reject(signal.reason);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onAbort = () => {
        timers.delete(timer);
        if (timers.size === 0) running.delete(clock);
        reject(signal?.reason);
      };
      const timer = {
        // Whole milliseconds: what is stored as a time is never before what was waited for.
        at: Math.ceil(now + Math.max(0, milliseconds)),
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          if (timers.size === 0) running.delete(clock);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      timers.add(timer);
      if (isStopped) return promise;
      running.add(clock);
      void drive();
      return promise;
    },
    stop() {
      isStopped = true;
      running.delete(clock);
    },
  };
}

/**
 * Resolves when what the next jump of a clock sets off has been done, before the one after it: whoever looks then sees each state that
 * lasts. Where no clock runs it resolves after 5 ms of real time.
 */
export function afterNextJump(): Promise<void> {
  if (running.size === 0) return new Promise((resolve) => setTimeout(resolve, 5));
  const { promise, resolve } = Promise.withResolvers<void>();
  observers = [...observers, { jumps, wake: resolve }];
  void drive();
  return promise;
}

/** One loop for all clocks of the process, because what is in flight is that of the process. */
async function drive(): Promise<void> {
  if (isDriven) return;
  isDriven = true;
  try {
    while (running.size > 0 || observers.length > 0) {
      await nothingInFlight();
      const due = observers.filter((observer) => observer.jumps < jumps || running.size === 0);
      observers = observers.filter((observer) => !due.includes(observer));
      for (const { wake } of due) wake();
      if (due.length > 0) continue;
      const [first] = [...running].toSorted((left, right) => left.nextAt() - right.nextAt());
      if (first === undefined) continue;
      jumps += 1;
      first.jump();
    }
  } finally {
    isDriven = false;
  }
}
