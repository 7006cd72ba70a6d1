import { getEventListeners } from 'node:events';
import t, { type Test } from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { Cluster, KubeObject, WatchQuery } from '../../../coordinator/cluster/port.ts';
import { createReflector, type ReflectorOptions } from '../../../coordinator/cluster/reflector.ts';
import { type ApiServer, startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { node } from '../../contract/cluster-objects.ts';
import { createManualClock } from '../../manual-clock.ts';

const startAt = Date.parse('2026-01-02T03:04:05Z');

/** What happened, in order, with a way to wait for it. */
function createJournal() {
  const lines: string[] = [];
  let waiting: readonly { readonly line: string; readonly count: number; readonly tell: () => void }[] = [];
  const times = (line: string) => lines.filter((other) => other === line).length;
  return {
    lines,
    note: (line: string) => {
      lines.push(line);
      const met = waiting.filter((row) => times(row.line) >= row.count);
      waiting = waiting.filter((row) => !met.includes(row));
      for (const { tell } of met) tell();
    },
    until: async (line: string, count = 1) => {
      if (times(line) >= count) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting = [...waiting, { line, count, tell: resolve }];
      await promise;
    },
  };
}

function clientOf(url: string): Cluster {
  const log = createSilentLog();
  return createClusterClient({ kubeconfig: { url }, userAgent: 'test', fieldManager: 'test', log });
}

async function serve(t: Test, port = 0): Promise<ApiServer> {
  const server = await startApiServer({ clock: createRealClock(), log: createSilentLog(), port });
  t.teardown(() => server.close());
  return server;
}

function reflect(t: Test, url: string, options: Partial<ReflectorOptions> = {}) {
  const client = clientOf(url);
  const journal = createJournal();
  const clock = createManualClock(startAt);
  const observed: Cluster = {
    ...client,
    watch: (resource, query: WatchQuery) => {
      const onOpen = () => {
        query.onOpen?.();
        journal.note('open');
      };
      return client.watch(resource, { ...query, onOpen });
    },
  };
  const silent = createSilentLog();
  const reflector = createReflector({
    cluster: observed,
    resource: 'nodes',
    clock,
    random: () => 0,
    onChange: ({ type, object }) => journal.note(`${type} ${object.metadata.name}`),
    onGap: ({ lost }) => journal.note(lost ? 'gap, lost' : 'gap, late'),
    log: {
      ...silent,
      child: () => ({
        ...silent,
        warn: (fields) => journal.note(`failed ${(fields as { reason: string }).reason}`),
        error: (_fields, message) => journal.note(message),
      }),
    },
    ...options,
  });
  t.teardown(() => reflector.stop());
  return { client, journal, clock, reflector };
}

async function running(t: Test, options: Partial<ReflectorOptions> = {}) {
  const server = await serve(t);
  const all = { server, ...reflect(t, server.url, options) };
  await all.client.create('nodes', node('first'));
  all.reflector.start();
  await all.journal.until('open');
  return all;
}

t.test('it lists, watches, and keeps what it saw', async (t) => {
  const { client, journal, reflector, server } = await running(t);
  await reflector.ready;
  await client.create('nodes', node('second'));
  await journal.until('added second');
  await client.patch('nodes', { name: 'second' }, { metadata: { labels: { a: 'b' } } });
  await journal.until('modified second');
  t.match(reflector.store.get({ name: 'second' }), { metadata: { labels: { a: 'b' } } });
  await client.remove('nodes', { name: 'first' });
  await journal.until('deleted first');
  t.strictSame(
    reflector.store.list().map(({ metadata }) => metadata.name),
    ['second'],
  );
  t.match(reflector.statistics(), { lists: 1, watches: 1, errors: 0, lastSeenAt: startAt });
  t.strictSame(reflector.gaps, []);
  t.match(
    server.requests.find(({ verb }) => verb === 'watch')?.url,
    /allowWatchBookmarks=true.*timeoutSeconds=120/,
  );
});

t.test('a change carries what was there before, and when', async (t) => {
  const changes: object[] = [];
  const journal = createJournal();
  const { client } = await running(t, {
    onChange: (change) => {
      changes.push(change);
      journal.note(change.type);
    },
  });
  await client.patch('nodes', { name: 'first' }, { spec: { unschedulable: true } });
  await journal.until('modified');
  t.match(changes[1], {
    type: 'modified',
    previous: { spec: {} },
    object: { spec: { unschedulable: true } },
    at: startAt,
  });
});

t.test('no failure of a list or of opening a watch ends it', async (t) => {
  const codes = {
    401: 'cluster_refused',
    403: 'cluster_refused',
    404: 'object_missing',
    410: 'resource_expired',
    429: 'cluster_unreachable',
    500: 'cluster_unreachable',
    503: 'cluster_unreachable',
  };
  for (const verb of ['list', 'watch'] as const) {
    for (const [code, reason] of Object.entries(codes)) {
      await t.test(`${verb} ${code}`, async (t) => {
        const server = await serve(t);
        const { client, journal, clock, reflector } = reflect(t, server.url);
        // A list that expires is asked for once more by the client itself.
        server.faults.failNext({
          verb,
          code: Number(code),
          count: verb === 'list' && code === '410' ? 2 : 1,
        });
        reflector.start();
        await journal.until(`failed ${reason}`);
        t.match(reflector.statistics().lastError, { reason, at: startAt });
        t.equal(await clock.step(), 250);
        await journal.until('open');
        await client.create('nodes', node('after'));
        await journal.until('added after');
      });
    }
    await t.test(`${verb} loses its connection`, async (t) => {
      const server = await serve(t);
      const { journal, clock, reflector } = reflect(t, server.url);
      // A read on a reused connection is tried twice.
      server.faults.resetNext({ verb, count: 2 });
      reflector.start();
      await journal.until('failed cluster_unreachable');
      server.faults.clear();
      await clock.step();
      await journal.until('open');
    });
  }
});

t.test('a server that is down is asked ever more rarely, and found again', async (t) => {
  const gone = await startApiServer({ clock: createRealClock(), log: createSilentLog() });
  await gone.close();
  const { journal, clock, reflector } = reflect(t, gone.url);
  reflector.start();
  const pauses: number[] = [];
  for (let count = 1; count <= 9; count += 1) {
    await journal.until('failed cluster_unreachable', count);
    pauses.push(await clock.step());
  }
  t.strictSame(pauses, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
  await journal.until('failed cluster_unreachable', 10);
  await serve(t, Number(new URL(gone.url).port));
  await clock.step();
  await journal.until('open');
  await reflector.ready;
  t.strictSame(reflector.gaps, [], 'before the first list there was nothing to miss');
});

t.test('after a cut it goes on where it was: nothing is lost, and it says what came late', async (t) => {
  const { server, client, journal, clock, reflector } = await running(t);
  clock.jump(20_000);
  server.faults.cutWatches();
  await journal.until('failed cluster_unreachable');
  await client.create('nodes', node('meanwhile'));
  const pause = await clock.step();
  await journal.until('added meanwhile');
  t.equal(reflector.statistics().lists, 1);
  t.match(reflector.gaps, [
    { from: startAt, until: startAt + 20_000 + pause, because: /nodes/, lost: false },
  ]);
  t.ok(journal.lines.indexOf('gap, late') < journal.lines.indexOf('added meanwhile'));
});

t.test(
  'a version that expired means listing again: differences are told, and that some may be missing',
  async (t) => {
    const { server, client, journal, clock, reflector } = await running(t);
    for (const name of ['stays', 'changes', 'goes', 'returns']) await client.create('nodes', node(name));
    await journal.until('added returns');
    clock.jump(10_000);
    server.faults.cutWatches();
    await journal.until('failed cluster_unreachable');
    await client.create('nodes', node('comes'));
    await client.patch('nodes', { name: 'changes' }, { spec: { unschedulable: true } });
    await client.remove('nodes', { name: 'goes' });
    await client.remove('nodes', { name: 'returns' });
    await client.create('nodes', node('returns'));
    server.faults.compact();
    const before = journal.lines.length;
    await clock.step();
    await journal.until('failed resource_expired');
    await clock.step();
    await journal.until('added returns', 2);
    t.strictSame(journal.lines.slice(before), [
      'gap, late',
      'open',
      'failed resource_expired',
      'gap, lost',
      'deleted goes',
      'modified changes',
      'added comes',
      'deleted returns',
      'added returns',
    ]);
    t.match(reflector.gaps.at(-1), { from: startAt, because: /too old resource version/, lost: true });
    t.equal(reflector.statistics().lists, 2);
  },
);

t.test('what a watch says wrongly ends that watch only', async (t) => {
  const status = (code: number) => ({
    kind: 'Status',
    code,
    message: 'etcd is unwell',
    reason: 'InternalError',
  });
  const texts = {
    'an error within the stream': `${JSON.stringify({ type: 'ERROR', object: status(500) })}\n`,
    'not JSON': 'upstream connect error\n',
    'an unknown type': '{"type":"CHANGED","object":{"metadata":{}}}\n',
    'an event without an object': '{"type":"ADDED"}\n',
    'a JSON null': 'null\n',
  };
  for (const [name, text] of Object.entries(texts)) {
    await t.test(name, async (t) => {
      const { server, client, journal, clock } = await running(t);
      server.faults.sendToWatches(text);
      await journal.until('failed cluster_unreachable');
      await clock.step();
      await journal.until('open', 2);
      await client.create('nodes', node('after'));
      await journal.until('added after');
    });
  }
  await t.test('half a line', async (t) => {
    const { server, client, journal, clock } = await running(t);
    server.faults.sendToWatches('{"type":"ADDED","obj');
    server.faults.cutWatches();
    await journal.until('failed cluster_unreachable');
    await client.create('nodes', node('after'));
    await clock.step();
    await journal.until('added after');
  });
});

t.test('a server that closes every watch at once is not asked in a tight loop', async (t) => {
  const { server, journal, clock, reflector } = await running(t);
  const pauses: number[] = [];
  for (let count = 1; count <= 5; count += 1) {
    await journal.until('open', count);
    server.faults.endWatches();
    await clock.paused();
    pauses.push(await clock.step());
  }
  t.strictSame(pauses, [250, 500, 1000, 2000, 4000]);
  t.match(reflector.gaps[0], { lost: false, because: /the server closed the watch after 0 ms/ });
});

t.test('a watch that ends in time is opened again at once, from the last bookmark', async (t) => {
  const { server, journal, clock, reflector } = await running(t);
  const bookmark = {
    type: 'BOOKMARK',
    object: { kind: 'Node', apiVersion: 'v1', metadata: { resourceVersion: '5' } },
  };
  server.faults.sendToWatches(`${JSON.stringify(bookmark)}\n`);
  clock.jump(119_000);
  server.faults.endWatches();
  await journal.until('open', 2);
  t.match(server.requests.at(-1)?.url, /resourceVersion=5&/);
  t.match(reflector.statistics(), { lists: 1, watches: 2, errors: 0, lastSeenAt: startAt + 119_000 });
  t.strictSame(reflector.gaps, []);
});

t.test('a dead watch is cut and opened again', async (t) => {
  const { server, client, journal, clock, reflector } = await running(t);
  server.faults.silenceWatches();
  await client.create('nodes', node('unheard'));
  t.equal(await clock.step(), 150_000);
  await journal.until('failed cluster_unreachable');
  await clock.step();
  await journal.until('added unheard');
  t.match(reflector.gaps, [{ from: startAt, because: 'nothing came for 150000 ms', lost: false }]);
  t.equal(server.openWatches('nodes'), 1);
});

t.test('handlers that fail stop nothing', async (t) => {
  const handlers = {
    throws: () => {
      throw new Error('broken');
    },
    rejects: () => Promise.reject(new Error('broken')),
  };
  for (const [name, onChange] of Object.entries(handlers)) {
    await t.test(name, async (t) => {
      const { client, journal, reflector } = await running(t, { onChange, onGap: onChange });
      await journal.until('a handler of onChange failed');
      await client.create('nodes', node('second'));
      await journal.until('a handler of onChange failed', 2);
      t.equal(reflector.store.list().length, 2);
      t.equal(reflector.statistics().errors, 0);
    });
  }
});

t.test('stopping', async (t) => {
  await t.test('during a pause: nothing is opened afterwards', async (t) => {
    const server = await serve(t);
    const { client, journal, clock, reflector } = reflect(t, server.url);
    server.faults.failNext({ verb: 'list', code: 500 });
    reflector.start();
    await journal.until('failed cluster_unreachable');
    await reflector.stop();
    clock.jump(3_600_000);
    t.match(await reflector.ready.catch((thrown: unknown) => thrown), { reason: 'shutting_down' });
    await client.read('nodes', { name: 'x' });
    t.strictSame(
      server.requests.map(({ verb }) => verb),
      ['list', 'get'],
    );
  });

  await t.test('during a watch: the connection is closed, quietly', async (t) => {
    const { server, client, journal, reflector } = await running(t);
    await reflector.stop();
    const events = client.watch('nodes', { resourceVersion: '1', signal: AbortSignal.timeout(300_000) });
    for await (const _event of events) break;
    t.notOk(journal.lines.some((line) => line.startsWith('failed')));
    t.ok(server.openWatches() <= 1, 'only the second one may still be closing');
    t.equal(reflector.statistics().watches, 1);
  });

  await t.test('during a list, by its signal', async (t) => {
    const stopping = new AbortController();
    const client = clientOf('http://127.0.0.1:1');
    const listing = Promise.withResolvers<void>();
    const cluster: Cluster = {
      ...client,
      list: (_resource, query) =>
        new Promise<never>((_resolve, reject) => {
          query?.signal?.addEventListener('abort', () => reject(query.signal?.reason));
          listing.resolve();
        }),
    };
    const { reflector } = reflect(t, 'http://127.0.0.1:1', { cluster });
    reflector.start(stopping.signal);
    await listing.promise;
    stopping.abort();
    await reflector.stop();
    t.match(reflector.statistics(), { lists: 1, errors: 0 });
    t.throws(() => reflector.start(), /started twice/);
  });

  await t.test('before it began', async (t) => {
    const server = await serve(t);
    const { reflector } = reflect(t, server.url);
    reflector.start(AbortSignal.abort());
    t.match(await reflector.ready.catch((thrown: unknown) => thrown), { reason: 'shutting_down' });
    t.strictSame(server.requests, []);
  });
});

t.test('ten thousand watches leave nothing behind', async (t) => {
  const empty: Pick<Cluster, 'list' | 'watch'> = {
    list: async () => ({ items: [] as readonly KubeObject[], resourceVersion: '1' }),
    watch: async function* () {},
  };
  const clock = createManualClock(startAt);
  const cluster = { ...clientOf('http://127.0.0.1:1'), ...empty };
  let sleeps = 0;
  let open = 0;
  const done = Promise.withResolvers<void>();
  const { reflector } = reflect(t, 'http://127.0.0.1:1', {
    cluster,
    clock: {
      now: clock.now,
      elapsed: clock.elapsed,
      // Every watchdog is aborted and every pause is over at once.
      sleep: async (milliseconds, signal) => {
        sleeps += 1;
        open += 1;
        if (sleeps === 20_000) done.resolve();
        try {
          if (milliseconds > 100_000) await clock.sleep(milliseconds, signal);
          else await Promise.resolve();
        } finally {
          open -= 1;
        }
      },
    },
  });
  const stop = new AbortController();
  reflector.start(stop.signal);
  await done.promise;
  t.ok(open <= 2, `${open} watchdogs and pauses are open`);
  t.ok(getEventListeners(stop.signal, 'abort').length <= 4, 'listeners do not pile up on the signal');
  await reflector.stop();
  t.equal(open, 0);
});
