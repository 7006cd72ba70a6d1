import {
  accessSync,
  appendFileSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { type ForgottenIds, readForgottenIds } from './forgotten.ts';
import { setAside } from './held.ts';
import { type JournalLine, parseJournal } from './journal-line.ts';

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

/** More than any file system gives away for an empty file. */
const probe = Buffer.alloc(8192);

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
  const folder = join(stateDir, 'orders');
  const fileOf = (orderId: string) => join(folder, `${orderId}.json`);
  // In the order of their first lines, the oldest first; a clock that is set does not change it while we run.
  const known = new Set<string>();
  // Begun by this process and not known to have ended.
  const open = new Set<string>();
  // Of those, the ones whose last line may have been cut off.
  const torn = new Set<string>();
  const damaged = new Map<string, string>();
  let trouble: Refusal | undefined;
  let forgotten: ForgottenIds | undefined;

  function fail(what: string, thrown: unknown): Refusal {
    trouble = new Refusal(
      'journal_unwritable',
      `${what}: ${messageFromUnknown(thrown)}`,
      { remedy: 'give --state-dir a directory that this process may write, with space on its disk' },
      thrown,
    );
    return trouble;
  }

  const unusable = (thrown: unknown) => fail(`the journal in ${folder} cannot be used`, thrown);

  /** Without it an old order could be carried out again, so that none is until it was read. */
  function forgottenIds(): ForgottenIds {
    try {
      forgotten ??= readForgottenIds(stateDir);
      return forgotten;
    } catch (thrown) {
      throw unusable(thrown);
    }
  }

  function readLine(orderId: string): JournalLine | undefined {
    const aside = damaged.get(orderId);
    if (aside !== undefined) throw damagedReceipt(orderId, aside);
    // The usual answer, without the cost of an error.
    if (!existsSync(fileOf(orderId))) return undefined;
    let text: string;
    try {
      text = readFileSync(fileOf(orderId), 'utf8');
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      damaged.set(orderId, fileOf(orderId));
      throw damagedReceipt(orderId, fileOf(orderId), thrown);
    }
    const line = parseJournal(text, orderId);
    if (line !== undefined) return line;
    const place = setAside(stateDir, fileOf(orderId), `${orderId}.json`);
    damaged.set(orderId, place);
    known.delete(orderId);
    log.error(
      { orderId, file: place },
      'a damaged receipt was set aside; its order is not carried out again',
    );
    throw damagedReceipt(orderId, place);
  }

  function read(orderId: string): Receipt | undefined {
    const line = readLine(orderId);
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
    const { orderId } = line;
    forgottenIds();
    prune();
    try {
      // Exclusive: no second process begins the same order.
      writeFileSync(fileOf(orderId), `${JSON.stringify(line)}\n`, { mode: 0o600, flag: 'wx' });
    } catch (thrown) {
      // Half a line must not refuse this id for ever: nothing was injected.
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') removeQuietly(fileOf(orderId));
      throw unusable(thrown);
    }
    trouble = undefined;
    known.add(orderId);
    open.add(orderId);
  }

  function write(line: JournalLine): void {
    const { orderId, state } = line;
    // What stands there may end in the middle of a line: a disk was full, or a process killed.
    const start = open.has(orderId) && !torn.has(orderId) ? '' : '\n';
    try {
      appendFileSync(fileOf(orderId), `${start}${JSON.stringify(line)}\n`, { mode: 0o600 });
    } catch (thrown) {
      torn.add(orderId);
      throw unusable(thrown);
    }
    torn.delete(orderId);
    if (state !== 'running') open.delete(orderId);
  }

  /** Removes the oldest beyond the limit that have ended; their ids are kept. A failure only leaves more receipts. */
  function prune(): void {
    if (known.size < keep + every) return;
    const ids = forgottenIds();
    const old = [...known].filter((orderId) => !open.has(orderId)).slice(0, known.size - keep);
    if (ids.isFull() || old.length === 0) return;
    try {
      ids.add(old);
    } catch (thrown) {
      log.error({ err: thrown }, 'old receipts are not removed: their ids cannot be recorded');
      return;
    }
    for (const orderId of old) {
      removeQuietly(fileOf(orderId));
      known.delete(orderId);
    }
  }

  function unwritable(): Refusal | undefined {
    const file = join(folder, '.probe');
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      accessSync(folder, constants.W_OK | constants.X_OK);
      if (trouble !== undefined) {
        writeFileSync(file, probe, { mode: 0o600 });
        forgottenIds();
        trouble = undefined;
      }
    } catch (thrown) {
      unusable(thrown);
    } finally {
      if (existsSync(file)) removeQuietly(file);
    }
    return trouble;
  }

  function openFolder(): void {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of namesIn(join(stateDir, 'damaged'))) {
      if (!name.startsWith('held-')) damaged.set(idOf(name), join(stateDir, 'damaged', name));
    }
    for (const orderId of oldestFirst(folder)) known.add(orderId);
    for (const orderId of [...known]) {
      try {
        const line = readLine(orderId);
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

function idOf(name: string): string {
  return name.slice(0, -'.json'.length);
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
}

function oldestFirst(folder: string): readonly string[] {
  return namesIn(folder)
    .map((name) => ({ name, at: statSync(join(folder, name)).mtimeMs }))
    .sort((left, right) => left.at - right.at)
    .map(({ name }) => idOf(name));
}

/** What cannot be removed stays and does no harm. */
function removeQuietly(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // A read-only disk, for one.
  }
}

function damagedReceipt(orderId: string, file: string, cause?: unknown): Refusal {
  return new Refusal(
    'receipt_damaged',
    `orderId: the receipt of ${orderId} cannot be read; whether it was carried out is not known`,
    { field: 'orderId', value: orderId, file, remedy: `see ${file}; send a new order id to inject again` },
    cause,
  );
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
