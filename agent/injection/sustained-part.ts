import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { SurfaceResult, Sustained } from '../../shared/schemas/receipt.ts';
import type { Prepared, SustainPlan } from './channel.ts';
import { takenBack } from './receipts.ts';
import { mostFailures, refreshUntilEnd } from './refresh.ts';

/**
 * Why an order ends before its time. `lease-lost`: no coordinator confirmed within 1.3 s that the kill switch is not engaged.
 */
export type Cut = 'stopped' | 'kill-switch' | 'lease-lost' | 'agent-restarted';

type SustainedPart = {
  readonly prepared: Prepared;
  readonly sustain: SustainPlan;
  /** The entry of its first write. */
  readonly entry: SurfaceResult;
  /** When that was, for the receipt. */
  readonly startMs: number;
  /** The same on the clock's `elapsed`, by which it is refreshed and ends. */
  readonly startElapsed: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly cut: () => Cut | undefined;
  /** Records the entry as it is now; called after every change. */
  readonly record: (entry: SurfaceResult) => void;
  /** It could not be taken back at the end. */
  readonly notTakenBack: () => void;
  /** What went wrong at a refresh. */
  readonly refusalFrom: (thrown: unknown) => Refusal;
};

/** Sustains a part, with its entry up to date, until its end; then takes it back. */
export async function sustainPart(part: SustainedPart): Promise<void> {
  const { prepared, sustain, startMs, startElapsed, clock, signal } = part;
  const { everyMs, forMs } = sustain;
  let entry = part.entry;
  let sustained: Sustained = {
    everySeconds: everyMs === null ? null : everyMs / 1000,
    until: isoFromMillis(startMs + forMs),
    beats: 1,
    failures: 0,
    lastAt: isoFromMillis(startMs),
  };
  const record = () => part.record({ ...entry, sustained });

  function fail(refusal: Refusal): void {
    entry = { ...entry, code: refusal.reason, message: refusal.message };
    sustained = { ...sustained, failures: sustained.failures + 1 };
    record();
  }

  async function write(): Promise<boolean> {
    const begunMs = clock.now();
    try {
      const { startedAt = begunMs, readBack } = await prepared.write(signal);
      if (readBack !== undefined) entry = { ...entry, readBack };
      sustained = { ...sustained, beats: sustained.beats + 1, lastAt: isoFromMillis(startedAt) };
      record();
      return true;
    } catch (thrown) {
      // An aborted write is no failure: the order was stopped.
      if (!signal.aborted) fail(part.refusalFrom(thrown));
      return false;
    }
  }

  record();
  const how = await refreshUntilEnd({
    clock,
    startMs: startElapsed,
    everyMs,
    untilMs: startElapsed + forMs,
    signal,
    write,
    missed: () => fail(leftOut()),
  });
  const end = await sustain.end?.();
  if (end?.isDone === false) part.notTakenBack();
  const ended = how === 'aborted' ? (part.cut() ?? 'stopped') : how;
  sustained = { ...sustained, ended };
  const gaveUp =
    how === 'failed' ? [`ended early: ${mostFailures} refreshes in a row could not be read back`] : [];
  const ending = { ...entry, notes: [...entry.notes, ...gaveUp] };
  // What is only written again and again is over with its last write; something else was taken back.
  entry =
    end === undefined
      ? { ...ending, undo: `written for the last time at ${sustained.lastAt}; ${entry.undo}` }
      : takenBack(ending, end);
  record();
}

function leftOut(): Refusal {
  return new Refusal(
    'dcgmi_timeout',
    'a refresh was skipped: the one before it took longer than the refresh interval',
  );
}
