import { isReason, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Receipt, SurfaceResult } from '../../shared/schemas/receipt.ts';
import { negative } from './channel.ts';
import type { Journal } from './journal.ts';
import type { JournalLine, RemainingPart } from './journal-line.ts';
import type { Recovered } from './recovery.ts';

/** Whether a sustained part of the order is still active. */
export function isSustained({ surfaces }: Receipt): boolean {
  return surfaces.some(isActive);
}

function isActive({ sustained }: SurfaceResult): boolean {
  return sustained !== undefined && sustained.ended === undefined;
}

/** The entry after something of it was taken back, or could not be: `undo` says what is so now, the notes what was done. */
export function takenBack(entry: SurfaceResult, { note, isDone }: Recovered): SurfaceResult {
  return { ...entry, notes: [...entry.notes, note], undo: `${isDone ? 'done' : 'still to do'}: ${note}` };
}

/** Why `StopInjection` refuses an order that has ended; `remedy` says how each surface is undone. */
export function nothingToStop(receipt: Receipt): Refusal {
  const { orderId, state, surfaces } = receipt;
  return new Refusal(
    'nothing_to_stop',
    `orderId: ${orderId} has ${state}; there is nothing of it left running`,
    {
      field: 'orderId',
      remedy: surfaces.map(({ surface, undo }) => `${surface}: ${undo}`).join('; '),
      receipt,
    },
  );
}

/** Nothing injected is an error, with the receipt in its details: a caller that only looks at the status is not misled. */
export function conclude(receipt: Receipt): Receipt {
  if (receipt.surfaces.some(({ outcome }) => outcome === 'injected')) return receipt;
  if (receipt.state === 'running') return receipt;
  if (receipt.state === 'interrupted') {
    throw new Refusal(
      'order_interrupted',
      `the agent stopped while carrying out ${receipt.orderId}; it may or may not have been written`,
      {
        remedy: 'look for it in the kernel log or the host engine; send a new order id to inject again',
        receipt,
      },
    );
  }
  // One that was tried may have left something behind, so it is the one to hear of.
  const first = receipt.surfaces.find(({ outcome }) => outcome === 'failed') ?? receipt.surfaces[0];
  const reason = first?.code !== undefined && isReason(first.code) ? first.code : 'internal';
  throw new Refusal(reason, first?.message ?? 'nothing was injected', { ...first?.details, receipt });
}

/** What is known of an order that this process, or the one before it, did not bring to its end. */
export function interruptedReceipt(line: JournalLine, endedAt: string): JournalLine {
  const { remaining = [], ...receipt } = line;
  const known = receipt.surfaces.map((entry) =>
    entry.sustained !== undefined && entry.sustained.ended === undefined
      ? { ...entry, sustained: { ...entry.sustained, ended: 'agent-restarted' as const } }
      : entry,
  );
  const surfaces = known.slice();
  // In rising order, so that each finds its own place.
  for (const { part, ...rest } of remaining) surfaces.splice(part, 0, maybeWritten(rest, receipt.orderId));
  return { ...receipt, state: 'interrupted', endedAt, surfaces };
}

function maybeWritten(part: Omit<RemainingPart, 'part'>, orderId: string): SurfaceResult {
  const because = `the agent stopped while carrying out ${orderId}; this part may or may not have been written`;
  return negative(part, 'failed', new Refusal('order_interrupted', because));
}

/** One surface for the log: `dcgm injected`, `kernel-log refused (kernel_log_unavailable)`. */
export function brief(result: SurfaceResult): string {
  return `${result.surface} ${result.outcome}${result.code === undefined ? '' : ` (${result.code})`}`;
}

/** The journal, and a memory for what it does not take. */
export type SavedReceipts = {
  /** The first line of an order. Throws `journal_unwritable`; then nothing may be injected. */
  begin(line: JournalLine): void;
  /** Never throws: what has happened has happened, and a journal that fails now does not make it an error. */
  save(line: JournalLine): void;
  /** As `Journal.read`. */
  find(orderId: string): Receipt | undefined;
};

/** Ended orders that the journal did not take are answered from memory, as long as this process runs. */
export function createSavedReceipts({
  journal,
  log,
}: {
  readonly journal: Journal;
  readonly log: Log;
}): SavedReceipts {
  const unsaved = new Map<string, Receipt>();
  function save(line: JournalLine): void {
    try {
      journal.write(line);
      unsaved.delete(line.orderId);
    } catch (thrown) {
      if (line.state !== 'running') unsaved.set(line.orderId, line);
      log.error({ err: thrown, orderId: line.orderId }, 'the receipt could not be written down');
    }
  }
  return {
    save,
    begin(line) {
      journal.begin(line);
      for (const earlier of unsaved.values()) save(earlier);
    },
    find: (orderId) => unsaved.get(orderId) ?? journal.read(orderId),
  };
}
