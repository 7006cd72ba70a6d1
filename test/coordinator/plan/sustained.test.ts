import t from 'tap';
import { anyGpu } from '../../../coordinator/catalogue/channels/channel.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { planTarget } from '../../../coordinator/plan/plan.ts';
import type { ExperimentSpec } from '../../../coordinator/store/experiment.ts';
import { scriptOf } from '../../../shared/orders/script.ts';
import type { InjectXid, MethodCall } from '../../../shared/schemas/order.ts';

/** Where a drill waits until a repair controller takes the node, the condition has to keep its reason so long (field-cases F11). */

const taint = { then: [{ link: 'taint', within: '11m' }] };
const xid = (parameters: object) => ({ name: 'xid', parameters: { ...parameters } });
const field = { name: 'dcgm-field', parameters: { field: 230, value: 79 } };

function forSecondsOf(spec: ExperimentSpec, version = '1.6.4'): number | undefined {
  const context = { nma: findNmaVersion(version) };
  const { order } = planTarget({ spec, node: 'node-1', orderId: 'order-1', marker: 'abc123', context });
  return 'forSeconds' in order.body ? order.body.forSeconds : undefined;
}

t.test('only where the reason moves, the drill waits for it, and that keeps it', async (t) => {
  // 50 s for the condition, 11 min for the taint.
  t.equal(forSecondsOf({ fault: xid({ xid: 79 }), expectation: taint }), 710);
  t.equal(forSecondsOf({ fault: field, expectation: taint }), 710, 'the same value as a field');
  const usual = { fault: xid({ xid: 79 }), expectation: { repair: 'expect' as const } };
  t.equal(forSecondsOf(usual), 50 + 35 * 60);
  const hours = { then: [{ link: 'taint', within: '3h' }] };
  t.equal(forSecondsOf({ fault: xid({ xid: 79 }), expectation: hours }), 3600, 'an hour at the most');
  for (const [why, spec, version] of [
    ['nobody waits for a repair', { fault: xid({ xid: 79 }) }],
    ['no health check knows Xid 109', { fault: xid({ xid: 109 }), expectation: taint }],
    ['a new reason is a new transition', { fault: xid({ xid: 79 }), expectation: taint }, '1.5.2'],
  ] as const)
    t.equal(forSecondsOf(spec, version), undefined, why);
  const own = { ...field, parameters: { ...field.parameters, forSeconds: 60 } };
  t.equal(forSecondsOf({ fault: own, expectation: taint }), 60, 'the caller’s own time stays');
});

t.test('in the host engine it is written again, in the kernel log once', async (t) => {
  const order = (surfaces: InjectXid['surfaces']): MethodCall => ({
    method: 'InjectXid',
    body: { gpu: { index: 0 }, xid: 109, surfaces, forSeconds: 60 },
  });
  const context = { gpu: anyGpu };
  const parts = scriptOf(order(['dcgm', 'kernel-log']), context);
  t.match(
    parts.map(({ surface }) => surface),
    ['dcgm', 'kernel-log'],
  );
  t.match(parts[0], { field: 230, value: 109, forMs: 60_000 });
  t.throws(() => scriptOf(order(['kernel-log']), context), {
    reason: 'parameter_invalid',
    message: /forSeconds: a record of the kernel log is written once/,
  } as never);
});
