import type { Clock } from '../../shared/clock.ts';

/**
 * Writes of one sustained part: a first one at `startMs`, then one each interval until the end. All times in ms of
 * the clock's `elapsed`: setting the clock neither stops nor prolongs it.
 */
export type Refreshing = {
  readonly clock: Clock;
  readonly startMs: number;
  /** null: nothing to repeat, only the end to wait for. */
  readonly everyMs: number | null;
  readonly untilMs: number;
  /** Ends it early, as `aborted`. */
  readonly signal: AbortSignal;
  /** True: it came back. */
  readonly write: () => Promise<boolean>;
  /** The one before took so long that the next was due already. */
  readonly missed: () => void;
};

/** After so many failures in a row the part counts as no longer sustained. */
export const mostFailures = 3;

/**
 * Writes at `startMs + n · everyMs` until `untilMs`: each moment is reckoned from the start, so nothing drifts, and a
 * write that is a whole interval late is skipped. Ends early when it is aborted, or after three failures in a row.
 */
export async function refreshUntilEnd(options: Refreshing): Promise<'deadline' | 'aborted' | 'failed'> {
  const { clock, startMs, everyMs, untilMs, signal, write, missed } = options;
  const waitUntil = (at: number) => clock.sleep(Math.max(0, at - clock.elapsed()), signal);
  let failures = 0;
  try {
    for (let number = 1; everyMs !== null && startMs + number * everyMs < untilMs; number += 1) {
      const at = startMs + number * everyMs;
      if (clock.elapsed() >= at + everyMs) {
        missed();
        continue;
      }
      await waitUntil(at);
      failures = (await write()) ? 0 : failures + 1;
      signal.throwIfAborted();
      if (failures === mostFailures) return 'failed';
    }
    await waitUntil(untilMs);
    return 'deadline';
  } catch (thrown) {
    if (signal.aborted) return 'aborted';
    throw thrown;
  }
}
