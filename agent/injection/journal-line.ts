import type { Receipt, Surface } from '../../shared/schemas/receipt.ts';

/** A receipt, and what the next process has to know of it should this one die. */
export type JournalLine = Receipt & {
  /** Parts that have no entry yet. */
  readonly remaining?: readonly RemainingPart[];
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

/**
 * The last line that is whole; one that was cut off (a full disk, the end of the process) is not there. undefined: no line of
 * this order can be read. Looser than the schema of receipts: an older version may have written it.
 */
export function parseJournal(text: string, orderId: string): JournalLine | undefined {
  for (const line of text.split('\n').toReversed()) {
    const found = line === '' ? undefined : parse(line);
    if (isLine(found) && found.orderId === orderId) return found;
  }
  return undefined;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const states: readonly unknown[] = ['running', 'ended', 'interrupted'];
const outcomes: readonly unknown[] = ['injected', 'refused', 'failed'];

/** Everything that this program reads of a line. */
function isLine(value: unknown): value is JournalLine {
  if (!isObject(value)) return false;
  const { orderId, node, method, asked, state, acceptedAt, surfaces, remaining = [] } = value;
  return (
    [orderId, node, method, acceptedAt].every((text) => typeof text === 'string') &&
    isObject(asked) &&
    states.includes(state) &&
    Array.isArray(surfaces) &&
    surfaces.every(isEntry) &&
    Array.isArray(remaining) &&
    remaining.every(isRemaining)
  );
}

function isEntry(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { surface, outcome, undo, notes, sustained } = value;
  const isActiveKnown = sustained === undefined || isObject(sustained);
  return (
    typeof surface === 'string' &&
    outcomes.includes(outcome) &&
    typeof undo === 'string' &&
    Array.isArray(notes) &&
    isActiveKnown
  );
}

function isRemaining(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { part, surface, afterMs, undo } = value;
  return (
    Number.isInteger(part) &&
    typeof surface === 'string' &&
    typeof afterMs === 'number' &&
    typeof undo === 'string'
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
