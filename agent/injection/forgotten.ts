import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

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
