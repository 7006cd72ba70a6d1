import { Worker } from 'node:worker_threads';
import t from 'tap';
import { findFault, longestText, resolveParameters } from '../coordinator/catalogue/parameters.ts';
import { readers } from './long-lines.ts';

/** All readers together need a few seconds; one that backtracks on such lines, minutes to years. */
const patienceMs = 500_000;

t.test(
  'lines of 20,000 blanks, bars, dashes, digits and quotes are read to the end by every reader',
  async (t) => {
    const worker = new Worker(new URL('./long-lines.ts', import.meta.url));
    t.teardown(() => worker.terminate());
    const waiting = new Set(Object.keys(readers));
    const ended = await new Promise<string>((resolve) => {
      const limit = setTimeout(() => resolve(`${[...waiting][0]} goes on reading`), patienceMs);
      worker.on('message', (name: string) => waiting.delete(name));
      worker.once('error', (thrown) => resolve(`${[...waiting][0]}: ${thrown}`));
      worker.once('exit', () => resolve('all read'));
      t.teardown(() => clearTimeout(limit));
    });
    t.equal(ended, 'all read');
    t.same([...waiting], []);
  },
);

t.test('a text that no surface takes is refused before any reader’s pattern sees it', async (t) => {
  const text = '['.repeat(longestText + 1);
  t.throws(() => resolveParameters(findFault('kernel-message'), { text }, 'x'), {
    name: 'Refusal',
    reason: 'parameter_invalid',
  });
});
