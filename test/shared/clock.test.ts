import t from 'tap';
import { createRealClock, createScaledClock, isoFromMillis } from '../../shared/clock.ts';

t.test('the real clock is the machine’s', async (t) => {
  const clock = createRealClock();
  const before = Date.now();
  const now = clock.now();
  t.ok(now >= before && now <= Date.now());
  await clock.sleep(0);
  await clock.sleep(-5);
});

t.test('a sped-up clock runs ahead of the machine’s, and its sleeps are as long as it says', async (t) => {
  const startAt = Date.UTC(2026, 0, 1);
  const clock = createScaledClock({ factor: 1_000_000, startAt });
  t.ok(clock.now() >= startAt);
  const before = clock.now();
  await clock.sleep(10_000);
  t.ok(clock.now() - before >= 10_000, 'ten of its seconds have passed');
  t.ok(Number.isInteger(clock.now()), 'whole milliseconds');
  for (const factor of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => createScaledClock({ factor, startAt }), { name: 'RangeError' });
  }
});

t.test('a sped-up clock all but stands still while its process is not run', async (t) => {
  const clock = createScaledClock({ factor: 100, startAt: 0 });
  const before = clock.elapsed();
  for (const end = performance.now() + 300; performance.now() < end; );
  const passed = clock.elapsed() - before;
  t.ok(passed > 0 && passed <= 3_000, `${passed} ms of it in 300 ms, not 30,000`);
});

t.test('every sleep can be ended, and rejects with the reason', async (t) => {
  const reason = new Error('enough');
  for (const clock of [createRealClock(), createScaledClock({ factor: 2, startAt: 0 })]) {
    await t.rejects(clock.sleep(1000, AbortSignal.abort(reason)), reason, 'before it began');
    const stop = new AbortController();
    // Longer than one timer of Node can be.
    const sleeping = clock.sleep(2 ** 40, stop.signal);
    stop.abort(reason);
    await t.rejects(sleeping, reason, 'while it lasts');
  }
});

t.test('time as text', (t) => {
  t.equal(isoFromMillis(Date.UTC(2026, 10, 23, 2, 24, 8, 7)), '2026-11-23T02:24:08.007Z');
  t.end();
});
