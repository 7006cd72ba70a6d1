import { setImmediate as nextTurn } from 'node:timers/promises';

/** Short enough that a watch event or a probe never waits for long behind it, and long enough to cost nothing. */
const sliceMs = 15;

/** Results in the order of the items; other work of the process gets its turn after every slice of 15 ms of real time. */
export async function inSlices<T, R>(items: readonly T[], work: (item: T) => R): Promise<R[]> {
  const results: R[] = [];
  let since = performance.now();
  for (const item of items) {
    results.push(work(item));
    if (performance.now() - since < sliceMs) continue;
    await nextTurn();
    since = performance.now();
  }
  return results;
}
