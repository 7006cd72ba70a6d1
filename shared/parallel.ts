import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Results in the order of the items, of which at most `limit` are worked on at a time. The first failure is thrown when
 * all work that was begun has come to rest; after it nothing more is begun.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length && failures.length === 0; index = next++) {
      try {
        results[index] = await work(items[index] as T);
      } catch (thrown) {
        failures.push(thrown);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}

/** Does a piece of work when there is a place for it. */
export type Places = <T>(work: () => Promise<T>) => Promise<T>;

/** A turn of the event loop that is longer has work for others in it, which goes before what is not begun yet. */
const shortTurnMs = 5;

/** However busy the loop is, work is begun after so many turns. */
const mostTurns = 20;

/**
 * At most `limit` pieces of work at a time, whoever asks for them; the others wait in their order. They are begun one after the
 * other, each after a short turn of the event loop: many that begin in one turn go on in step, and whatever else the process has
 * to do waits for all of them at once.
 */
export function createPlaces(limit: number): Places {
  const waiting: (() => void)[] = [];
  let taken = 0;
  let turn: Promise<void> = Promise.resolve();
  return async (work) => {
    if (taken < limit) taken += 1;
    // Whoever leaves hands over the place.
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      turn = turn.then(shortTurn);
      await turn;
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) taken -= 1;
      else next();
    }
  };
}

async function shortTurn(): Promise<void> {
  for (let turns = 0; turns < mostTurns; turns += 1) {
    const since = performance.now();
    await nextTurn();
    if (performance.now() - since < shortTurnMs) return;
  }
}

/** Short enough that a watch event or a probe never waits for long behind it, and long enough to cost nothing. */
const sliceMs = 8;

/**
 * Results in the order of the items; other work of the process gets its turn after every slice of 8 ms of real time, and,
 * where it took more than one, before what the caller does with them.
 */
export async function inSlices<T, R>(items: readonly T[], work: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  let since = performance.now();
  let isLong = false;
  for (const item of items) {
    results.push(work(item));
    if (performance.now() - since < sliceMs) continue;
    await nextTurn();
    isLong = true;
    since = performance.now();
  }
  if (isLong) await nextTurn();
  return results;
}
