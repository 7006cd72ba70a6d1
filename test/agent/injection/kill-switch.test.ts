import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { leaseMs } from '../../../agent/injection/kill-switch.ts';
import { measureLateness } from '../../lateness.ts';
import { startRig, temporaryFolder } from '../rig.ts';

const pause = { forSeconds: 900 };
const engaged = { engaged: true, reason: 'incident 42' };

type Rig = Awaited<ReturnType<typeof startRig>>;

/** The last receipt of an order, when it has ended; the test's own time limit bounds it. */
async function endOf(rig: Rig, orderId: string) {
  for (;;) {
    const { body } = await rig.call('GetReceipt', { orderId });
    if (body.state !== 'running') return body;
    await sleep(10);
  }
}

async function pausedRig(
  t: Test,
  options: { readonly needsLease?: boolean; readonly stateDir?: string } = {},
) {
  const rig = await startRig(t, options);
  const { body } = await rig.call('PauseHostEngine', { ...pause, orderId: 'o1' });
  t.equal(body.state, 'running', body.message);
  return rig;
}

t.test('engaged: what goes on ends, nothing is injected, and everybody is told why', async (t) => {
  const stateDir = temporaryFolder(t);
  const rig = await pausedRig(t, { stateDir });
  t.match(await rig.call('SetKillSwitch', engaged), { status: 200, body: engaged });
  t.match(await endOf(rig, 'o1'), {
    state: 'ended',
    surfaces: [
      { surface: 'host-engine', sustained: { ended: 'kill-switch' }, notes: [String, /was continued/] },
    ],
  });
  const refused = {
    status: 423,
    body: {
      code: 'failed_precondition',
      message: /the kill switch is engaged: incident 42/,
      details: { reason: 'kill_switch_engaged', remedy: /killswitch/ },
    },
  };
  for (const [method, body] of [
    ['WriteKernelMessage', { text: 'xidrill: one line' }],
    ['PauseHostEngine', pause],
    ['InjectXid', { gpu: { index: 0 }, xid: 31, surfaces: ['kernel-log'] }],
  ] as const)
    t.match(await rig.call(method, body), refused, method);
  t.same(rig.kernelLog.records(), []);
  t.match((await rig.app.inject({ url: '/readyz' })).body, /^ok\nkill switch engaged: incident 42\n$/);
  t.equal(await rig.metric('xidrill_kill_switch_engaged'), 1);
  t.equal((await rig.call('GetInventory')).status, 200, 'reading goes on');
  t.equal((await rig.call('GetReceipt', { orderId: 'o1' })).status, 200);
  await rig.app.close();

  const again = await startRig(t, { stateDir });
  t.match(await again.call('PauseHostEngine', pause), refused, 'a restart releases nothing');
  t.match(await again.call('SetKillSwitch', { engaged: false }), { status: 200, body: { engaged: false } });
  t.equal((await again.call('WriteKernelMessage', { text: 'xidrill: one line' })).status, 200);
  t.equal(await again.metric('xidrill_kill_switch_engaged'), 0);
  t.equal((await again.app.inject({ url: '/readyz' })).body, 'ok\n');
});

t.test('a record of the switch that cannot be read counts as engaged', async (t) => {
  for (const text of ['', 'null', '{}', '{"engaged":"no"}', 'garbage']) {
    const stateDir = temporaryFolder(t);
    writeFileSync(join(stateDir, 'kill-switch.json'), text);
    const rig = await startRig(t, { stateDir });
    t.match(await rig.call('PauseHostEngine', pause), { status: 423 }, JSON.stringify(text));
    await rig.call('SetKillSwitch', { engaged: false });
    t.equal((await rig.call('WriteKernelMessage', { text: 'xidrill: one line' })).status, 200);
  }
});

t.test('an order that is being checked when it is engaged does not begin', async (t) => {
  const checking = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const rig = await startRig(t, {
    wrap: (dcgm) => ({
      ...dcgm,
      choose: async (...asked) => {
        checking.resolve();
        await goOn.promise;
        return dcgm.choose(...asked);
      },
    }),
  });
  const answer = rig.call('PauseHostEngine', { ...pause, orderId: 'late' });
  await checking.promise;
  await rig.call('SetKillSwitch', engaged);
  goOn.resolve();
  t.match(await answer, { status: 423 });
  t.match(
    await rig.call('GetReceipt', { orderId: 'late' }),
    { status: 404 },
    'and it may be sent again later',
  );
});

t.test('without the word of a coordinator what goes on ends within two seconds', async (t) => {
  const rig = await pausedRig(t, { needsLease: true });
  const renewing = new AbortController();
  const renewed = (async () => {
    while (!renewing.signal.aborted) {
      await rig.call('SetKillSwitch', { engaged: false });
      await sleep(leaseMs / 4, undefined, { signal: renewing.signal }).catch(() => undefined);
    }
  })();
  await sleep(2 * leaseMs);
  t.equal((await rig.call('GetReceipt', { orderId: 'o1' })).body.state, 'running', 'renewed for two leases');
  renewing.abort();
  await renewed;
  const lateness = measureLateness();
  const silentSince = performance.now();
  const receipt = await endOf(rig, 'o1');
  const tookMs = performance.now() - silentSince;
  t.match(receipt, { state: 'ended', surfaces: [{ sustained: { ended: 'lease-lost' } }] });
  t.ok(tookMs < 2_000 + lateness(), `${Math.round(tookMs)} ms`);
  const second = await rig.call('PauseHostEngine', { ...pause, orderId: 'o2' });
  t.equal(second.body.state, 'running', 'the next order is taken');
  t.match(await endOf(rig, 'o2'), { surfaces: [{ sustained: { ended: 'lease-lost' } }] }, 'and ends as well');
});

t.test(
  'a single write needs no lease, however slow it is, and the switch ends it all the same',
  async (t) => {
    let begun = Promise.withResolvers<void>();
    let signals: (AbortSignal | undefined)[] = [];
    const goOn = Promise.withResolvers<void>();
    const rig = await startRig(t, {
      needsLease: true,
      wrap: (dcgm) => ({
        ...dcgm,
        async inject(order, signal, ...others) {
          signals.push(signal);
          begun.resolve();
          await Promise.race([goOn.promise, once(signal ?? new AbortController().signal, 'abort')]);
          return dcgm.inject(order, signal, ...others);
        },
      }),
    });
    const single = { gpu: { index: 0 }, xid: 31, surfaces: ['dcgm'] };
    const answer = rig.call('InjectXid', { ...single, orderId: 'slow' });
    await begun.promise;
    await rig.call('PauseHostEngine', { ...pause, orderId: 'o1' });
    t.match(
      await endOf(rig, 'o1'),
      { surfaces: [{ sustained: { ended: 'lease-lost' } }] },
      'the lease is over',
    );
    t.equal(signals[0]?.aborted, false);
    goOn.resolve();
    t.match((await answer).body, { surfaces: [{ outcome: 'injected' }] });

    begun = Promise.withResolvers();
    signals = [];
    const stalled = new Promise(() => undefined);
    goOn.promise = stalled as Promise<void>;
    const ended = rig.call('InjectXid', { ...single, gpu: { index: 1 }, orderId: 'switched' });
    await begun.promise;
    await rig.call('SetKillSwitch', engaged);
    t.match((await ended).body.details ?? (await ended).body, {
      receipt: { surfaces: [{ outcome: 'failed' }] },
    });
  },
);

t.test('a message that comes late does not undo a newer one', async (t) => {
  const stateDir = temporaryFolder(t);
  const rig = await startRig(t, { stateDir });
  const outdated = {
    status: 409,
    body: { code: 'aborted', details: { reason: 'kill_switch_outdated', field: 'revision' } },
  };
  const set = (body: object) => rig.call('SetKillSwitch', body);
  t.match(await set({ engaged: false, revision: '9' }), { status: 200 });
  t.match(await set({ ...engaged, revision: '100' }), { status: 200, body: { revision: '100' } });
  t.match(await set({ engaged: false, revision: '99' }), outdated, 'a release from before it was engaged');
  t.match(await rig.call('PauseHostEngine', pause), { status: 423 });
  t.match(await set({ ...engaged, revision: '150' }), { status: 200 }, 'still engaged, at a later look');
  t.match(await set({ engaged: 'no', revision: '151' }), { status: 400 });
  t.match(await set({ engaged: false, revision: '-1' }), { status: 400 });
  await rig.app.close();

  const again = await startRig(t, { stateDir });
  t.match(
    await again.call('SetKillSwitch', { engaged: false, revision: '149' }),
    outdated,
    'after a restart too',
  );
  t.match(await again.call('PauseHostEngine', pause), { status: 423 });
  t.match(await again.call('SetKillSwitch', { engaged: false, revision: '151' }), { status: 200 });
  t.match(
    await again.call('SetKillSwitch', { ...engaged, revision: '150' }),
    outdated,
    'nor an old “engaged”',
  );
  t.match(await again.call('PauseHostEngine', { ...pause, orderId: 'o1' }), { body: { state: 'running' } });
  // The largest of 64 bits and numbers that JavaScript cannot tell apart.
  t.match(await again.call('SetKillSwitch', { engaged: false, revision: '18446744073709551614' }), {
    status: 200,
  });
  t.match(await again.call('SetKillSwitch', { ...engaged, revision: '18446744073709551613' }), outdated);
  t.match(await again.call('SetKillSwitch', { ...engaged, revision: '18446744073709551615' }), {
    status: 200,
  });
});

t.test('an outdated message renews no lease', async (t) => {
  const rig = await pausedRig(t, { needsLease: true });
  await rig.call('SetKillSwitch', { engaged: false, revision: '100' });
  const renewing = new AbortController();
  const late = (async () => {
    while (!renewing.signal.aborted) {
      await rig.call('SetKillSwitch', { engaged: false, revision: '99' });
      await sleep(leaseMs / 4, undefined, { signal: renewing.signal }).catch(() => undefined);
    }
  })();
  t.match(await endOf(rig, 'o1'), { surfaces: [{ sustained: { ended: 'lease-lost' } }] });
  renewing.abort();
  await late;
});
