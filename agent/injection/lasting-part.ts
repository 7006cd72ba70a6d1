import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { SurfaceResult, Sustained } from '../../shared/schemas/receipt.ts';
import { keepBeat, mostFailures } from './beat.ts';
import type { Lasting, Prepared } from './channel.ts';

/** Why an order ends before its time. */
export type Cut = 'stopped' | 'agent-restarted';

type LastingPart = {
  readonly prepared: Prepared;
  readonly lasting: Lasting;
  /** The entry of its first write. */
  readonly entry: SurfaceResult;
  /** When that was. */
  readonly startMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly cut: () => Cut | undefined;
  /** Takes the entry as it is now, after every change. */
  readonly tell: (entry: SurfaceResult) => void;
  /** What went wrong at a beat. */
  readonly refusalFrom: (thrown: unknown) => Refusal;
};

/** Keeps a part going, and its entry true, until its end; then takes it back. */
export async function keepLasting(part: LastingPart): Promise<void> {
  const { prepared, lasting, startMs, clock, signal } = part;
  const { everyMs, forMs } = lasting;
  const untilMs = startMs + forMs;
  let entry = part.entry;
  let sustained: Sustained = {
    everySeconds: everyMs === null ? null : everyMs / 1000,
    until: isoFromMillis(untilMs),
    beats: 1,
    failures: 0,
    lastAt: isoFromMillis(startMs),
  };
  const tell = () => part.tell({ ...entry, sustained });

  function fail(refusal: Refusal): void {
    entry = { ...entry, code: refusal.reason, message: refusal.message };
    sustained = { ...sustained, failures: sustained.failures + 1 };
    tell();
  }

  async function write(): Promise<boolean> {
    const begunMs = clock.now();
    try {
      const { startedAt = begunMs, readBack } = await prepared.write(signal);
      if (readBack !== undefined) entry = { ...entry, readBack };
      sustained = { ...sustained, beats: sustained.beats + 1, lastAt: isoFromMillis(startedAt) };
      tell();
      return true;
    } catch (thrown) {
      // What is cut off was asked to.
      if (!signal.aborted) fail(part.refusalFrom(thrown));
      return false;
    }
  }

  tell();
  const how = await keepBeat({
    clock,
    startMs,
    everyMs,
    untilMs,
    signal,
    write,
    missed: () => fail(leftOut()),
  });
  const note = await lasting.end?.();
  const ended = how === 'aborted' ? (part.cut() ?? 'stopped') : how;
  sustained = { ...sustained, ended };
  const gaveUp = how === 'failed' ? [`ended early: ${mostFailures} beats on end did not come back`] : [];
  entry = { ...entry, notes: [...entry.notes, ...gaveUp, ...(note === undefined ? [] : [note])] };
  tell();
}

function leftOut(): Refusal {
  return new Refusal('dcgmi_timeout', 'a beat was left out: the one before it took longer than an interval');
}
