import { createHash } from 'node:crypto';
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
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { setAside } from './held.ts';
import { type JournalLine, parseJournal } from './journal-line.ts';

/** The files of the journal, one an order. Where no refusal is named, a method throws what the file system reports. */
export type ReceiptFiles = {
  /** Where they are. */
  readonly folder: string;
  /** Ids of the orders that have a file, in the order of their first lines, the oldest first. */
  readonly known: ReadonlySet<string>;
  /** Makes the folder where it is missing and reads which files there are, the damaged ones that were set aside among them. */
  list(): void;
  /** The last whole line of an order; undefined: it has no file. Refuses with `receipt_damaged`; such a file is set aside. */
  read(orderId: string): JournalLine | undefined;
  /** The first line of an order that has no file yet. Nothing is left of it where it throws. */
  create(line: JournalLine): void;
  /** One more line. */
  append(line: JournalLine): void;
  /** What cannot be removed stays. */
  remove(orderId: string): void;
  /** Throws where no file can be made. */
  assertWritable(): void;
  /** Throws where the disk is full: writes a file and removes it. */
  assertSpace(): void;
};

/** More than any file system gives away for an empty file. */
const probe = Buffer.alloc(8192);

/** Files below `stateDir`/orders. Touches no disk before it is called. */
export function openReceiptFiles({
  stateDir,
  log,
}: {
  readonly stateDir: string;
  readonly log: Log;
}): ReceiptFiles {
  const folder = join(stateDir, 'orders');
  const fileOf = (orderId: string) => join(folder, `${orderId}.json`);
  // A clock that is set does not change the order while we run.
  const known = new Set<string>();
  // Whose last line this process has written, and whole.
  const whole = new Set<string>();
  const damaged = new Map<string, string>();

  function makeFolder(): void {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  function read(orderId: string): JournalLine | undefined {
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
    const file = setAside(stateDir, fileOf(orderId), `${orderId}.json`);
    damaged.set(orderId, file);
    known.delete(orderId);
    log.error({ orderId, file }, 'a damaged receipt was set aside; its order is not carried out again');
    throw damagedReceipt(orderId, file);
  }

  return {
    folder,
    known,
    read,
    list() {
      makeFolder();
      for (const name of namesIn(join(stateDir, 'damaged'))) {
        if (!name.startsWith('held-')) damaged.set(idOf(name), join(stateDir, 'damaged', name));
      }
      for (const orderId of oldestFirst(folder)) known.add(orderId);
    },
    create(line) {
      const { orderId } = line;
      try {
        // Exclusive: no second process begins the same order.
        writeFileSync(fileOf(orderId), `${JSON.stringify(line)}\n`, { mode: 0o600, flag: 'wx' });
      } catch (thrown) {
        // Half a line must not refuse this id for ever: nothing was injected.
        if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') removeQuietly(fileOf(orderId));
        throw thrown;
      }
      known.add(orderId);
      whole.add(orderId);
    },
    append(line) {
      const { orderId, state } = line;
      // What stands there may end in the middle of a line: a disk was full, or a process killed.
      const start = whole.has(orderId) ? '' : '\n';
      whole.delete(orderId);
      appendFileSync(fileOf(orderId), `${start}${JSON.stringify(line)}\n`, { mode: 0o600 });
      if (state === 'running') whole.add(orderId);
    },
    remove(orderId) {
      removeQuietly(fileOf(orderId));
      known.delete(orderId);
    },
    assertWritable() {
      makeFolder();
      accessSync(folder, constants.W_OK | constants.X_OK);
    },
    assertSpace() {
      const file = join(folder, '.probe');
      try {
        writeFileSync(file, probe, { mode: 0o600 });
      } finally {
        if (existsSync(file)) removeQuietly(file);
      }
    },
  };
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

/** Ids of orders whose receipts were removed: none of them is carried out again. */
export type ForgottenIds = {
  /** Whether an order of this id was carried out, or begun, and its receipt removed since. */
  has(orderId: string): boolean;
  /** Records them on disk; call it before the receipts are removed. Throws what the file system says. */
  add(orderIds: readonly string[]): void;
  /** Whether no more are taken: then receipts have to stay on disk instead. */
  isFull(): boolean;
};

/** About 13 MiB on disk; at a thousand orders a day it is reached after almost three years. */
const mostIds = 1_000_000;

/** 48 bits: among a million ids, a new one is taken for an old one (and refused) once in 280 million. */
const digestHex = 12;
const digestLine = /^[0-9a-f]{12}$/;

/** Reads `stateDir`/forgotten. A file that is not there is empty; another failure is thrown. */
export function readForgottenIds(stateDir: string): ForgottenIds {
  const file = join(stateDir, 'forgotten');
  const known = new Set<number>();
  for (const line of readText(file).split('\n')) {
    // Anything else is a line that was cut off while it was written.
    if (digestLine.test(line)) known.add(Number.parseInt(line, 16));
  }
  return {
    has: (orderId) => known.has(Number.parseInt(digestOf(orderId), 16)),
    add(orderIds) {
      const digests = orderIds.map(digestOf);
      // A line break first: what stands before it may have been cut off.
      appendFileSync(file, `\n${digests.join('\n')}\n`, { mode: 0o600 });
      for (const digest of digests) known.add(Number.parseInt(digest, 16));
    },
    isFull: () => known.size >= mostIds,
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw thrown;
  }
}

function digestOf(orderId: string): string {
  return createHash('sha256').update(orderId).digest('hex').slice(0, digestHex);
}
