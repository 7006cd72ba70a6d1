import t, { type Test } from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { holdLease } from '../../../coordinator/cluster/lease.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { field, text } from '../../../coordinator/view/node.ts';
import type { Clock } from '../../../shared/clock.ts';
import { createManualClock } from '../../manual-clock.ts';
import { log, until } from '../rig.ts';

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

  /** Candidates that are about to do something; time may only go on when there are none. */
  const awake = new Set<string>();

  /** A candidate whose work only notes that it is at work. */
  function candidate(identity: string, work?: () => Promise<void>) {
    const stop = new AbortController();
    const state = { working: 0, begun: 0 };
    const watched: Clock = {
      now: clock.now,
      elapsed: clock.elapsed,
      sleep: (milliseconds, signal) => {
        awake.delete(identity);
        return clock.sleep(milliseconds, signal).finally(() => awake.add(identity));
      },
    };
    awake.add(identity);
    const ended = holdLease(
      { cluster, namespace: 'default', identity, seconds: 15, clock: watched, log },
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
  return { clock, server, candidate, holder, lease, pass };
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
  await pass(12);
  t.equal(holder(), 'gone');
  t.equal(next.state.begun, 0);
  t.equal(gone.state.working, 1, 'a renewal that fails once does not end the work');
  await pass(10);
  t.equal(gone.state.working, 0, 'the old one gave up by itself');
  server.faults.clear();
  await pass(5);
  t.equal(gone.state.working + next.state.working, 1, 'somebody works again');
  t.ok(['gone', 'next'].includes(String(holder())));
});

t.test('a lease that another one took is lost at the next renewal', async (t) => {
  const { candidate, holder, lease, server, pass } = await serve(t);
  const loser = candidate('loser');
  await until(t, 'it works', () => loser.state.working === 1);
  const taken = lease();
  const response = await fetch(
    `${server.url}/apis/coordination.k8s.io/v1/namespaces/default/leases/xidrill-coordinator`,
    {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        ...taken,
        spec: {
          ...(field(taken, 'spec') as object),
          holderIdentity: 'thief',
          renewTime: '2026-01-01T01:00:00.000000Z',
        },
      }),
    },
  );
  t.equal(response.status, 200);
  await pass(6);
  t.equal(loser.state.working, 0);
  t.equal(holder(), 'thief');
});

t.test('work that breaks gives the lease to somebody else', async (t) => {
  const { candidate, holder, pass } = await serve(t);
  const broken = candidate('broken', async () => {
    throw new Error('a defect');
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
