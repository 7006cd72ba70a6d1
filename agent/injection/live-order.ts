import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Receipt, Surface, SurfaceResult } from '../../shared/schemas/receipt.ts';
import {
  type Channel,
  type Confirmed,
  dueAfter,
  negative,
  type PartRecovery,
  type Prepared,
} from './channel.ts';
import type { JournalLine } from './journal-line.ts';
import type { InjectionMetrics } from './metrics.ts';
import { takenBack } from './receipts.ts';
import { type Cut, sustainPart } from './sustained-part.ts';

/** A part of an order after its checks; a refused one only stands in the receipt. */
export type PlannedPart = {
  readonly channel: Channel;
  /** Absent where it was refused. */
  readonly prepared?: Prepared;
  /** Its entry in the receipt. */
  readonly refused?: SurfaceResult;
  /** Why. */
  readonly because?: Refusal;
};

/** An order that this process carries out, from its acceptance to its last receipt. */
export type LiveOrder = {
  /** Something of it goes on, or begins, after it is answered; false: it is written once, and answered then. */
  readonly goesOn: boolean;
  /** As it stands now. */
  receipt(): Receipt;
  /** Everything that is due at once has been written. */
  readonly begun: Promise<void>;
  /** The last receipt. */
  readonly ended: Promise<Receipt>;
  /** Once it has ended: whether everything was taken back that has to be. */
  isReleased(): boolean;
  /** Ends it before its time; what was written is taken back where that is possible. */
  cut(why: Cut): void;
};

/** How often the progress of a sustained order is journaled; a kill of this process loses no more than that. */
const checkpointMs = 30_000;

/** The first line of the journal: what has to be known of an order before its first effect. */
export function firstLine(receipt: Receipt, parts: readonly PlannedPart[]): JournalLine {
  return journalLine(
    receipt,
    parts,
    parts.map(({ refused }) => refused),
  );
}

/** Starts an order whose journal has been begun; it runs to its end whether or not a caller waits. */
export function startLiveOrder(options: {
  readonly accepted: Receipt;
  readonly parts: readonly PlannedPart[];
  readonly clock: Clock;
  readonly metrics: InjectionMetrics;
  readonly log: Log;
  /** Writes a line down; never throws. */
  readonly save: (line: JournalLine) => void;
}): LiveOrder {
  const { accepted, parts, clock, metrics } = options;
  // Not from `acceptedAt`: a clock that is set moves nothing that is due.
  const acceptedMs = clock.elapsed();
  const abort = new AbortController();
  const entries: (SurfaceResult | undefined)[] = parts.map(({ refused }) => refused);
  const going: Promise<void>[] = [];
  const unconfirmed: (() => Promise<void>)[] = [];
  const begun = Promise.withResolvers<void>();
  let cut: Cut | undefined;
  let savedMs = acceptedMs;
  let isReleased = true;
  const notTakenBack = () => {
    isReleased = false;
  };

  function receipt(): Receipt {
    return { ...accepted, surfaces: entries.filter((entry) => entry !== undefined) };
  }

  function checkpoint(): void {
    savedMs = clock.elapsed();
    options.save(journalLine(receipt(), parts, entries));
  }

  async function run(): Promise<Receipt> {
    const due = parts.filter(({ prepared }) => prepared !== undefined);
    const moments = [...new Set(due.map(({ channel }) => channel.afterMs))];
    for (const afterMs of moments) {
      if (afterMs > 0) begun.resolve();
      if (!(await isReached(clock, acceptedMs + afterMs, abort.signal)) || cut !== undefined) break;
      for (const [index, { channel, prepared }] of parts.entries()) {
        if (channel.afterMs === afterMs && prepared !== undefined && cut === undefined) {
          await write(index, channel, prepared);
        }
      }
      for (const confirm of unconfirmed.splice(0)) await confirm();
      if (going.length > 0 || afterMs !== moments.at(-1)) checkpoint();
    }
    begun.resolve();
    await Promise.all(going);
    return concluded({ ...options, entries, cut });
  }

  async function write(index: number, channel: Channel, prepared: Prepared): Promise<void> {
    const { surface, undo } = channel;
    const { sustain } = prepared;
    const begunMs = clock.now();
    const begunElapsed = clock.elapsed();
    const stop = metrics.time(surface);
    try {
      const { startedAt = begunMs, confirm, ...done } = await prepared.write(abort.signal);
      const at = isoFromMillis(startedAt);
      const entry = { surface, outcome: 'injected', ...done, ...dueAfter(channel), at, undo } as const;
      if (confirm !== undefined) {
        unconfirmed.push(async () => {
          entries[index] = confirmed(metrics, entry, channel, await confirm(abort.signal));
        });
        return;
      }
      metrics.count(surface, 'injected');
      entries[index] = entry;
      if (sustain !== undefined) {
        const startElapsed = elapsedAt(clock, startedAt, begunElapsed);
        sustainFrom(index, { prepared, sustain, entry, startMs: startedAt, startElapsed });
      }
    } catch (thrown) {
      const refusal = countFailure(options, surface, thrown);
      metrics.count(surface, 'failed');
      // Part of it may have been written all the same.
      const end = await sustain?.end?.();
      if (end?.isDone === false) notTakenBack();
      const failed = { ...negative(channel, 'failed', refusal), at: isoFromMillis(begunMs) };
      entries[index] = end === undefined ? failed : takenBack(failed, end);
    } finally {
      stop();
    }
  }

  function sustainFrom(index: number, part: BegunPart): void {
    const record = (entry: SurfaceResult) => {
      entries[index] = entry;
      if (clock.elapsed() - savedMs >= checkpointMs) checkpoint();
    };
    const refusalFrom = (thrown: unknown) => countFailure(options, part.entry.surface, thrown);
    const order = { clock, signal: abort.signal, cut: () => cut, record, notTakenBack, refusalFrom };
    going.push(sustainPart({ ...part, ...order }));
  }

  const ended = run();
  // A failure reaches those who wait for the end as well.
  ended.catch(begun.reject);
  begun.promise.catch(() => undefined);
  return {
    goesOn: goesOn(parts),
    receipt,
    begun: begun.promise,
    ended,
    isReleased: () => isReleased,
    cut(why) {
      cut ??= why;
      abort.abort(cutOff(accepted.orderId, why));
    },
  };
}

/** Whether a part goes on, or begins, after the order is answered. */
export function goesOn(parts: readonly PlannedPart[]): boolean {
  return parts.some(
    ({ channel, prepared }) =>
      prepared !== undefined && (channel.afterMs > 0 || prepared.sustain !== undefined),
  );
}

/** The last receipt: what was not reached is refused. */
function concluded(order: {
  readonly accepted: Receipt;
  readonly parts: readonly PlannedPart[];
  readonly entries: readonly (SurfaceResult | undefined)[];
  readonly cut: Cut | undefined;
  readonly clock: Clock;
}): Receipt {
  const { accepted, parts, clock, cut } = order;
  const surfaces = parts.map(
    ({ channel }, index) =>
      order.entries[index] ?? negative(channel, 'refused', cutOff(accepted.orderId, cut)),
  );
  const isCutShort = surfaces.some(
    ({ sustained, code }) => sustained?.ended === 'agent-restarted' || code === 'shutting_down',
  );
  return {
    ...accepted,
    surfaces,
    state: isCutShort ? 'interrupted' : 'ended',
    endedAt: isoFromMillis(clock.now()),
  };
}

/** The entry as the second read-back leaves it. */
function confirmed(
  metrics: InjectionMetrics,
  entry: SurfaceResult,
  channel: Channel,
  { refusal, ...seen }: Confirmed,
): SurfaceResult {
  metrics.count(entry.surface, refusal === undefined ? 'injected' : 'failed');
  if (refusal === undefined) return { ...entry, ...seen };
  metrics.readBackFailed(entry.surface);
  return { ...entry, ...negative(channel, 'failed', refusal), ...seen };
}

type BegunPart = Pick<
  Parameters<typeof sustainPart>[0],
  'prepared' | 'sustain' | 'entry' | 'startMs' | 'startElapsed'
>;

/** What `elapsed` was at a time of a write that began at `begunElapsed`; within it, also where the clock was set meanwhile. */
function elapsedAt(clock: Clock, atMs: number, begunElapsed: number): number {
  return Math.max(begunElapsed, clock.elapsed() - Math.max(0, clock.now() - atMs));
}

/** Waits for a time on the clock’s `elapsed`, in ms; false: the signal ended the wait. */
async function isReached(clock: Clock, atMs: number, signal: AbortSignal): Promise<boolean> {
  const leftMs = atMs - clock.elapsed();
  try {
    if (leftMs > 0) await clock.sleep(leftMs, signal);
    return true;
  } catch (thrown) {
    if (signal.aborted) return false;
    throw thrown;
  }
}

/** Logs what is a defect, counts what could not be read back. */
function countFailure(
  { metrics, log }: { readonly metrics: InjectionMetrics; readonly log: Log },
  surface: Surface,
  thrown: unknown,
): Refusal {
  const refusal = refusalFromUnknown(thrown);
  if (refusal.reason === 'internal') log.error({ err: thrown, surface }, 'injection failed');
  if (refusal.reason === 'read_back_failed' || refusal.reason === 'injection_not_visible') {
    metrics.readBackFailed(surface);
  }
  return refusal;
}

function cutOff(orderId: string, cut: Cut | undefined): Refusal {
  if (cut === 'agent-restarted')
    return new Refusal('shutting_down', `the agent stopped before this part of ${orderId} was done`);
  const by =
    cut === 'kill-switch'
      ? ' by the kill switch'
      : cut === 'lease-lost'
        ? ' as no coordinator renewed its lease'
        : '';
  return new Refusal('order_stopped', `${orderId} was stopped${by} before this part was done`);
}

function journalLine(
  receipt: Receipt,
  parts: readonly PlannedPart[],
  entries: readonly (SurfaceResult | undefined)[],
): JournalLine {
  const remaining = parts.flatMap(({ channel }, part) =>
    entries[part] === undefined
      ? [{ part, surface: channel.surface, afterMs: channel.afterMs, undo: channel.undo }]
      : [],
  );
  return { ...receipt, remaining };
}

/** What has to be taken back at the end of an order, by its part. */
export function recoveryOf(parts: readonly PlannedPart[]): readonly PartRecovery[] {
  return parts.flatMap(({ prepared }, part) => {
    const recovery = prepared?.sustain?.recovery;
    return recovery === undefined ? [] : [{ part, ...recovery }];
  });
}
