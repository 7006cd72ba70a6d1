import { once } from 'node:events';
import t from 'tap';
import { createFakeKernelLog } from '../../../agent/kernel-log/fake.ts';
import type { KernelLog } from '../../../agent/kernel-log/port.ts';
import { createManualClock } from '../../manual-clock.ts';
import { service, startRig } from '../rig.ts';

/** A rig on a real socket: the stream of a simulated request ends only as a whole. */
async function serve(t: Parameters<typeof startRig>[0], kernelLog?: KernelLog) {
  const rig = await startRig(t, kernelLog === undefined ? {} : { kernelLog });
  const url = await rig.app.listen({ host: '127.0.0.1', port: 0 });
  const tail = (body: object, signal?: AbortSignal) =>
    fetch(`${url}${service}/TailKernelLog`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  return { ...rig, tail };
}

async function linesOf(answer: Response): Promise<Record<string, unknown>[]> {
  const text = await answer.text();
  t.equal(text.endsWith('\n'), true, 'the last line is whole');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

t.test('one line a record, from the end, up to the limit', async (t) => {
  const rig = await serve(t);
  rig.kernelLog.kernelSays('err', 'before');
  const answer = await rig.tail({ limit: 2 });
  t.equal(answer.status, 200);
  t.match(answer.headers.get('content-type'), /^application\/x-ndjson/);
  t.match(answer.headers.get('x-request-id'), /./);
  // The answer's head is here, so the tail stands: whatever comes now is in it.
  rig.kernelLog.kernelSays('warning', 'first; é');
  await rig.call('WriteKernelMessage', { text: 'second' });
  t.match(await linesOf(answer), [
    {
      sequence: 1001,
      priority: 4,
      level: 4,
      facility: 0,
      microseconds: 3_600_000_000,
      text: 'first; \u00c3\u00a9',
    },
    { sequence: 1002, priority: 11, level: 3, facility: 1, text: 'second' },
    { end: 'the limit is reached', records: 2 },
  ]);
});

t.test('from the oldest, only what matches', async (t) => {
  const rig = await serve(t);
  for (const text of ['a 1', 'b 1', 'a 2', 'b 2']) rig.kernelLog.kernelSays('info', text);
  const lines = await linesOf(await rig.tail({ from: 'oldest', match: 'b ', limit: 2 }));
  t.match(lines, [{ text: 'b 1' }, { text: 'b 2' }, { end: 'the limit is reached', records: 2 }]);
});

t.test('it ends when its time is up', async (t) => {
  const rig = await serve(t);
  t.same(await linesOf(await rig.tail({ forSeconds: 0.1 })), [{ end: 'time is up', records: 0 }]);
});

t.test('it ends with the agent, and says so', async (t) => {
  const rig = await serve(t);
  const answer = await rig.tail({});
  const lines = linesOf(answer);
  await rig.app.close();
  t.same(await lines, [{ end: 'the agent is shutting down', records: 0 }]);
});

t.test('it stops reading when the caller has gone', async (t) => {
  const inner = createFakeKernelLog({ clock: createManualClock() });
  const stopped = Promise.withResolvers<void>();
  const rig = await serve(t, {
    ...inner,
    async *tail(options) {
      yield { record: inner.kernelSays('info', 'one') };
      await once(options.signal, 'abort');
      stopped.resolve();
    },
  });
  const caller = new AbortController();
  const answer = await rig.tail({}, caller.signal);
  await answer.body?.getReader().read();
  caller.abort();
  await stopped.promise;
  t.equal((await rig.call('ListHostEngines')).status, 200, 'and the agent goes on');
});

t.test('what was overwritten is a line, and so is what ends it', async (t) => {
  const inner = createFakeKernelLog({ clock: createManualClock() });
  const rig = await serve(t, {
    ...inner,
    async *tail() {
      yield { lost: '7 records were overwritten before they could be read' };
      throw new Error('secret');
    },
  });
  t.match(await linesOf(await rig.tail({ match: 'x' })), [
    { lost: /^7 records/ },
    { end: /^an unexpected failure/, records: 1 },
  ]);
});

t.test('a kernel log that cannot be read is an error, not an empty stream', async (t) => {
  const rig = await serve(t);
  rig.kernelLog.breakWith('EACCES');
  const answer = await rig.tail({});
  t.equal(answer.status, 503);
  t.match(await answer.json(), { code: 'unavailable', details: { reason: 'kernel_log_unavailable' } });
});

t.test(
  'L8 streams are counted: one more than the most is refused, and one that ends makes room',
  async (t) => {
    const rig = await serve(t);
    const leaving = Array.from({ length: 32 }, () => new AbortController());
    const streams = await Promise.all(leaving.map(({ signal }) => rig.tail({}, signal)));
    for (const { status } of streams) t.equal(status, 200);
    const refused = await rig.tail({});
    t.equal(refused.status, 429);
    t.equal(refused.headers.get('retry-after'), '10');
    t.match(await refused.json(), { details: { reason: 'too_many_streams', allowed: { maximum: 32 } } });
    for (const one of leaving) one.abort();
    let again = await rig.tail({ forSeconds: 0.1 });
    while (again.status === 429) again = await rig.tail({ forSeconds: 0.1 });
    t.equal(again.status, 200);
  },
);

t.test('M9 a fraction of a millisecond is a time as well', async (t) => {
  const rig = await serve(t);
  const answer = await rig.tail({ forSeconds: 0.1234 });
  t.match([answer.status, await linesOf(answer)], [200, [{ end: 'time is up' }]]);
});
