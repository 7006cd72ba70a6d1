import t from 'tap';
import type { NodeCondition, NodeEvent } from '../../coordinator/cluster/node-view.ts';
import { baselineOf, findReaction, type Observation } from '../../coordinator/reaction/judge.ts';
import { combinedPrefix } from '../../shared/nma/conditions.ts';
import type { Expectation } from '../../shared/schemas/expectation.ts';

const at = '2026-01-01T00:00:00.000Z';
const event = (more: Partial<NodeEvent> = {}): NodeEvent => ({
  uid: 'e1',
  node: 'n',
  type: 'Warning',
  reason: 'KernelReady',
  message: 'SoftLockup: CPU stuck for 23s',
  count: 1,
  source: 'eks-node-monitoring-agent',
  firstTimestamp: at,
  lastTimestamp: at,
  ...more,
});
const condition = (more: Partial<NodeCondition> = {}): NodeCondition => ({
  type: 'AcceleratedHardwareReady',
  status: 'False',
  reason: 'NvidiaXID79Error',
  message: 'detected XID-79',
  lastHeartbeatTime: at,
  lastTransitionTime: at,
  ...more,
});
const healthy = condition({ status: 'True', reason: 'NvidiaAcceleratedHardwareIsReady', message: 'fine' });
const seen = (more: Partial<Observation>): Observation => ({ conditions: [], events: [], ...more });

const wantsEvent: Expectation = {
  kind: 'event',
  type: 'KernelReady',
  reason: 'SoftLockup',
  message: 'stuck for 23s',
  withinSeconds: 5,
};
const wantsCondition: Expectation = {
  kind: 'condition',
  type: 'AcceleratedHardwareReady',
  reason: 'NvidiaXID79Error',
  message: 'XID-79',
  withinSeconds: 5,
};

type Row = readonly [name: string, before: Observation, now: Observation, how: RegExp | undefined];

function check(name: string, expectation: Expectation, rows: readonly Row[]): void {
  t.test(name, async (t) => {
    for (const [title, before, now, how] of rows) {
      const found = findReaction(expectation, baselineOf(expectation, before, at), now);
      if (how === undefined) t.equal(found, undefined, title);
      else t.match(found, { how, entry: { match: true, clock: 'node' } }, title);
    }
  });
}

check('events', wantsEvent, [
  ['nothing', seen({}), seen({}), undefined],
  ['a new one', seen({}), seen({ events: [event()] }), /^a new event$/],
  ['the old one is none', seen({ events: [event()] }), seen({ events: [event()] }), undefined],
  [
    'the old one again',
    seen({ events: [event()] }),
    seen({ events: [event({ count: 2 })] }),
    /^count went from 1 to 2$/,
  ],
  ['of another type', seen({}), seen({ events: [event({ reason: 'NetworkingReady' })] }), undefined],
  [
    'of another reason',
    seen({}),
    seen({ events: [event({ message: 'AppBlocked: stuck for 23s' })] }),
    undefined,
  ],
  [
    'a longer reason',
    seen({}),
    seen({ events: [event({ message: 'SoftLockupX: stuck for 23s' })] }),
    undefined,
  ],
  [
    'of another drill',
    seen({}),
    seen({ events: [event({ message: 'SoftLockup: CPU stuck for 99s' })] }),
    undefined,
  ],
  [
    'combined',
    seen({}),
    seen({ events: [event({ message: `${combinedPrefix}SoftLockup: CPU stuck for 23s` })] }),
    /new/,
  ],
  [
    'one of several',
    seen({ events: [event({ uid: 'old' })] }),
    seen({ events: [event({ uid: 'old' }), event({ uid: 'new' })] }),
    /^a new event$/,
  ],
]);

check('conditions', wantsCondition, [
  ['True stays True', seen({ conditions: [healthy] }), seen({ conditions: [healthy] }), undefined],
  ['no condition', seen({ conditions: [healthy] }), seen({}), undefined],
  ['True → False', seen({ conditions: [healthy] }), seen({ conditions: [condition()] }), /^True → False$/],
  ['absent → False', seen({}), seen({ conditions: [condition()] }), /^absent → False$/],
  [
    'False for another fault',
    seen({ conditions: [healthy] }),
    seen({ conditions: [condition({ reason: 'DCGMError', message: 'lost' })] }),
    undefined,
  ],
  [
    'its reason was replaced, its message is there',
    seen({ conditions: [healthy] }),
    seen({ conditions: [condition({ reason: 'DCGMHealthCode95', message: 'detected XID-79, health 95' })] }),
    /^True → False$/,
  ],
  [
    'already False with the same',
    seen({ conditions: [condition()] }),
    seen({ conditions: [condition()] }),
    undefined,
  ],
  [
    'a newer heartbeat is no reaction',
    seen({ conditions: [condition()] }),
    seen({ conditions: [condition({ lastHeartbeatTime: '2026-01-01T00:01:00.000Z' })] }),
    undefined,
  ],
  [
    'already False, the message grew',
    seen({ conditions: [condition({ reason: 'Other', message: 'detected XID-48' })] }),
    seen({ conditions: [condition({ reason: 'Other', message: 'detected XID-48, detected XID-79' })] }),
    /message grew/,
  ],
  [
    'already False, the reason became ours',
    seen({ conditions: [condition({ reason: 'Other', message: 'detected XID-79 before' })] }),
    seen({ conditions: [condition({ message: 'detected XID-79 before' })] }),
    /reason became/,
  ],
]);
