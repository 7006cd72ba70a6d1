import t from 'tap';
import { inSlices } from '../../shared/parallel.ts';

function busyFor(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

t.test('long work leaves turns to others, and keeps its order', async (t) => {
  let turns = 0;
  let isOver = false;
  const other = () => {
    turns += 1;
    if (!isOver) setImmediate(other);
  };
  setImmediate(other);
  const results = await inSlices([1, 2, 3, 4, 5, 6], (item) => {
    busyFor(10);
    return item * 10;
  });
  isOver = true;
  t.strictSame(results, [10, 20, 30, 40, 50, 60]);
  t.ok(turns >= 3, `60 ms of work left ${turns} turns`);
});

t.test('short work is done in one piece', async (t) => {
  t.strictSame(await inSlices([], String), []);
  let isOver = false;
  setImmediate(() => {
    isOver = true;
  });
  await inSlices([1, 2], () => undefined);
  t.notOk(isOver);
});

t.test('what the work throws ends it', async (t) => {
  let count = 0;
  const failing = inSlices([1, 2, 3], (item) => {
    count += 1;
    if (item === 2) throw new Error('no');
  });
  await t.rejects(failing, { message: 'no' });
  t.equal(count, 2);
});
