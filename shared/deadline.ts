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
