import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http, { type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { afterNextJump, createJumpingClock } from './jumping-clock.ts';

const startAt = Date.parse('2026-03-04T05:06:07Z');
const hour = 3_600_000;

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = http.createServer(listener).listen(0, '127.0.0.1');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Somebody who always waits for the next second, as a monitoring agent does. */
function tick(t: Test, clock: ReturnType<typeof createJumpingClock>): void {
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const run = async () => {
    while (!stop.signal.aborted) await clock.sleep(1_000, stop.signal);
  };
  run().catch(() => undefined);
}

t.test('it jumps from timer to timer, in their order', async (t) => {
  const clock = createJumpingClock(startAt);
  const woken: string[] = [];
  const sleeper = async (name: string, milliseconds: number) => {
    await clock.sleep(milliseconds);
    woken.push(`${name} ${clock.now() - startAt}`);
  };
  await Promise.all([
    sleeper('b', 2 * hour),
    sleeper('a', hour),
    sleeper('at once', -5),
    sleeper('c', 2 * hour),
  ]);
  t.strictSame(woken, ['at once 0', `a ${hour}`, `b ${2 * hour}`, `c ${2 * hour}`]);
  await clock.sleep(0.25);
  t.equal(clock.now(), startAt + 2 * hour + 1, 'whole milliseconds, and never less than what was waited for');
  t.equal(clock.elapsed(), 2 * hour + 1);
});

t.test('a wait that is given up', async (t) => {
  const clock = createJumpingClock(startAt);
  const stop = new AbortController();
  const reason = new Error('given up');
  const waiting = clock.sleep(hour, stop.signal);
  stop.abort(reason);
  await t.rejects(waiting, reason);
  await t.rejects(clock.sleep(1, stop.signal), reason, 'before it began');
  t.equal(clock.now(), startAt);
});

t.test('time stands still while requests, files and slices of work are in flight', async (t) => {
  const clock = createJumpingClock(startAt);
  const url = await serve(t, async (request, response) => {
    await readFile(import.meta.filename);
    // As work that lets others have their turn (shared/parallel.ts).
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    response.end('x'.repeat(Number(request.url?.slice(1))));
  });
  tick(t, clock);
  // Both clients: fetch, and Node's own with a new connection for each request.
  for (let round = 0; round < 20; round += 1) {
    t.equal((await (await fetch(`${url}/3000000`)).text()).length, 3_000_000);
    const [response] = await once(http.get(`${url}/10`, { agent: false }), 'response');
    response.resume();
    await once(response, 'end');
  }
  t.equal(clock.now(), startAt, 'no time has passed');
  await clock.sleep(hour);
  t.equal(clock.now(), startAt + hour);
});

t.test('a request that waits for time does not hold it', async (t) => {
  const clock = createJumpingClock(startAt);
  const url = await serve(t, async (_request, response) => {
    await clock.sleep(hour);
    response.end(String(clock.now() - startAt));
  });
  tick(t, clock);
  t.equal(await (await fetch(url)).text(), String(hour));
  t.equal(clock.now(), startAt + hour, 'and none passes while its answer is on the way');
});

t.test('what a stream brings is there before time goes on', async (t) => {
  const clock = createJumpingClock(startAt);
  let watching: ServerResponse | undefined;
  const url = await serve(t, (_request, response) => {
    watching = response;
    response.flushHeaders();
  });
  tick(t, clock);
  const seen: number[] = [];
  const [response] = await once(http.get(url), 'response');
  response.on('data', () => seen.push(clock.now()));
  const sent: number[] = [];
  for (let event = 0; event < 100; event += 1) {
    await clock.sleep(3_500);
    watching?.write('event\n');
    sent.push(clock.now());
  }
  await afterNextJump();
  t.strictSame(seen, sent);
  watching?.end();
  await once(response, 'end');
});

t.test('who looks after each jump sees each state that lasts', async (t) => {
  const clock = createJumpingClock(startAt);
  let state = 0;
  const run = async () => {
    for (; state < 20; state += 1) await clock.sleep(hour);
  };
  const running = run();
  const seen: number[] = [state];
  while (seen.at(-1) !== 20) {
    await afterNextJump();
    seen.push(state);
  }
  await running;
  t.strictSame(
    seen,
    Array.from({ length: 21 }, (_, index) => index),
  );
  await afterNextJump();
  t.pass('it does not wait for ever where no clock runs');
});

t.test('a clock that was stopped does not jump', async (t) => {
  const clock = createJumpingClock(startAt);
  const stop = new AbortController();
  const waiting = clock.sleep(hour, stop.signal);
  clock.stop();
  await createJumpingClock(startAt).sleep(2 * hour);
  t.equal(clock.now(), startAt, 'while another one goes on');
  stop.abort(new Error('the end'));
  await t.rejects(waiting, { message: 'the end' });
});
