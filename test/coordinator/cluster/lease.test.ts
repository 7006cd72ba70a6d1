import t, { type Test } from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { holdLease } from '../../../coordinator/cluster/lease.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { field, text } from '../../../coordinator/view/node.ts';
import type { Clock } from '../../../shared/clock.ts';
import { createManualClock } from '../../manual-clock.ts';
import { log, until } from '../rig.ts';

type Work = {
  readonly work?: () => Promise<void>;
  /** How far its wall clock is ahead. */
  readonly skewMs?: number;
};

async function serve(t: Test) {
  const clock = createManualClock(Date.parse('2026-01-01T00:00:00Z'));
  const server = await startApiServer({ clock, log });
  t.teardown(() => server.close());
  const cluster = createClusterClient({
    kubeconfig: { url: server.url },
    userAgent: 'test',
    fieldManager: 'test',
    log,
  });
  const lease = () => server.store.read('leases', { namespace: 'default', name: 'xidrill-coordinator' });
  const holder = () => text(lease(), 'spec', 'holderIdentity');

  /** Changes members of the record's spec, as somebody else would; undefined removes one. */
  async function write(spec: Record<string, unknown>, metadata: object = {}): Promise<void> {
    const taken = (await cluster.read('leases', {
      namespace: 'default',
      name: 'xidrill-coordinator',
    })) as KubeObject;
    await cluster.replace('leases', {
      ...taken,
      metadata: { ...taken.metadata, ...metadata },
      spec: { ...(field(taken, 'spec') as object), ...spec },
    });
  }

  /** Candidates that are about to do something; time may only go on when there are none. */
  const awake = new Set<string>();

  /** A candidate whose work only notes that it is at work. */
  function candidate(identity: string, { work, skewMs = 0 }: Work = {}) {
    const stop = new AbortController();
    const state = { working: 0, begun: 0 };
    const watched: Clock = {
      now: () => clock.now() + skewMs,
      elapsed: clock.elapsed,
      sleep: (milliseconds, signal) => {
        asleep += 1;
        check();
        return clock.sleep(milliseconds, signal).finally(() => {
          asleep -= 1;
          check();
        });
      },
    };
    let asleep = 0;
    let asking = 0;
    // Who waits for an answer sleeps as well: only until it would be too late.
    const check = () => (asleep > 0 && asking === 0 ? awake.delete(identity) : awake.add(identity));
    const counted = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
      return async (...args: A): Promise<R> => {
        asking += 1;
        check();
        return call(...args).finally(() => {
          asking -= 1;
          check();
        });
      };
    };
    const own: Cluster = {
      ...cluster,
      read: counted(cluster.read),
      create: counted(cluster.create),
      replace: counted(cluster.replace),
    };
    awake.add(identity);
    const ended = holdLease(
      { cluster: own, namespace: 'default', identity, seconds: 15, clock: watched, log },
      async (signal) => {
        state.begun += 1;
        if (work !== undefined) return work();
        state.working += 1;
        await new Promise<void>((resolve) =>
          signal.addEventListener('abort', () => resolve(), { once: true }),
        );
        state.working -= 1;
      },
      stop.signal,
    );
    const finish = async () => {
      stop.abort(new Error('the test ends'));
      await ended;
      awake.delete(identity);
    };
    t.teardown(finish);
    return { state, finish };
  }
  /** Time goes on in small steps, and what it woke comes to rest before the next one. */
  async function pass(seconds: number): Promise<void> {
    for (let left = seconds; left > 0; left -= 1) {
      await until(t, 'everybody sleeps', () => awake.size === 0);
      clock.jump(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(t, 'everybody sleeps', () => awake.size === 0);
  }
  return { clock, server, cluster, candidate, holder, lease, write, pass };
}

t.test('one works, the other waits and takes over when it is released', async (t) => {
  const { candidate, holder, lease, pass } = await serve(t);
  const first = candidate('first');
  await until(t, 'the first works', () => first.state.working === 1);
  const second = candidate('second');
  await pass(40);
  t.equal(holder(), 'first', 'renewed, long after its time');
  t.equal(second.state.begun, 0);
  const { acquireTime, renewTime } = (lease() as unknown as { spec: Record<string, string> }).spec;
  t.ok(String(acquireTime) < String(renewTime));
  t.match(renewTime, /\.\d{6}Z$/, 'a MicroTime');
  await first.finish();
  t.equal(first.state.working, 0);
  t.equal(holder(), '', 'released');
  await pass(5);
  t.equal(second.state.working, 1);
  t.equal(holder(), 'second');
});

t.test('a holder that vanished is followed when its time is over, and not before', async (t) => {
  const { candidate, holder, pass, server } = await serve(t);
  const gone = candidate('gone');
  await until(t, 'it works', () => gone.state.working === 1);
  // Whatever it writes from now on does not arrive: to the others it is dead.
  server.faults.failNext({ code: 500, count: 1_000, resource: 'leases', verb: 'update' });
  const next = candidate('next');
  await pass(8);
  t.equal(holder(), 'gone');
  t.equal(gone.state.working, 1, 'a renewal that fails once does not end the work');
  await pass(4);
  t.equal(gone.state.working, 0, 'the old one gave up by itself');
  t.equal(next.state.begun, 0, 'before another one may begin');
  await pass(10);
  server.faults.clear();
  await pass(5);
  t.equal(gone.state.working + next.state.working, 1, 'somebody works again');
  t.ok(['gone', 'next'].includes(String(holder())));
});

t.test('a lease that another one took is lost at the next renewal', async (t) => {
  const { candidate, holder, write, pass } = await serve(t);
  const loser = candidate('loser');
  await until(t, 'it works', () => loser.state.working === 1);
  await write({ holderIdentity: 'thief', renewTime: '2026-01-01T01:00:00.000000Z' });
  await pass(6);
  t.equal(loser.state.working, 0);
  t.equal(holder(), 'thief');
});

t.test('work that breaks gives the lease to somebody else', async (t) => {
  const { candidate, holder, pass } = await serve(t);
  const broken = candidate('broken', {
    work: async () => {
      throw new Error('a defect');
    },
  });
  const sound = candidate('sound');
  await pass(10);
  t.equal(sound.state.working, 1);
  t.equal(holder(), 'sound');
  t.ok(broken.state.begun >= 0);
});

t.test('an API server that is away at first', async (t) => {
  const { candidate, server, pass } = await serve(t);
  server.faults.failNext({ code: 503, count: 3, resource: 'leases' });
  const patient = candidate('patient');
  await pass(15);
  t.equal(patient.state.working, 1);
  t.equal(patient.state.begun, 1);
});

t.test('M11 a clock that is wrong takes no live lease, and keeps none of the dead', async (t) => {
  for (const skewMs of [40_000, -40_000, 3_600_000, -3_600_000]) {
    const { candidate, holder, pass, server } = await serve(t);
    const first = candidate('first', { skewMs });
    await until(t, 'the first works', () => first.state.working === 1);
    const second = candidate('second', { skewMs: -skewMs });
    await pass(60);
    t.same([holder(), first.state.begun, second.state.begun], ['first', 1, 0], `${skewMs} ms ahead`);
    await first.finish();
    await pass(5);
    t.equal(second.state.working, 1, 'released');
    // The record that a killed one leaves behind: nobody renews it any more.
    server.faults.failNext({ code: 500, count: 1_000, resource: 'leases', verb: 'update' });
    const third = candidate('third', { skewMs });
    await pass(12);
    t.equal(third.state.begun, 0);
    server.faults.clear();
    await second.finish();
    await pass(16);
    t.equal(third.state.working, 1);
  }
});

t.test('M11 whatever stands in the record, its time counts since we last saw it change', async (t) => {
  const rows: readonly (readonly [string, Record<string, unknown>])[] = [
    ['no renewTime', { renewTime: undefined }],
    ['a renewTime of the far future', { renewTime: '2999-01-01T00:00:00.000000Z' }],
    ['a renewTime of the past', { renewTime: '1970-01-01T00:00:00.000000Z' }],
    ['no duration', { leaseDurationSeconds: undefined }],
    ['a duration of years', { leaseDurationSeconds: 2_000_000_000 }],
  ];
  for (const [name, spec] of rows) {
    const { candidate, holder, pass, write } = await serve(t);
    const first = candidate('first');
    await until(t, 'it works', () => first.state.working === 1);
    await first.finish();
    await write({ holderIdentity: 'ghost', ...spec });
    const second = candidate('second');
    await pass(13);
    t.same([holder(), second.state.begun], ['ghost', 0], `${name}: not before its time`);
    // A sign of life, whatever it says about time; what is not of the record is none.
    await write({ acquireTime: '2026-01-01T00:00:01.000000Z' });
    await pass(13);
    await write({}, { annotations: { seen: 'yes' } });
    t.same([holder(), second.state.begun], ['ghost', 0], `${name}: it was renewed`);
    await pass(name === 'a duration of years' ? 300 : 8);
    t.same([holder(), second.state.working], ['second', 1], `${name}: then it is over`);
  }
});

t.test('a record that was emptied, deleted or changed by somebody else', async (t) => {
  const { candidate, cluster, holder, pass, write } = await serve(t);
  const first = candidate('first');
  await until(t, 'it works', () => first.state.working === 1);
  await write({}, { labels: { touched: 'yes' } });
  await pass(20);
  t.same([holder(), first.state.begun, first.state.working], ['first', 1, 1], 'a label costs nothing');
  await cluster.remove('leases', { namespace: 'default', name: 'xidrill-coordinator' });
  await pass(6);
  t.same([holder(), first.state.begun, first.state.working], ['first', 1, 1], 'made again');
  await write({ holderIdentity: undefined, leaseDurationSeconds: undefined, renewTime: undefined });
  await pass(6);
  t.same([holder(), first.state.begun, first.state.working], ['first', 1, 1], 'nobody else took it');
});

t.test('a conflict is looked at again, and is no loss', async (t) => {
  const { candidate, holder, pass, server } = await serve(t);
  const first = candidate('first');
  await until(t, 'it works', () => first.state.working === 1);
  server.faults.failNext({ code: 409, count: 3, resource: 'leases', verb: 'update' });
  await pass(30);
  t.same([holder(), first.state.begun, first.state.working], ['first', 1, 1]);
});

t.test('an API server that does not answer at all', async (t) => {
  const { clock, cluster } = await serve(t);
  const silent = Promise.withResolvers<never>();
  let isSilent = false;
  const hanging: Cluster = {
    ...cluster,
    read: (...asked) => (isSilent ? silent.promise : cluster.read(...asked)),
  };
  const stop = new AbortController();
  const began = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<void>();
  const ended = holdLease(
    { cluster: hanging, namespace: 'default', identity: 'one', seconds: 15, clock, log },
    async (signal) => {
      signal.addEventListener('abort', () => lost.resolve(), { once: true });
      began.resolve();
      await lost.promise;
    },
    stop.signal,
  );
  await began.promise;
  isSilent = true;
  for (let seconds = 0; seconds < 11; seconds += 1) await clock.advance(1000);
  await lost.promise;
  t.pass('the work has ended before the lease has');
  isSilent = false;
  silent.reject(new Error('too late'));
  stop.abort();
  await ended;
});
