import t from 'tap';
import { createPlaces, inSlices } from '../../shared/parallel.ts';

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

t.test('places: so many at a time, in their order, and what fails leaves its place', async (t) => {
  const places = createPlaces(2);
  const begun: number[] = [];
  const gates = [1, 2, 3, 4].map(() => Promise.withResolvers<number>());
  const works = gates.map(({ promise }, index) =>
    places(() => {
      begun.push(index);
      return promise;
    }),
  );
  const done = Promise.allSettled(works);
  // Work that needs a place is begun behind all that asked before it.
  const others = createPlaces(1);
  const turns = async (count: number) => {
    for (let turn = 0; turn < count; turn += 1) await others(async () => undefined);
  };
  await turns(30);
  t.strictSame(begun, [0, 1]);
  gates[1]?.reject(new Error('no'));
  await turns(30);
  t.strictSame(begun, [0, 1, 2]);
  gates[0]?.resolve(7);
  gates[2]?.resolve(8);
  gates[3]?.resolve(9);
  t.match(await done, [{ value: 7 }, { reason: { message: 'no' } }, { value: 8 }, { value: 9 }]);
});

t.test('what is begun leaves turns to others, however many ask at once', async (t) => {
  const places = createPlaces(64);
  let turns = 0;
  let isOver = false;
  const other = () => {
    turns += 1;
    if (!isOver) setImmediate(other);
  };
  setImmediate(other);
  await Promise.all(Array.from({ length: 20 }, () => places(async () => busyFor(10))));
  isOver = true;
  t.ok(turns >= 19, `20 pieces of work left ${turns} turns`);
});
