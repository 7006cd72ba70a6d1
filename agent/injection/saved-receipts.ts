import type { Log } from '../../shared/log.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Journal } from './journal.ts';
import type { JournalLine } from './journal-line.ts';

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
