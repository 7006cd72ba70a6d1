import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { JournalLine } from './journal-line.ts';
import { type ForgottenIds, openReceiptFiles, type ReceiptFiles, readForgottenIds } from './receipt-files.ts';

/** Receipts on disk, one file an order: a line before the first effect, others as it goes on. The last one counts. */
export interface Journal {
  /**
   * undefined: no order of this id was ever carried out. Refuses with `order_forgotten` where only the id is known, and with
   * `receipt_damaged` where the file cannot be understood.
   */
  read(orderId: string): Receipt | undefined;
  /** The first line of an order. Throws `journal_unwritable`; then nothing may be injected, and nothing is left of it. */
  begin(line: JournalLine): void;
  /** Throws as well. */
  write(line: JournalLine): void;
  /** Why no order can be begun now, or undefined. Tries again where an earlier attempt failed. */
  unwritable(): Refusal | undefined;
}

/** About 20 MiB; a node sees a handful of drills a day. README names this limit. */
const keptOrders = 10000;

/** Removing costs, so it is done once in so many new orders. */
const pruneEvery = 1000;

/**
 * Appended and never renamed: replacing a file makes ext4 write it out at once, which costs a millisecond an order.
 * Not synced to the platter: what a journal has to survive is the death of this process. After a power loss the kernel
 * log and the host engine's cache are gone as well, so that there is nothing left that the journal could prove.
 *
 * Never throws: a disk that cannot be read or written is reported by `unwritable` and refuses orders one by one.
 */
export function openJournal(options: {
  readonly stateDir: string;
  /** What becomes of an order that an earlier process died in. */
  readonly interrupted: (line: JournalLine) => JournalLine;
  readonly log: Log;
  readonly keep?: number;
  readonly pruneEvery?: number;
}): Journal {
  const { stateDir, log, keep = keptOrders, pruneEvery: every = pruneEvery } = options;
  const files = openReceiptFiles({ stateDir, log });
  // Begun by this process and not known to have ended.
  const open = new Set<string>();
  let trouble: Refusal | undefined;
  let forgotten: ForgottenIds | undefined;

  function unusable(thrown: unknown): Refusal {
    trouble = new Refusal(
      'journal_unwritable',
      `the journal in ${files.folder} cannot be used: ${messageFromUnknown(thrown)}`,
      { remedy: 'give --state-dir a directory that this process may write, with space on its disk' },
      thrown,
    );
    return trouble;
  }

  /** Without it an old order could be carried out again, so that none is until it was read. */
  function forgottenIds(): ForgottenIds {
    try {
      forgotten ??= readForgottenIds(stateDir);
      return forgotten;
    } catch (thrown) {
      throw unusable(thrown);
    }
  }

  function read(orderId: string): Receipt | undefined {
    const line = files.read(orderId);
    if (line === undefined) {
      if (forgottenIds().has(orderId)) throw forgottenOrder(orderId, keep);
      return undefined;
    }
    const { remaining: _, ...receipt } = settled(line);
    return receipt;
  }

  /** One that is running and not of this process is interrupted, also where that cannot be written down. */
  function settled(line: JournalLine): JournalLine {
    if (line.state !== 'running' || open.has(line.orderId)) return line;
    const ended = options.interrupted(line);
    try {
      write(ended);
    } catch (thrown) {
      log.error({ err: thrown, orderId: line.orderId }, 'an interrupted order could not be recorded');
    }
    return ended;
  }

  function begin(line: JournalLine): void {
    forgottenIds();
    prune();
    try {
      files.create(line);
    } catch (thrown) {
      throw unusable(thrown);
    }
    trouble = undefined;
    open.add(line.orderId);
  }

  function write(line: JournalLine): void {
    try {
      files.append(line);
    } catch (thrown) {
      throw unusable(thrown);
    }
    if (line.state !== 'running') open.delete(line.orderId);
  }

  function prune(): void {
    if (files.known.size >= keep + every) removeOldest(files, forgottenIds(), { open, keep, log });
  }

  function unwritable(): Refusal | undefined {
    try {
      files.assertWritable();
      if (trouble !== undefined) {
        files.assertSpace();
        forgottenIds();
        trouble = undefined;
      }
    } catch (thrown) {
      unusable(thrown);
    }
    return trouble;
  }

  function openFolder(): void {
    files.list();
    for (const orderId of [...files.known]) {
      try {
        const line = files.read(orderId);
        if (line !== undefined) settled(line);
      } catch {
        // Named in the log, and refused when somebody asks for it.
      }
    }
    forgottenIds();
    prune();
  }

  try {
    openFolder();
  } catch (thrown) {
    log.error(
      { err: unusable(thrown) },
      'the journal cannot be used: orders are refused, everything else works',
    );
  }
  return { read, begin, write, unwritable };
}

/** Removes the oldest beyond the limit that have ended; their ids are kept. A failure only leaves more receipts. */
function removeOldest(
  files: ReceiptFiles,
  ids: ForgottenIds,
  { open, keep, log }: { readonly open: ReadonlySet<string>; readonly keep: number; readonly log: Log },
): void {
  const old = [...files.known].filter((orderId) => !open.has(orderId)).slice(0, files.known.size - keep);
  if (ids.isFull() || old.length === 0) return;
  try {
    ids.add(old);
  } catch (thrown) {
    log.error({ err: thrown }, 'old receipts are not removed: their ids cannot be recorded');
    return;
  }
  for (const orderId of old) files.remove(orderId);
}

function forgottenOrder(orderId: string, keep: number): Refusal {
  return new Refusal(
    'order_forgotten',
    `orderId: ${orderId} was carried out before, and its receipt has been removed since`,
    {
      field: 'orderId',
      value: orderId,
      allowed: `the receipts of the last ${keep} orders`,
      remedy: 'send a new order id to inject again',
    },
  );
}
