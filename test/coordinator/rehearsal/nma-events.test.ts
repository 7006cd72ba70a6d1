import t from 'tap';
import type { Finding } from '../../../coordinator/rehearsal/nma/observers.ts';
import { Refusal } from '../../../shared/errors.ts';
import { drill } from '../catalogue/nma/drill.ts';

const warning = (message: string, more: Partial<Finding> = {}): Finding => ({
  severity: 'warning',
  reason: 'NvidiaPowerError',
  message,
  conditionType: 'AcceleratedHardwareReady',
  appearsAs: 'event',
  ...more,
});

t.test('a warning Xid is an event at once, and the condition stays True', async (t) => {
  const { clock, cluster, inject, settle, gpu } = drill(t, '1.6.4');
  await settle();
  inject(230, 31);
  await clock.advance(100);
  t.match(cluster.events(), [
    {
      metadata: { name: /^n1\.[0-9a-f]{16}$/, namespace: 'default' },
      involvedObject: { kind: 'Node', name: 'n1', apiVersion: 'v1', uid: undefined },
      type: 'Warning',
      reason: 'AcceleratedHardwareReady',
      message:
        'NvidiaXID31Warning: detected unknown XID-31 on the instance, review kernel logs for additional information.',
      source: { component: 'eks-node-monitoring-agent' },
      reportingComponent: 'eks-node-monitoring-agent',
      firstTimestamp: '2026-11-23T02:24:48Z',
      lastTimestamp: '2026-11-23T02:24:48Z',
      count: 1,
    },
  ]);
  await clock.advance(60_000);
  t.equal(gpu()?.status, 'True');
});

t.test('the same Xid in 1.6.3 is a condition', async (t) => {
  const { clock, cluster, inject, settle, gpu } = drill(t, '1.6.3');
  await settle();
  inject(230, 31);
  await clock.advance(20_000);
  t.equal(gpu()?.reason, 'NvidiaXID31Error');
  t.same(cluster.events(), []);
});

t.test('equal warnings raise the count of one event', async (t) => {
  const { clock, cluster, inject, settle } = drill(t);
  await settle();
  for (let time = 0; time < 3; time += 1) {
    inject(230, 45);
    await clock.advance(6000);
  }
  t.match(cluster.events(), [
    { count: 3, firstTimestamp: '2026-11-23T02:24:48Z', lastTimestamp: '2026-11-23T02:25:00Z' },
  ]);
  t.equal(cluster.events().length, 1);
});

t.test('an event that the API server has dropped is made again', async (t) => {
  const { clock, cluster, inject, settle } = drill(t);
  await settle();
  inject(230, 45);
  await clock.advance(6000);
  const [event] = cluster.events();
  await cluster.remove('events', { name: event?.metadata.name ?? '', namespace: 'default' });
  inject(230, 45);
  await clock.advance(6000);
  t.match(cluster.events(), [{ count: 2, metadata: { name: event?.metadata.name } }], 'under its old name');
});

t.test('the tenth different message within ten minutes is combined', async (t) => {
  const { clock, nma, settle, messages } = drill(t);
  await settle();
  for (let watts = 301; watts <= 312; watts += 1) {
    nma.find('nvidia', warning(`${watts} W`));
    await clock.advance(1000);
  }
  const found = messages();
  t.equal(found.length, 10);
  t.same(found[8], '1 NvidiaPowerError: 309 W');
  t.same(found[9], '3 (combined from similar events): NvidiaPowerError: 312 W');
  await clock.advance(700_000);
  nma.find('nvidia', warning('999 W'));
  await clock.advance(1000);
  t.same(messages().at(-1), '1 NvidiaPowerError: 999 W', 'ten quiet minutes later it starts anew');
});

t.test('the bucket: 25 at once, then one in five minutes, for all reasons together', async (t) => {
  const { clock, cluster, nma, settle, inject, said } = drill(t);
  await settle();
  for (let time = 0; time < 30; time += 1) nma.find('nvidia', warning('300 W'));
  await clock.advance(1000);
  t.equal(cluster.events()[0]?.count, 25);
  inject(230, 13);
  await clock.advance(1000);
  t.equal(cluster.events().length, 1, 'another reason finds the bucket empty');
  t.ok(
    said().some((message) => message.startsWith('NvidiaXID13Warning: ')),
    'the log has it all the same',
  );
  await clock.advance(300_000);
  inject(230, 13);
  await clock.advance(1000);
  t.match(cluster.events()[1], { count: 2, message: /^NvidiaXID13Warning/ }, 'the dropped one was counted');
});

t.test('minimum occurrences', async (t) => {
  const { clock, nma, settle, messages, said } = drill(t);
  await settle();
  const stuck = warning('x', {
    reason: 'IPAMDRepeatedlyRestart',
    conditionType: 'NetworkingReady',
    minOccurrences: 5,
  });
  for (let time = 1; time <= 5; time += 1) nma.find('networking', stuck);
  await clock.advance(1000);
  t.same(messages(), []);
  t.equal(said().filter((message) => message === 'condition has not met MinOccurrences').length, 5);
  nma.find('networking', stuck);
  await clock.advance(1000);
  t.same(messages(), ['1 IPAMDRepeatedlyRestart: x']);
});

t.test('a write that fails is tried again after ten seconds', async (t) => {
  const { clock, cluster, inject, settle } = drill(t);
  await settle();
  cluster.failWith(new Refusal('cluster_unreachable', 'no route'));
  inject(230, 45);
  await clock.advance(25_000);
  t.same(cluster.events(), []);
  cluster.failWith(undefined);
  await clock.advance(10_000);
  t.match(cluster.events(), [{ count: 1, lastTimestamp: '2026-11-23T02:24:48Z' }]);
});

t.test('without the right to write events there are none', async (t) => {
  const { clock, cluster, inject, settle, lines } = drill(t);
  await settle();
  cluster.failWith(new Refusal('cluster_refused', 'events is forbidden'));
  inject(230, 45);
  await clock.advance(1000);
  cluster.failWith(undefined);
  await clock.advance(200_000);
  t.same(cluster.events(), []);
  t.ok(lines.some((line) => line.includes('Server rejected event')));
});

t.test('lines of the kernel log', async (t) => {
  const { clock, kernelLog, messages, settle, gpu } = drill(t, '1.7.1');
  kernelLog.kernelSays('err', 'watchdog: BUG: soft lockup - CPU#1 stuck for 99s! [early:1]');
  await settle();
  await kernelLog.write('err', 'NVRM: Xid (PCI:0000:00:1e): 79, pid=1, GPU has fallen off the bus.');
  await kernelLog.write('err', 'watchdog: BUG: soft lockup - CPU#6 stuck for 4711s! [xidrill:1]');
  await kernelLog.write(
    'err',
    'pt_main_thread[25]: segfault at 7f79 ip 0 sp 0 error 4 in libnccl.so.2[7f+d3]',
  );
  await clock.advance(1000);
  t.same(messages(), [
    '1 SoftLockup: CPU stuck for 99s',
    '1 SoftLockup: CPU stuck for 4711s',
    '1 NvidiaNCCLError: NCCL communication error caused by segfault in libnccl.so',
  ]);
  await clock.advance(60_000);
  t.equal(gpu()?.status, 'True', 'no line of the kernel log makes it False');
});

t.test('what was in the kernel log before it started is never seen', async (t) => {
  const { clock, nma, kernelLog, messages } = drill(t);
  await nma.stop();
  kernelLog.kernelSays('err', 'watchdog: BUG: soft lockup - CPU#1 stuck for 99s! [early:1]');
  nma.start();
  await clock.advance(60_000);
  t.same(messages(), []);
});

t.test('a restarted NMA makes a new event instead of raising the count', async (t) => {
  const { clock, nma, kernelLog, messages, settle } = drill(t);
  await settle();
  const say = () => kernelLog.kernelSays('err', 'nf_conntrack: table full, dropping packet');
  say();
  await clock.advance(1000);
  await nma.restart();
  await clock.advance(1000);
  say();
  await clock.advance(1000);
  const text = '1 ConntrackExceededKernel: Connection tracking exceeded the maximum for the kernel';
  t.same(messages(), [text, text]);
});

t.test('a Neuron line is fatal on a Neuron node only', async (t) => {
  for (const [accelerator, status] of [
    ['neuron', 'False'],
    ['nvidia', 'True'],
  ] as const) {
    const { clock, kernelLog, gpu, settle } = drill(t, '1.7.0', { accelerator });
    await settle();
    kernelLog.kernelSays('err', 'kernel: NEURON_HW_ERR=HBM_UNCORRECTABLE_ERROR affecting neuron devices');
    await clock.advance(20_000);
    t.equal(gpu()?.status, status, accelerator);
  }
});
