import { setImmediate as nextTurn } from 'node:timers/promises';

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
