import t from 'tap';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import { createStore } from '../../../coordinator/store/store.ts';
import { createKnownStore } from '../../../coordinator/view/known-store.ts';
import { node } from '../../contract/cluster-objects.ts';
import { refusal, until } from '../rig.ts';
import { home, nmaLabels, pod, start } from './running.ts';

const pooled = (name: string, ready: 'True' | 'False', pool = 'gpu'): KubeObject => ({
  ...node(name),
  metadata: { name, labels: { 'karpenter.sh/nodepool': pool } },
  status: { conditions: [{ type: 'Ready', status: ready }] },
});

t.test('pods, events and peers are found by node, and follow what changes', async (t) => {
  const { cluster, view } = await start(t, async ({ cluster }) => {
    await cluster.create('nodes', pooled('a', 'True'));
    await cluster.create('nodes', pooled('b', 'False'));
    await cluster.create('nodes', pooled('other', 'False', 'cpu'));
    await cluster.create('pods', pod('nma-a', 'a', nmaLabels));
    await cluster.create('pods', pod('stranger', 'a', { app: 'x' }));
  });
  await view.ready;
  const peersOf = (name: string) => view.peersOf(view.node(name) ?? pooled(name, 'True'));
  t.strictSame(
    view.podsOf('nmaPods', 'a').map(({ metadata }) => metadata.name),
    ['nma-a'],
  );
  t.strictSame(view.podsOf('nmaPods', 'b'), []);
  t.strictSame(peersOf('a'), { total: 2, unhealthyOthers: { 'Ready=False': 1 } });
  t.strictSame(peersOf('b'), { total: 2, unhealthyOthers: {} }, 'the node itself is not among the others');
  t.strictSame(peersOf('other'), { total: 1, unhealthyOthers: {} });
  await cluster.patch(
    'nodes',
    { name: 'b' },
    { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    'status',
  );
  await until(t, 'b to be healthy', () => Object.keys(peersOf('a').unhealthyOthers).length === 0);
  const taint = { key: 'karpenter.sh/disrupted', effect: 'NoSchedule' };
  await cluster.patch('nodes', { name: 'b' }, { spec: { taints: [taint] } });
  await until(t, 'b to leave', () => peersOf('a').leavingOthers === 1);
  t.equal(peersOf('b').leavingOthers, undefined, 'nobody but itself');
  await cluster.remove('nodes', { name: 'b' });
  await until(t, 'b to be gone', () => peersOf('a').total === 1);
  t.equal(peersOf('a').leavingOthers, undefined);
  t.strictSame(view.observe('b'), { conditions: [], events: [] });
  await cluster.create('events', {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e1', namespace: 'default' },
    involvedObject: { kind: 'Node', name: 'a' },
    type: 'Warning',
    reason: 'AcceleratedHardwareReady',
    message: 'NvidiaXID31Warning: x',
    count: 2,
  });
  await until(t, 'the event', () => view.observe('a').events.length === 1);
  t.match(view.observe('a').events, [{ node: 'a', message: 'NvidiaXID31Warning: x', count: 2 }]);
  await cluster.remove('pods', { namespace: 'nma', name: 'nma-a' });
  await until(t, 'the pod to be gone', () => view.podsOf('nmaPods', 'a').length === 0);
});

t.test('a node is kept without what nobody looks at', async (t) => {
  const images = Array.from({ length: 100 }, (_, index) => ({
    names: [`registry.invalid/${index}@sha256:${'0'.repeat(64)}`],
    sizeBytes: index,
  }));
  const whole = {
    ...node('big'),
    metadata: {
      name: 'big',
      labels: { a: 'b' },
      annotations: { 'karpenter.sh/do-not-repair': 'true', 'csi.volume.kubernetes.io/nodeid': '{}' },
    },
    spec: { taints: [{ key: 'k', effect: 'NoSchedule' }], podCIDR: '10.0.0.0/24' },
    status: {
      images,
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'm' }],
      capacity: { cpu: '4', 'nvidia.com/gpu': '1', 'nvidia.com/mig-1g.5gb': '7' },
      allocatable: { cpu: '4', 'nvidia.com/gpu': '0' },
      nodeInfo: { architecture: 'arm64', bootID: 'boot-1', kernelVersion: '6' },
    },
  };
  const { view, cluster } = await start(t, async ({ cluster }) => {
    await cluster.create('nodes', whole);
  });
  await view.ready;
  const kept = view.node('big');
  t.match(kept, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      uid: String,
      resourceVersion: String,
      labels: { a: 'b' },
      annotations: { 'karpenter.sh/do-not-repair': 'true' },
    },
    spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] },
    status: {
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'm' }],
      capacity: { 'nvidia.com/gpu': '1', 'nvidia.com/mig-1g.5gb': '7' },
      allocatable: { 'nvidia.com/gpu': '0' },
      nodeInfo: { architecture: 'arm64', bootID: 'boot-1' },
    },
  });
  const size = JSON.stringify(kept).length;
  t.ok(size < 1_000 && JSON.stringify(whole).length > 10_000, `${size} characters are kept`);
  await cluster.patch('nodes', { name: 'big' }, { metadata: { labels: { a: 'c' } } });
  await until(t, 'the change', () => view.node('big')?.metadata.labels?.a === 'c');
  t.notOk(JSON.stringify(view.node('big')).includes('registry.invalid'), 'nor by a watch');
});

t.test('a kind that may not be read is unread, with the remedy, and stops no other', async (t) => {
  const { server, view } = await start(t, async ({ server, cluster }) => {
    await cluster.create('nodes', node('a'));
    server.faults.failNext({ code: 403, count: 1_000_000, resource: 'daemonsets', verb: 'list' });
  });
  await view.ready;
  t.match(view.unread('nmaDaemonSets'), {
    unread: /^DaemonSets of NMA cannot be read: .*HTTP 403/,
    remedy: /list and watch of daemonsets/,
  });
  t.equal(view.unread('nmaPods'), undefined);
  t.ok(view.node('a'));
  t.match(
    view.states().find(({ kind }) => kind === 'nmaDaemonSets'),
    { seenAt: null, unread: { unread: /cannot be read/ } },
  );
  t.match(
    view.states().find(({ kind }) => kind === 'nodes'),
    { seenAt: String, unread: undefined, gap: undefined },
  );
  server.faults.clear();
  await until(t, 'the right to be there', () => view.unread('nmaDaemonSets') === undefined);
});

t.test('an API server that is away is no missing right', async (t) => {
  const { view, server } = await start(t, async ({ server }) => {
    server.faults.failNext({ code: 503, count: 1_000_000, resource: 'deployments', verb: 'list' });
  });
  await view.ready;
  t.throws(() => view.unread('karpenterDeployments'), refusal({ reason: 'cluster_unreachable' }));
  server.faults.clear();
});

t.test('what a watch cannot see shows in its state until it can', async (t) => {
  const { view, server } = await start(t);
  await view.ready;
  await until(t, 'the watch of nodes', () =>
    server.requests.some(({ verb, url }) => verb === 'watch' && url.includes('/nodes')),
  );
  server.faults.failNext({ code: 500, count: 1_000_000, resource: 'nodes', verb: 'watch' });
  server.faults.cutWatches();
  await until(t, 'the gap', () => view.blind('nodes') !== undefined);
  t.notOk(view.isCurrent('nodes'));
  t.match(view.states().find(({ kind }) => kind === 'nodes')?.gap, { since: String, because: String });
  server.faults.clear();
  await until(t, 'the end of the gap', () => view.isCurrent('nodes'));
  t.match(view.gaps('nodes'), [{ lost: false }], 'and the gap is remembered');
});

t.test(
  'our own writes are known before the watch brings them, and no later state is undone by an older',
  async (t) => {
    const { view, cluster, server } = await start(t);
    await view.ready;
    const store = createKnownStore({ cluster, namespace: home, view, ready: () => view.ready });
    await until(t, 'the watches', () => server.requests.filter(({ verb }) => verb === 'watch').length >= 10);
    const spec = { fault: { name: 'xid' } };
    const lists = () =>
      server.requests.filter(({ verb, url }) => verb === 'list' && url.includes('xidrill.dev')).length;
    const before = lists();
    const made = await store.createExperiment('one', spec, {});
    t.equal((await store.listExperiments()).length, 1);
    const seen: string[] = [];
    view.onChange('experiments', ({ type, object }) => {
      seen.push(`${type} ${(object.status as { phase?: string } | undefined)?.phase ?? 'none'}`);
    });
    const running = await store.writeExperimentStatus(made, { phase: 'Running' });
    await store.writeExperimentStatus(running, { phase: 'Completed', verdict: 'pass' });
    t.match(await store.listExperiments(), [{ status: { phase: 'Completed' } }]);
    const last = await cluster.create('experiments', {
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name: 'two', namespace: home },
      spec,
    });
    await until(
      t,
      'the watch to be past our writes',
      () => view.experiment(last.metadata.name) !== undefined,
    );
    t.strictSame(
      seen,
      ['modified Running', 'modified Completed', 'added none'],
      'each change is reported once',
    );
    await cluster.remove('experiments', { namespace: home, name: 'one' });
    await until(t, 'the deletion', () => view.experiment('one') === undefined);
    t.equal(lists(), before, 'without a list');
  },
);

t.test('lists of our own objects come from the API server while their watch is broken', async (t) => {
  const { view, cluster, server } = await start(t);
  await view.ready;
  const store = createKnownStore({ cluster, namespace: home, view, ready: () => view.ready });
  await until(t, 'the watches', () => server.requests.filter(({ verb }) => verb === 'watch').length >= 10);
  server.faults.failNext({ code: 500, count: 1_000_000, resource: 'experiments', verb: 'watch' });
  server.faults.cutWatches();
  await until(t, 'the gap', () => !view.isCurrent('experiments'));
  await createStore(cluster, home).createExperiment('unseen', { fault: { name: 'xid' } }, {});
  t.equal(view.experiment('unseen'), undefined);
  t.match(await store.listExperiments(), [{ metadata: { name: 'unseen' } }]);
  server.faults.clear();
});
