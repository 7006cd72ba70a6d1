import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Receipt, Surface } from '../../shared/schemas/receipt.ts';
import type { Recovery } from './channel.ts';

/** A receipt, and what the next process has to know of it should this one die. */
export type JournalLine = Receipt & {
  /** Parts that have no entry yet. */
  readonly remaining?: readonly RemainingPart[];
  /** What has to be taken back, by the part that has left it. */
  readonly recovery?: readonly (Recovery & { readonly part: number })[];
};

/** A part that a crash kept from being written: its receipt says so after the restart. */
export type RemainingPart = {
  /** Its place among all parts of the order. */
  readonly part: number;
  readonly surface: Surface;
  /** As `Channel.afterMs`. */
  readonly afterMs: number;
  /** As `Channel.undo`. */
  readonly undo: string;
};

/** Receipts on disk, one file an order: a line before the first effect, others as it goes on. The last one counts. */
export interface Journal {
  /** undefined: no order of this id is known. */
  read(orderId: string): Receipt | undefined;
  /** The first line of an order. Throws `journal_unwritable`; then nothing may be injected. */
  begin(line: JournalLine): void;
  /** Throws as well. */
  write(line: JournalLine): void;
  /** Orders that an earlier process died in and that have left something to take back. */
  readonly unfinished: readonly JournalLine[];
}

/** About 20 MiB; a node sees a handful of drills a day. */
const keptOrders = 10000;

/** Looking at every file costs, so it is done once in so many new orders. */
const pruneEvery = 1000;

/**
 * Appended and never renamed: replacing a file makes ext4 write it out at once, which costs a millisecond an order.
 * Not synced to the platter: what a journal has to survive is the death of this process. After a power loss the kernel
 * log and the host engine's cache are gone as well, so that there is nothing left that the journal could prove.
 */
export function openJournal(options: {
  readonly stateDir: string;
  readonly interrupted: (line: JournalLine) => JournalLine;
  readonly keep?: number;
  readonly pruneEvery?: number;
}): Journal {
  const { keep = keptOrders } = options;
  const folder = join(options.stateDir, 'orders');
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    throw unwritable(folder, thrown);
  }
  const fileOf = (orderId: string) => join(folder, `${orderId}.json`);

  function read(orderId: string): Receipt | undefined {
    const line = readLine(orderId);
    if (line === undefined) return undefined;
    const { remaining: _, recovery: __, ...receipt } = line;
    return receipt;
  }

  function readLine(orderId: string): JournalLine | undefined {
    // The usual answer, without the cost of an error.
    if (!existsSync(fileOf(orderId))) return undefined;
    let text: string;
    try {
      text = readFileSync(fileOf(orderId), 'utf8');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw unwritable(folder, thrown);
    }
    try {
      return lastLine(text);
    } catch (thrown) {
      throw new Refusal(
        'journal_unwritable',
        `the receipt of ${orderId} cannot be read: ${messageFromUnknown(thrown)}`,
        { remedy: `look at ${fileOf(orderId)}; remove it only if that order may be carried out again` },
        thrown,
      );
    }
  }

  let newOrders = 0;

  function begin(line: JournalLine): void {
    newOrders += 1;
    try {
      if (newOrders % (options.pruneEvery ?? pruneEvery) === 0) prune(folder, keep);
    } catch (thrown) {
      throw unwritable(folder, thrown);
    }
    write(line);
  }

  function write(line: JournalLine): void {
    try {
      // What was left behind may end in the middle of a line.
      const start = line.state === 'interrupted' ? '\n' : '';
      appendFileSync(fileOf(line.orderId), `${start}${JSON.stringify(line)}\n`, { mode: 0o600 });
    } catch (thrown) {
      throw unwritable(folder, thrown);
    }
  }

  /** A receipt that cannot be read is refused when somebody asks for it; it must not keep the agent from starting. */
  function readIfReadable(orderId: string): JournalLine | undefined {
    try {
      return readLine(orderId);
    } catch {
      return undefined;
    }
  }

  function leftBehind(): readonly string[] {
    try {
      return prune(folder, keep);
    } catch (thrown) {
      throw unwritable(folder, thrown);
    }
  }

  const unfinished: JournalLine[] = [];
  for (const orderId of leftBehind()) {
    const found = readIfReadable(orderId);
    const line = found?.state === 'running' ? options.interrupted(found) : found;
    if (line === undefined) continue;
    if (found?.state === 'running') write(line);
    // Also those that another process has found before this one, and died before all was taken back.
    if ((line.recovery ?? []).length > 0) unfinished.push(line);
  }
  return { read, begin, write, unfinished };
}

/** A line that was cut off by the end of the process is not there; the one before it holds. */
function lastLine(text: string): JournalLine {
  const lines = text.split('\n').filter((line) => line !== '');
  const [last = '', earlier] = lines.toReversed();
  const isCut = !text.endsWith('\n') && earlier !== undefined;
  return JSON.parse(isCut ? earlier : last) as JournalLine;
}

/** Removes the oldest beyond the limit; returns the ids that stay. */
function prune(folder: string, keep: number): readonly string[] {
  const names = readdirSync(folder);
  const orders = names
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, at: statSync(join(folder, name)).mtimeMs }))
    .sort((left, right) => right.at - left.at);
  for (const { name } of orders.slice(keep)) rmSync(join(folder, name), { force: true });
  return orders.slice(0, keep).map(({ name }) => name.slice(0, -'.json'.length));
}

function unwritable(folder: string, thrown: unknown): Refusal {
  return new Refusal(
    'journal_unwritable',
    `the journal in ${folder} cannot be used: ${messageFromUnknown(thrown)}`,
    { remedy: 'give --state-dir a directory that this process may write' },
    thrown,
  );
}
