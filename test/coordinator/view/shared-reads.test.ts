import t from 'tap';
import { createNextReads } from '../../../coordinator/view/shared-reads.ts';

t.test('who asks while it is read shares the next reading, which begins after they asked', async (t) => {
  const begun: PromiseWithResolvers<number>[] = [];
  const read = () => {
    const one = Promise.withResolvers<number>();
    begun.push(one);
    return one.promise;
  };
  const nextReads = createNextReads();
  const first = nextReads('pool', read);
  const others = [nextReads('pool', read), nextReads('pool', read)];
  const elsewhere = nextReads('another', read);
  t.equal(begun.length, 2, 'one of each key');
  begun[0]?.resolve(1);
  begun[1]?.resolve(2);
  t.equal(await first, 1);
  t.equal(await elsewhere, 2);
  t.equal(begun.length, 3, 'one for both');
  const later = nextReads('pool', read);
  t.equal(begun.length, 3);
  begun[2]?.reject(new Error('no answer'));
  for (const other of others) await t.rejects(other, /no answer/);
  await Promise.resolve();
  t.equal(begun.length, 4, 'a failure is of those alone who asked for it');
  begun[3]?.resolve(4);
  t.equal(await later, 4);
});
