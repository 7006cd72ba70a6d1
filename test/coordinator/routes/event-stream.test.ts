import { once } from 'node:events';
import { mock } from 'node:test';
import t from 'tap';
import { createEventStream, eventBytes } from '../../../coordinator/routes/event-stream.ts';

/** Takes what there is, and stops: a reader that is slow. */
async function take(stream: ReturnType<typeof createEventStream>['stream']): Promise<string> {
  if (stream.readableLength === 0) await once(stream, 'readable');
  return String(stream.read());
}

t.test('a reader that keeps up gets every change, in order, and the end', async (t) => {
  let closed = 0;
  const { stream, put, end } = createEventStream(() => {
    closed += 1;
  });
  const read: string[] = [];
  stream.on('data', (chunk) => read.push(String(chunk)));
  for (const phase of ['Selected', 'Ended']) {
    put('a', () => eventBytes('injection', { phase }));
    await new Promise(setImmediate);
  }
  end(eventBytes('end', { name: 'x' }));
  await once(stream, 'close');
  t.same(read, [
    'event: injection\ndata: {"phase":"Selected"}\n\n',
    'event: injection\ndata: {"phase":"Ended"}\n\n',
    'event: end\ndata: {"name":"x"}\n\n',
  ]);
  t.equal(closed, 1);
});

t.test('a slow reader costs one event of each thing, and misses what lay between', async (t) => {
  const { stream, put, end } = createEventStream(() => undefined);
  const big = 'x'.repeat(200_000);
  let made = 0;
  for (let round = 0; round < 1_000; round += 1)
    for (const key of ['a', 'b'])
      put(key, () => {
        made += 1;
        return eventBytes(key, { round, big });
      });
  end(eventBytes('end', {}));
  stream.read(0);
  await new Promise(setImmediate);
  t.equal(made, 1, 'one is written, and waits in the stream');
  t.ok(stream.readableLength < 300_000);
  const all: string[] = [];
  while (!stream.readableEnded && !stream.destroyed) {
    all.push(await take(stream));
    if (all.at(-1)?.includes('event: end')) break;
  }
  const text = all.join('');
  t.match(text, /event: a\ndata: \{"round":999/);
  t.match(text, /event: b\ndata: \{"round":999/, 'the newest of each');
  t.match(text, /event: end/);
  t.equal(made, 2);
  stream.destroy();
});

t.test('a refusal goes before what waits', async (t) => {
  const { stream, put, cut } = createEventStream(() => undefined);
  put('a', () => eventBytes('a', {}));
  cut(eventBytes('refused', { code: 'gone' }));
  put('b', () => eventBytes('b', {}));
  const read: string[] = [];
  for await (const chunk of stream) read.push(String(chunk));
  t.same(read, ['event: refused\ndata: {"code":"gone"}\n\n']);
});

t.test('a reader that takes nothing for a minute loses its place, also after the end', async (t) => {
  for (const isOver of [false, true]) {
    mock.timers.enable({ apis: ['setInterval'] });
    let closed = 0;
    const { stream, put, end } = createEventStream(() => {
      closed += 1;
    });
    put('a', () => eventBytes('a', { big: 'x'.repeat(200_000) }));
    stream.read(0);
    put('a', () => eventBytes('a', {}));
    if (isOver) end(eventBytes('end', {}));
    mock.timers.tick(59_000);
    t.equal(closed, 0);
    mock.timers.tick(2_000);
    mock.timers.reset();
    await once(stream, 'close');
    t.equal(closed, 1, isOver ? 'ended' : 'open');
  }
});
