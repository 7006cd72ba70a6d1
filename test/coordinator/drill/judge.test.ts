import t from 'tap';
import type { Expectation } from '../../../coordinator/catalogue/expectation.ts';
import { combinedPrefix } from '../../../coordinator/catalogue/nma/conditions.ts';
import { baselineOf, findReaction } from '../../../coordinator/drill/judge.ts';
import { judgeNone } from '../../../coordinator/drill/none.ts';
import type { NodeCondition, NodeEvent, Observation } from '../../../coordinator/view/node.ts';

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

t.test('negative drills', async (t) => {
  const wantsNone: Expectation = { ...wantsEvent, kind: 'none', withinSeconds: 90 };
  const forbids: Expectation = { ...wantsNone, event: 'forbidden' };
  const anyEvent: Expectation = {
    kind: 'none',
    type: 'KernelReady',
    reason: '',
    event: 'forbidden',
    withinSeconds: 90,
  };
  const control: Expectation = { ...wantsEvent, reason: 'AppBlocked', message: 'xidrill-abc123b' };
  const controlEvent = event({ uid: 'c', message: 'AppBlocked: Process "xidrill-abc123b" has been blocked' });
  const kernel = (more: Partial<NodeCondition>) => condition({ type: 'KernelReady', ...more });
  const ready = kernel({ status: 'True', reason: 'KernelIsReady', message: 'fine' });
  const broken = kernel({ reason: 'Other', message: 'one' });
  type NoneRow = readonly [
    name: string,
    expectation: Expectation,
    before: Observation,
    now: Observation,
    expected: { readonly violated: RegExp } | { readonly event: boolean },
  ];
  const rows: readonly NoneRow[] = [
    ['nothing', wantsNone, seen({ conditions: [ready] }), seen({ conditions: [ready] }), { event: false }],
    ['its event, which may come', wantsNone, seen({}), seen({ events: [event()] }), { event: true }],
    [
      'its event, which must not',
      forbids,
      seen({}),
      seen({ events: [event()] }),
      { violated: /a new event, and it must not/ },
    ],
    [
      'once more',
      forbids,
      seen({ events: [event()] }),
      seen({ events: [event({ count: 2 })] }),
      { violated: /count went from 1 to 2/ },
    ],
    ['an old one', forbids, seen({ events: [event()] }), seen({ events: [event()] }), { event: false }],
    [
      'of another fault',
      forbids,
      seen({}),
      seen({ events: [event({ message: 'KernelBug: x' })] }),
      { event: false },
    ],
    [
      'any is one too many',
      anyEvent,
      seen({}),
      seen({ events: [event({ message: 'KernelBug: x' })] }),
      { violated: /new/ },
    ],
    ['the control’s own is none', anyEvent, seen({}), seen({ events: [controlEvent] }), { event: false }],
    [
      'the control’s own, combined',
      anyEvent,
      seen({}),
      seen({ events: [{ ...controlEvent, message: `${combinedPrefix}${controlEvent.message}` }] }),
      { event: false },
    ],
    [
      'beside the control’s own',
      anyEvent,
      seen({}),
      seen({ events: [controlEvent, event()] }),
      { violated: /new/ },
    ],
    [
      'True → False',
      wantsNone,
      seen({ conditions: [ready] }),
      seen({ conditions: [broken] }),
      { violated: /^True → False$/ },
    ],
    ['absent → False', wantsNone, seen({}), seen({ conditions: [broken] }), { violated: /^absent → False$/ }],
    ['absent → True', wantsNone, seen({}), seen({ conditions: [ready] }), { event: false }],
    [
      'False → True',
      wantsNone,
      seen({ conditions: [broken] }),
      seen({ conditions: [ready] }),
      { event: false },
    ],
    [
      'False stays',
      wantsNone,
      seen({ conditions: [broken] }),
      seen({ conditions: [broken] }),
      { event: false },
    ],
    [
      'False, and a newer heartbeat',
      wantsNone,
      seen({ conditions: [broken] }),
      seen({ conditions: [{ ...broken, lastHeartbeatTime: '2026-01-01T00:01:00.000Z' }] }),
      { event: false },
    ],
    [
      'False, its message grew',
      wantsNone,
      seen({ conditions: [broken] }),
      seen({ conditions: [{ ...broken, message: 'one; two' }] }),
      { violated: /its message was "one"/ },
    ],
    [
      'False, another reason',
      wantsNone,
      seen({ conditions: [broken] }),
      seen({ conditions: [{ ...broken, reason: 'New' }] }),
      { violated: /its reason was Other/ },
    ],
    ['another condition', wantsNone, seen({}), seen({ conditions: [condition()] }), { event: false }],
  ];
  for (const [name, expectation, before, now, expected] of rows) {
    const judged = judgeNone(expectation, baselineOf(expectation, before, at), now, [control]);
    if ('violated' in expected) t.match(judged, { is: 'violated', match: { how: expected.violated } }, name);
    else {
      t.equal(judged.is, 'quiet', name);
      if (judged.is === 'quiet') t.equal(judged.event !== undefined, expected.event, `${name}: its event`);
    }
  }
});
