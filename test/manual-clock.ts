import type { Clock } from '../shared/clock.ts';

/** Time that stands still until a test moves it: minutes take no time, and nothing depends on the machine's speed. */
export type ManualClock = Clock & {
  /** Moves on, timer by timer; the promises that one sets off are done before the next one. */
  advance(milliseconds: number): Promise<void>;
  /** Moves on at once and wakes all that is due then; does not wait for what they do. */
  jump(milliseconds: number): void;
  /** Jumps to the next timer, as soon as there is one; resolves with the milliseconds that it jumped. */
  step(): Promise<number>;
  /** Sets the wall clock forward or back; no time passes. */
  set(milliseconds: number): void;
  /** Resolves when something sleeps for less than this; default a minute. */
  paused(below?: number): Promise<void>;
};

type Timer = { readonly at: number; readonly wake: () => void };

/** `startAt` in milliseconds since the Unix epoch. */
export function createManualClock(startAt = Date.UTC(2026, 10, 23, 2, 24, 8)): ManualClock {
  let now = startAt;
  let setBy = 0;
  let timers: readonly Timer[] = [];
  let waiting: readonly { readonly below: number; readonly resume: () => void }[] = [];

  function check(): void {
    const ready = waiting.filter(({ below }) => timers.some(({ at }) => at - now < below));
    waiting = waiting.filter((row) => !ready.includes(row));
    for (const { resume } of ready) resume();
  }

  function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      timers = timers.filter((other) => other !== timer);
      reject(signal?.reason);
    };
    const timer = {
      at: now + Math.max(0, milliseconds),
      wake: () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      },
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    timers = [...timers, timer];
    check();
    return promise;
  }

  function jump(milliseconds: number): void {
    now += milliseconds;
    const due = timers.filter(({ at }) => at <= now);
    timers = timers.filter(({ at }) => at > now);
    for (const { wake } of due) wake();
  }

  async function advance(milliseconds: number): Promise<void> {
    const end = now + milliseconds;
    await settle();
    for (;;) {
      const due = timers.filter(({ at }) => at <= end);
      const next = due.find(({ at }) => due.every((other) => at <= other.at));
      if (next === undefined) break;
      timers = timers.filter((timer) => timer !== next);
      now = Math.max(now, next.at);
      next.wake();
      await settle();
    }
    now = end;
  }

  async function paused(below = 60_000): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting = [...waiting, { below, resume: resolve }];
    check();
    await promise;
  }

  return {
    now: () => now + setBy,
    elapsed: () => now,
    set: (milliseconds) => {
      setBy += milliseconds;
    },
    sleep,
    advance,
    jump,
    paused,
    async step() {
      await paused(Number.POSITIVE_INFINITY);
      const by = Math.max(0, Math.min(...timers.map(({ at }) => at)) - now);
      jump(by);
      return by;
    },
  };
}

/** Promises run between two turns of the event loop; a few turns, because one may set off another. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
