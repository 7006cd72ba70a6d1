import t from 'tap';
import { createWatcher } from '../../../coordinator/view/watcher.ts';
import { node } from '../../contract/cluster-objects.ts';
import { createJumpingClock } from '../../jumping-clock.ts';
import { until } from '../rig.ts';
import { start } from './running.ts';

t.test('whoever follows a node hears of it and of no other', async (t) => {
  const { cluster, view } = await start(t, async ({ cluster }) => {
    await cluster.create('nodes', node('a'));
    await cluster.create('nodes', node('b'));
  });
  await view.ready;
  const watcher = createWatcher(view);
  const texts: string[] = [];
  const stop = watcher.subscribe('a', ({ entry }) => texts.push(entry.text));
  const ready = (status: string) => ({
    status: { conditions: [{ type: 'Ready', status, reason: 'R', message: 'm' }] },
  });
  await cluster.patch('nodes', { name: 'b' }, ready('False'), 'status');
  await cluster.patch('nodes', { name: 'a' }, ready('False'), 'status');
  await until(t, 'the condition', () => texts.length === 1);
  await cluster.patch('nodes', { name: 'a' }, { metadata: { labels: { heartbeats: 'alone' } } });
  await cluster.patch('nodes', { name: 'a' }, { spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } });
  await until(t, 'the taint', () => texts.length === 2);
  await cluster.create('events', {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e1', namespace: 'default' },
    involvedObject: { kind: 'Node', name: 'a' },
    type: 'Warning',
    reason: 'KernelReady',
    message: 'x',
  });
  await until(t, 'the event', () => texts.length === 3);
  await cluster.remove('nodes', { name: 'a' });
  await until(t, 'the end', () => texts.length === 4);
  t.match(texts, [/Ready=False R "m"/, /taints: none → k:NoSchedule/, /Warning KernelReady "x"/, /is gone/]);
  stop();
  await cluster.create('nodes', node('a'));
  await until(t, 'the new node', () => watcher.node('a') !== undefined);
  t.equal(texts.length, 4);
});

t.test(
  'a gap that is open for long is reported before it ends, and as what it was when it has',
  async (t) => {
    const clock = createJumpingClock(Date.parse('2026-03-04T05:06:07Z'));
    const { view, server } = await start(t, undefined, clock);
    await view.ready;
    const watcher = createWatcher(view);
    const since = clock.now();
    const isWatched = () =>
      server.requests.some(({ verb, resource }) => verb === 'watch' && resource === 'nodes');
    await until(t, 'the watch', isWatched);
    t.strictSame(watcher.gapsSince(since), []);
    server.faults.failNext({ code: 500, count: 1_000_000, resource: 'nodes', verb: 'watch' });
    server.faults.cutWatches('nodes');
    await until(t, 'the gap', () => watcher.gapsSince(since).length > 0);
    t.match(watcher.gapsSince(since), [{ kind: 'gap', source: 'watch of nodes', gap: { lost: true } }]);
    t.match(view.unread('nodes'), { unread: /^nodes have not been seen since 2026-03-04T05:0/ });
    server.faults.clear();
    await until(t, 'the end of the gap', () => view.isCurrent('nodes'));
    t.match(watcher.gapsSince(since), [{ kind: 'note', gap: { lost: false } }]);
    t.equal(watcher.gapsSince(since).length, 1);
    t.equal(view.unread('nodes'), undefined);
  },
);
