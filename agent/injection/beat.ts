import type { Clock } from '../../shared/clock.ts';

export type Beat = {
  readonly clock: Clock;
  readonly startMs: number;
  /** null: nothing to repeat, only the end to wait for. */
  readonly everyMs: number | null;
  readonly untilMs: number;
  readonly signal: AbortSignal;
  /** True: it came back. */
  readonly write: () => Promise<boolean>;
  /** The one before took so long that the next was due already. */
  readonly missed: () => void;
};

/** So many failures on end, and there is nothing that still lasts. */
export const mostFailures = 3;

/**
 * Writes at `startMs + n · everyMs` until `untilMs`: each moment is reckoned from the start, so nothing drifts, and a
 * beat that is a whole interval late is left out. Ends early when it is aborted, or after three failures on end.
 */
export async function keepBeat(beat: Beat): Promise<'deadline' | 'aborted' | 'failed'> {
  const { clock, startMs, everyMs, untilMs, signal } = beat;
  const waitUntil = (at: number) => clock.sleep(Math.max(0, at - clock.now()), signal);
  let failures = 0;
  try {
    for (let number = 1; everyMs !== null && startMs + number * everyMs < untilMs; number += 1) {
      const at = startMs + number * everyMs;
      if (clock.now() >= at + everyMs) {
        beat.missed();
        continue;
      }
      await waitUntil(at);
      failures = (await beat.write()) ? 0 : failures + 1;
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
