import t from 'tap';
import { Check } from 'typebox/value';
import { TimelineEntry } from '../../../coordinator/store/timeline.ts';
import { conditionEntry, eventEntry, gapEntry, isSameSight } from '../../../coordinator/view/watcher.ts';

const times = { at: '2026-01-01T00:00:00Z', clock: 'node' } as const;
const event = {
  uid: 'u-1',
  node: 'n1',
  type: 'Warning',
  reason: 'AcceleratedHardwareReady',
  message: 'NvidiaXID31Warning: detected unknown XID-31',
  count: 1,
  source: 'eks-node-monitoring-agent',
  firstTimestamp: null,
  lastTimestamp: null,
};
const condition = {
  type: 'AcceleratedHardwareReady',
  status: 'False',
  reason: 'NvidiaXID79Error',
  message: 'detected XID-79',
  lastHeartbeatTime: null,
  lastTransitionTime: null,
};

t.test('an entry carries its facts, and its sentence is made of them', async (t) => {
  const seen = eventEntry({ ...event, count: 3 }, times, 'watch');
  t.match(seen, {
    text: `Warning AcceleratedHardwareReady "${event.message}" (3 times)`,
    event: { uid: 'u-1', count: 3, component: 'eks-node-monitoring-agent' },
  });
  const turned = conditionEntry(condition, times, 'node n1');
  t.match(turned, {
    text: 'AcceleratedHardwareReady=False NvidiaXID79Error "detected XID-79"',
    condition: { status: 'False', reason: 'NvidiaXID79Error' },
  });
  const gap = { from: 0, until: 20_000, because: 'the watch was closed' };
  const lost = gapEntry({ ...gap, lost: true }, 'watch of nodes');
  t.match(lost, { kind: 'gap', gap: { from: '1970-01-01T00:00:00.000Z', lost: true }, text: /is lost$/ });
  const late = gapEntry({ ...gap, lost: false }, 'watch of nodes');
  t.match(late, { kind: 'note', gap: { lost: false }, text: /but late$/ });
  for (const entry of [seen, turned, lost, late]) t.ok(Check(TimelineEntry, entry), entry.text);
});

t.test('what is one and the same thing, seen twice', async (t) => {
  const first = eventEntry(event, times, 'watch');
  t.ok(isSameSight(first, eventEntry({ ...event, count: 2 }, times, 'read')), 'the same event, once more');
  t.notOk(isSameSight(first, eventEntry({ ...event, uid: 'u-2' }, times, 'watch')), 'another one');
  const turned = conditionEntry(condition, times, 'watch');
  t.ok(isSameSight(turned, conditionEntry({ ...condition, lastHeartbeatTime: times.at }, times, 'read')));
  t.notOk(isSameSight(turned, conditionEntry({ ...condition, message: 'more' }, times, 'watch')), 'it grew');
  t.notOk(isSameSight(first, turned));
  const note = { ...first, kind: 'note', event: undefined } as const;
  const { event: _none, ...plain } = note;
  t.notOk(isSameSight(plain, plain), 'a note is no sight');
});
