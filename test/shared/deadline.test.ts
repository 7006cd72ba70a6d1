import t from 'tap';
import { createDeadline } from '../../shared/clock.ts';

t.test('time that is over aborts, and says that it was the time', async (t) => {
  const deadline = createDeadline(1);
  // The timer of a deadline keeps no process running; this one does, and is no measure.
  const running = setTimeout(() => t.fail('the deadline never passed'), 300_000);
  await new Promise((resolve) => deadline.signal.addEventListener('abort', resolve, { once: true }));
  clearTimeout(running);
  t.equal(deadline.hasPassed(), true);
  t.match(deadline.signal.reason, { name: 'TimeoutError', message: 'no answer within 1 ms' });
});

t.test('a caller that gives up is not the time', async (t) => {
  const caller = new AbortController();
  const deadline = createDeadline(60_000, caller.signal);
  caller.abort(new Error('changed my mind'));
  t.equal(deadline.hasPassed(), false);
  t.match(deadline.signal.reason, { message: 'changed my mind' });
  t.equal(createDeadline(60_000, caller.signal).signal.aborted, true, 'one that gave up before as well');
});

t.test('once released, nobody can abort it', async (t) => {
  const caller = new AbortController();
  const deadline = createDeadline(60_000, caller.signal);
  deadline.release();
  caller.abort();
  t.equal(deadline.signal.aborted, false);
});
