import type { Clock } from '../../../shared/clock.ts';
import { firstTickJitter } from '../../../shared/nma-timing.ts';

type Tick = {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly periodMs: number;
  /** 0 to 1: moves the first tick by up to a fifth of the period; absent: none (Go's plain ticker). */
  readonly random?: () => number;
};

/** Calls `work` at every tick until the signal aborts. A tick that comes while the work runs is skipped, as in Go. */
export async function everyTick(tick: Tick, work: () => Promise<void> | void): Promise<void> {
  const { clock, signal, periodMs, random } = tick;
  let next = clock.now() + periodMs * (1 + (random === undefined ? 0 : random() * firstTickJitter));
  while (!signal.aborted) {
    try {
      await clock.sleep(next - clock.now(), signal);
    } catch (thrown) {
      if (signal.aborted) return;
      throw thrown;
    }
    await work();
    next += periodMs;
    const late = clock.now() - next;
    // One tick is buffered, the others are lost.
    if (late > 0) next += Math.floor(late / periodMs) * periodMs;
  }
}
