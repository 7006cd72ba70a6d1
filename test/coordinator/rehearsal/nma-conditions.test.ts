import t from 'tap';
import { reactionWindow } from '../../../coordinator/catalogue/nma/reactions.ts';
import { createHostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import { createManualClock } from '../../manual-clock.ts';
import { drill } from '../catalogue/nma/drill.ts';

t.test('it starts with every condition True, written at the first report tick', async (t) => {
  const { clock, cluster, gpu, said } = drill(t);
  await clock.advance(14_000);
  t.equal(gpu(), undefined);
  await clock.advance(1000);
  t.match(gpu(), {
    status: 'True',
    reason: 'NvidiaGPUIsReady',
    message: 'Monitoring for the Nvidia GPU system is active',
    lastTransitionTime: '2026-11-23T02:24:08Z',
    lastHeartbeatTime: '2026-11-23T02:24:08Z',
  });
  for (const type of ['KernelReady', 'StorageReady', 'ContainerRuntimeReady', 'NetworkingReady', 'Ready']) {
    t.equal(cluster.condition('n1', type)?.status, 'True', type);
  }
  const calls = cluster.calls.length;
  await clock.advance(240_000);
  t.equal(cluster.calls.length, calls, 'nothing is written while nothing changes');
  await clock.advance(60_000);
  t.equal(gpu()?.lastHeartbeatTime, '2026-11-23T02:29:08Z', 'but a heartbeat every five minutes');
  t.equal(gpu()?.lastTransitionTime, '2026-11-23T02:24:08Z');
  const steps = ['starting eks-node-monitoring-agent', 'initialized reader', 'reported node conditions'];
  const order = steps.map((step) => said().indexOf(step));
  t.same(
    order.toSorted((a, b) => a - b),
    order,
    'the log tells it in order',
  );
  t.notOk(order.includes(-1));
});

t.test('a fatal Xid is a condition within a report tick, and no event', async (t) => {
  const { clock, cluster, inject, settle, gpu, lines, said } = drill(t);
  await settle();
  t.ok(lines.includes('2026/11/23 02:24:41 Listening for violations...'), 'policies listen after 33 s');
  inject(230, 79);
  await clock.advance(4000);
  t.equal(gpu()?.status, 'True', 'not before the tick');
  await clock.advance(1000);
  t.match(gpu(), {
    status: 'False',
    reason: 'NvidiaXID79Error',
    message: 'detected XID-79 on the instance, review kernel logs for additional information.',
    lastTransitionTime: '2026-11-23T02:24:48Z',
    lastHeartbeatTime: '2026-11-23T02:24:48Z',
  });
  t.same(cluster.events(), []);
  t.equal(said().filter((message) => message === 'sending condition to exporter').length, 1);
  const sent = lines.find((line) => line.includes('sending condition to exporter')) ?? '{}';
  t.match(JSON.parse(sent), {
    level: 'info',
    hostname: 'n1',
    condition: { Reason: 'NvidiaXID79Error', Severity: 'Fatal', MinOccurrences: 0 },
    conditionType: 'AcceleratedHardwareReady',
  });
});

t.test('the health tick replaces the reason, and the message grows', async (t) => {
  const { clock, inject, settle, gpu } = drill(t);
  await settle();
  inject(230, 79);
  await clock.advance(300_000);
  t.match(gpu(), {
    status: 'False',
    reason: 'DCGMHealthCode120',
    message:
      'detected XID-79 on the instance, review kernel logs for additional information.; ' +
      'DCGM detected issues in health check system with error code 120',
    lastTransitionTime: '2026-11-23T02:24:48Z',
  });
});

t.test('109 leaves nothing behind: the reason stays', async (t) => {
  const { clock, inject, settle, gpu } = drill(t);
  await settle();
  inject(230, 109);
  await clock.advance(700_000);
  t.equal(gpu()?.reason, 'NvidiaXID109Error');
});

t.test('False stays False; the same fault changes only the heartbeat', async (t) => {
  const { clock, inject, settle, gpu } = drill(t);
  await settle();
  inject(230, 109);
  await clock.advance(20_000);
  const first = gpu();
  await clock.advance(60_000);
  inject(230, 109);
  await clock.advance(20_000);
  t.same({ ...gpu(), lastHeartbeatTime: '' }, { ...first, lastHeartbeatTime: '' });
  t.not(gpu()?.lastHeartbeatTime, first?.lastHeartbeatTime);
  inject(230, 110);
  await clock.advance(20_000);
  t.match(gpu(), {
    reason: 'NvidiaXID110Error',
    message: /XID-109 on.*; detected XID-110 on/,
    lastTransitionTime: first?.lastTransitionTime,
  });
  await clock.advance(3_600_000);
  t.equal(gpu()?.status, 'False');
});

t.test('a text that stands in the old one is swallowed, the reason is not', async (t) => {
  const { clock, nma, gpu, settle } = drill(t);
  await settle();
  const fatal = (reason: string, message: string) =>
    nma.find('nvidia', {
      severity: 'fatal',
      reason,
      message,
      conditionType: 'AcceleratedHardwareReady',
      appearsAs: 'condition',
    });
  fatal('DCGMHealthCode120', 'error code 120');
  fatal('DCGMHealthCode12', 'error code 12');
  await clock.advance(20_000);
  t.match(gpu(), { reason: 'DCGMHealthCode12', message: /^error code 120$/ });
});

t.test('restore: engine, then NMA', async (t) => {
  const { clock, engine, nma, inject, settle, gpu } = drill(t);
  await settle();
  inject(230, 79);
  await clock.advance(20_000);
  t.equal(gpu()?.status, 'False');
  await nma.restart();
  await clock.advance(15_000);
  t.match(gpu(), { status: 'True', reason: 'NvidiaGPUIsReady' }, 'True at once after a restart of NMA alone');
  await clock.advance(330_000);
  t.match(
    gpu(),
    { status: 'False', reason: 'DCGMHealthCode120' },
    'and False again at the first health tick',
  );
  engine.restart();
  await clock.advance(60_000);
  t.equal(gpu()?.status, 'False', 'a restart of the engine alone changes nothing');
  await nma.restart();
  await clock.advance(900_000);
  t.match(gpu(), { status: 'True', reason: 'NvidiaGPUIsReady' }, 'engine, then NMA: True, and it stays');
});

t.test('the arm64 gate: True, whatever happens', async (t) => {
  const { clock, cluster, engine, inject, settle, gpu, said } = drill(t, '1.4.3', { arch: 'arm64' });
  await settle();
  inject(230, 79);
  inject(319, 5);
  await clock.advance(700_000);
  t.match(gpu(), { status: 'True', reason: 'NvidiaAcceleratedHardwareIsReady' });
  t.same(cluster.events(), []);
  t.match(engine.facts(0, 230), { watchers: 0 }, 'nobody ever listened');
  const gate = 'NVIDIA-based monitoring is disabled for the arm64 architecture in this version of the agent';
  t.ok(said().includes(gate));
});

t.test('no arm64 gate from 1.7.2 on', async (t) => {
  const { clock, inject, settle, gpu } = drill(t, '1.7.2', { arch: 'arm64' });
  await settle();
  inject(230, 79);
  await clock.advance(20_000);
  t.match(gpu(), { status: 'False', reason: 'NvidiaXID79Error' });
});

t.test('broken credentials: events yes, conditions no', async (t) => {
  const { clock, cluster, inject, settle, lines, said } = drill(t, '1.4.3', { credentials: 'irsa' });
  const stale = {
    type: 'AcceleratedHardwareReady',
    status: 'True',
    lastHeartbeatTime: '2026-11-23T01:00:00Z',
  };
  cluster.put('nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    status: { conditions: [stale] },
  });
  await settle();
  inject(230, 79);
  await clock.advance(6000);
  inject(230, 45);
  await clock.advance(700_000);
  t.match(cluster.condition('n1', 'AcceleratedHardwareReady'), stale, 'the condition ages');
  t.match(cluster.events(), [{ message: /^NvidiaXID45Warning: / }]);
  t.ok(
    lines.includes(
      "[Errno 2] No such file or directory: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token'",
    ),
  );
  t.ok(lines.includes('panic: exit status 255'));
  t.notOk(said().includes('reported node conditions'));
  const failed = lines.findLast((line) => line.includes('failed to report managed conditions')) ?? '{}';
  t.match(JSON.parse(failed), {
    level: 'error',
    error: /getting credentials: exec: executable \/opt\/amazon\/bin\/chroot failed with exit code 2$/,
  });
});

t.test('Pod Identity breaks it in the same way', async (t) => {
  const { clock, gpu, lines } = drill(t, '1.7.0', { credentials: 'pod-identity' });
  await clock.advance(60_000);
  t.equal(gpu(), undefined);
  t.ok(lines.some((line) => line.includes('eks-pod-identity-token')));
  t.ok(lines.some((line) => line.includes('/opt/bin/chroot failed with exit code 2')));
});

t.test('no NVIDIA hardware at start: no condition at all', async (t) => {
  const { clock, cluster, gpu, said } = drill(t, '1.7.0', { accelerator: 'none' });
  await clock.advance(60_000);
  t.equal(gpu(), undefined);
  t.equal(cluster.condition('n1', 'KernelReady')?.status, 'True');
  t.ok(said().includes('skipping monitor registration: no nvidia hardware detected'));
});

t.test('a plugin that is switched off is not managed', async (t) => {
  const { clock, cluster, gpu, settle, inject } = drill(t, '1.7.0', { plugins: ['kernel-monitor'] });
  await settle();
  inject(230, 79);
  await clock.advance(60_000);
  t.equal(gpu(), undefined);
  t.equal(cluster.condition('n1', 'KernelReady')?.status, 'True');
});

t.test('engine loss', async (t) => {
  const { clock, engine, gpu, settle, said } = drill(t);
  await settle();
  engine.kill();
  await clock.advance(60_000);
  t.equal(gpu()?.status, 'True', 'within the grace time nothing is said');
  await clock.advance(80_000);
  t.match(gpu(), {
    status: 'False',
    reason: 'DCGMError',
    message: /^failed to initialize DCGM: error connecting/,
  });
  t.ok(said().includes('failed to health check DCGM'));
});

t.test('an engine that comes back within the grace time is never missed', async (t) => {
  const { clock, engine, gpu, settle, inject } = drill(t);
  await settle();
  engine.restart();
  await clock.advance(60_000);
  t.equal(gpu()?.status, 'True');
  inject(230, 109);
  await clock.advance(20_000);
  t.equal(gpu()?.reason, 'NvidiaXID109Error', 'and NMA listens on the new one');
});

t.test('no engine at all: DCGMError 60 to 81 seconds after the start', async (t) => {
  const { clock, gpu } = drill(t, '1.6.4', { engine: () => undefined });
  await clock.advance(60_000);
  t.equal(gpu()?.status, 'True');
  await clock.advance(21_000);
  t.equal(gpu()?.reason, 'DCGMError');
});

t.test('a stopped engine is noticed a request timeout later', async (t) => {
  const { clock, engine, gpu, settle } = drill(t);
  await settle();
  engine.suspend();
  await clock.advance(140_000);
  t.equal(gpu()?.status, 'True');
  await clock.advance(60_000);
  t.equal(gpu()?.reason, 'DCGMError');
});

t.test(
  'a paused engine: a condition within the window, whenever the pause falls between two looks',
  async (t) => {
    const { bestMs, worstMs } = reactionWindow('engine-pause', 'condition');
    for (let after = 0; after < 30_000; after += 5000) {
      const { clock, engine, gpu, settle } = drill(t);
      await settle();
      await clock.advance(after);
      engine.suspend();
      await clock.advance(bestMs - 1000);
      t.equal(gpu()?.status, 'True', `${after} ms: not before`);
      await clock.advance(worstMs - bestMs + 1000);
      t.match(gpu(), { status: 'False', reason: 'DCGMError' }, `${after} ms: not later`);
      await clock.advance(240_000 - worstMs);
      engine.resume();
      await clock.advance(60_000);
      t.equal(gpu()?.status, 'False', 'it stays, although the engine is back');
    }
  },
);

t.test('an engine that goes on early enough is never missed', async (t) => {
  for (const pausedMs of [1000, 30_000, 59_000, 89_000]) {
    const { clock, engine, gpu, settle, inject } = drill(t);
    await settle();
    engine.suspend();
    await clock.advance(pausedMs);
    engine.resume();
    await clock.advance(400_000);
    t.equal(gpu()?.status, 'True', `paused for ${pausedMs} ms`);
    inject(230, 109);
    await clock.advance(20_000);
    t.equal(gpu()?.reason, 'NvidiaXID109Error', 'and it listens again');
  }
});

t.test('watched fields and device count', async (t) => {
  let files = 2;
  const { clock, gpu, settle, inject } = drill(t, '1.7.0', { deviceFiles: () => files });
  await settle();
  inject(170, 4);
  await clock.advance(310_000);
  t.match(
    gpu()?.message,
    /^Fabric Manager status: Failure$/,
    'the fields tick looks back five minutes, the health tick sees only what is newest',
  );
  files = 3;
  await clock.advance(270_000);
  inject(170, 4);
  await clock.advance(40_000);
  t.match(gpu()?.message, /error code 123/, 'just before a tick both see it');
  t.match(gpu()?.message, /DCGM detected 2 GPUs but 3 nvidia device files were detected/);
});

t.test('counters follow the engine’s version, not NMA’s', async (t) => {
  const rows: [engineVersion: string, value: number, status: string][] = [
    ['4.5.2', 1, 'False'],
    ['4.6.0', 0, 'True'],
    ['4.6.0', 1, 'False'],
  ];
  for (const [engineVersion, value, status] of rows) {
    const { clock, gpu, settle, inject } = drill(t, '1.6.4', { engineVersion });
    await settle();
    inject(319, value);
    await clock.advance(20_000);
    t.equal(gpu()?.status, status, `319 = ${value} on ${engineVersion}`);
  }
});

t.test('what somebody else wrote into the conditions is put right', async (t) => {
  const { clock, cluster, settle, gpu } = drill(t);
  await settle();
  await cluster.patch('nodes', { name: 'n1' }, { status: { conditions: [] } }, 'status');
  t.equal(gpu(), undefined);
  await clock.advance(315_000);
  t.equal(gpu()?.status, 'True');
});

t.test('after the end conditions stay and age', async (t) => {
  const { clock, nma, settle, gpu, inject } = drill(t);
  await settle();
  await nma.stop();
  const before = gpu();
  inject(230, 79);
  await clock.advance(900_000);
  t.same(gpu(), before);
});

t.test('an engine without GPUs: one DCGMError, then silence', async (t) => {
  const clock = createManualClock();
  const empty = createHostEngine({ clock, version: '4.6.0', gpus: [], pid: 7 });
  const { clock: own, gpu, said } = drill(t, '1.6.4', { engine: () => empty });
  await own.advance(600_000);
  t.match(gpu(), {
    reason: 'DCGMError',
    message: 'failed to register DCGM policies: cannot get policy for a group with no GPUs',
  });
  t.equal(said().filter((message) => message === 'failed to reconcile DCGM state').length, 1);
});

t.test('thresholds that somebody set stay from 1.6.6 on', async (t) => {
  for (const [version, expected] of [
    ['1.6.5', 0],
    ['1.6.6', 1],
  ] as const) {
    const { clock, cluster, engine, settle, inject } = drill(t, version);
    engine.setThresholds({ retiredPages: 5, celsius: 80, watts: 600 });
    await settle();
    inject(150, 90);
    await clock.advance(1000);
    t.equal(cluster.events().length, expected, `90 °C in ${version}`);
  }
});
