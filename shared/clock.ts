import { setTimeout as sleepReal } from 'node:timers/promises';

/** Time as an argument: real in production, sped up in the rehearsal. */
export interface Clock {
  /** Milliseconds since the Unix epoch, of this clock: for what is shown. It may be set forward and back. */
  now(): number;
  /** Milliseconds since some moment, which only ever grow: for how long something takes or lasts. */
  elapsed(): number;
  /** Resolves after `milliseconds` of this clock; rejects with the signal's reason when it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** Node's timers hold 31 bits; longer waits are cut into pieces. */
const longestTimer = 2 ** 31 - 1;

/** The machine's wall clock: it may be set back while the program runs. */
export function createRealClock(): Clock {
  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    sleep: sleepAbortably,
  };
}

/** Between two steps of a scaled clock, in real milliseconds. */
const stepMs = 10;
/** What one step counts for at the most, in real milliseconds. */
const longestStepMs = 3 * stepMs;

/**
 * A clock that starts at `startAt` and runs `factor` times as fast as the real one, while the process is run: what a busy machine takes
 * from it, or what blocks its event loop, counts for a moment only, since at factor 60 half a minute would be gone in half a second.
 * Network and disk stay real: at factor 60 a 5 ms round trip takes 300 ms of this clock.
 */
export function createScaledClock(options: { readonly factor: number; readonly startAt: number }): Clock {
  const { factor, startAt } = options;
  if (!(factor > 0) || !Number.isFinite(factor)) throw new RangeError(`factor ${factor} is not above 0`);
  let passed = 0;
  let steppedAt = performance.now();
  const elapsed = () => {
    const now = performance.now();
    passed += Math.min(now - steppedAt, longestStepMs) * factor;
    steppedAt = now;
    return passed;
  };
  // Like a timeout signal: it does not keep the process running.
  setInterval(elapsed, stepMs).unref();
  return {
    now: () => Math.round(startAt + elapsed()),
    elapsed,
    async sleep(milliseconds, signal) {
      const until = elapsed() + milliseconds;
      do await sleepAbortably((until - elapsed()) / factor, signal);
      while (elapsed() < until);
    },
  };
}

async function sleepAbortably(milliseconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  let left = Math.max(0, milliseconds);
  try {
    do {
      const piece = Math.min(left, longestTimer);
      await sleepReal(piece, undefined, signal === undefined ? {} : { signal });
      left -= piece;
    } while (left > 0);
  } catch (thrown) {
    // Node wraps the reason in an AbortError of its own; callers want what they aborted with.
    throw signal?.aborted === true ? signal.reason : thrown;
  }
}

/**
 * What is left, in milliseconds, of a time that was stored as two moments of the wall clock. Never more than all of it: the clock may
 * have been set back since, and what was to take a minute would take an hour.
 */
export function leftOf(span: { readonly from: number; readonly until: number }, now: number): number {
  return Math.max(0, Math.min(span.until - now, span.until - span.from));
}

/** `2026-11-23T02:24:09.000Z`. Throws RangeError for a time that no Date has. */
export function isoFromMillis(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** A time limit for one call, together with the signal of whoever asked for it. */
export type Deadline = {
  /** Aborts when the time is over, with a TimeoutError, or with the reason of the caller's signal. */
  readonly signal: AbortSignal;
  /** Whether it was the time that ended it, not the caller. */
  hasPassed(): boolean;
  /** Ends the timer and lets go of the caller's signal; to be called when the call is over, however it ended. */
  release(): void;
};

/**
 * As `AbortSignal.any([AbortSignal.timeout(ms), given])`, but over with the call: a timeout signal lives for its whole time,
 * so that a thousand calls a minute leave a thousand timers and signals behind. Real time: a network is not sped up.
 */
export function createDeadline(milliseconds: number, given?: AbortSignal): Deadline {
  const ending = new AbortController();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    ending.abort(new DOMException(`no answer within ${milliseconds} ms`, 'TimeoutError'));
  }, milliseconds);
  // Like a timeout signal: it does not keep the process running.
  timer.unref();
  const onAbort = () => ending.abort(given?.reason);
  if (given?.aborted === true) onAbort();
  else given?.addEventListener('abort', onAbort, { once: true });
  return {
    signal: ending.signal,
    hasPassed: () => isOver,
    release: () => {
      clearTimeout(timer);
      given?.removeEventListener('abort', onAbort);
    },
  };
}
