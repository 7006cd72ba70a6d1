import t from 'tap';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { type PlanInput, planTarget } from '../../../coordinator/plan/plan.ts';
import type { ExperimentSpec } from '../../../coordinator/store/experiment.ts';
import { Refusal } from '../../../shared/errors.ts';

const plan = (spec: ExperimentSpec, version = '1.6.4', more: Partial<PlanInput> = {}) =>
  planTarget({
    spec,
    node: 'node-1',
    orderId: 'order-1',
    marker: 'abc123',
    context: { nma: findNmaVersion(version) },
    ...more,
  });

t.test('what each fault orders, and what must follow', async (t) => {
  const rows: readonly (readonly [string, ExperimentSpec, object, object])[] = [
    [
      'task-blocked',
      { fault: { name: 'task-blocked' } },
      {
        method: 'WriteKernelMessage',
        body: { text: 'INFO: task xidrill-abc123:4321 blocked for more than 120 seconds.' },
      },
      { kind: 'event', type: 'KernelReady', reason: 'AppBlocked', message: /xidrill-abc123/ },
    ],
    [
      'soft-lockup',
      { fault: { name: 'soft-lockup', parameters: { cpu: 3, seconds: 23 } } },
      { body: { text: 'watchdog: BUG: soft lockup - CPU#3 stuck for 23s! [xidrill-abc123:4321]' } },
      { kind: 'event', type: 'KernelReady', reason: 'SoftLockup', message: 'CPU stuck for 23s' },
    ],
    [
      'kernel-bug',
      { fault: { name: 'kernel-bug' } },
      { body: { text: /^\[\d+\.\d+\] BUG: .* \(xidrill abc123\)$/ } },
      { kind: 'event', type: 'KernelReady', reason: 'KernelBug' },
    ],
    [
      'conntrack-full',
      { fault: { name: 'conntrack-full' } },
      { body: { level: 'err', text: 'nf_conntrack: nf_conntrack: table full, dropping packet' } },
      { kind: 'event', reason: 'ConntrackExceededKernel' },
    ],
    [
      'a fatal xid',
      { fault: { name: 'xid', parameters: { xid: 79 } } },
      { method: 'InjectXid', body: { xid: 79, surfaces: ['dcgm'], gpu: { index: 0 } } },
      { kind: 'condition', type: 'AcceleratedHardwareReady', reason: 'NvidiaXID79Error' },
    ],
    [
      'xid on a GPU by address',
      { fault: { name: 'xid', parameters: { xid: 109 } }, target: { gpu: { pci: '0000:3b:00' } } },
      { body: { gpu: { pci: '0000:3b:00' } } },
      { reason: 'NvidiaXID109Error' },
    ],
    [
      'dcgm-field',
      { fault: { name: 'dcgm-field', parameters: { field: 319, value: 4 } } },
      { method: 'InjectDcgmField', body: { field: 319, value: 4 } },
      { kind: 'condition', reason: 'NvidiaDoubleBitError' },
    ],
  ];
  for (const [name, spec, order, expectation] of rows) {
    const planned = plan(spec);
    t.match(planned.order, { orderId: 'order-1', ...order }, name);
    t.match(planned.expectation, expectation, `${name}: expectation`);
  }
});

t.test('the version decides whether an Xid is an event or a condition', async (t) => {
  const spec = { fault: { name: 'xid', parameters: { xid: 31 } } };
  t.equal(plan(spec, '1.6.3').expectation.kind, 'condition');
  t.equal(plan(spec, '1.6.4').expectation.kind, 'event');
});

t.test('the word of the caller wins', async (t) => {
  const spec = { fault: { name: 'conntrack-full' } };
  const expectation = plan({
    ...spec,
    expectation: { kind: 'condition', type: 'Mine', reason: 'Own', within: '1m30s' },
  }).expectation;
  t.strictSame(expectation, { kind: 'condition', type: 'Mine', reason: 'Own', withinSeconds: 90 });
  t.equal(plan({ ...spec, expectation: { within: 'PT5S' } }).expectation.withinSeconds, 5);
  t.ok(plan({ ...spec, expectation: { within: '5s' } }).expectation.message, 'the usual message is kept');
});

t.test('how the monitoring agent gets to know of it is known where the reason is', async (t) => {
  const xid = { fault: { name: 'xid', parameters: { xid: 79 } } };
  const { via, plugin } = plan(xid).expectation;
  t.strictSame([via, plugin], ['policy', 'nvidia']);
  const asked = (reason: string) => {
    const expectation = { kind: 'condition', type: 'AcceleratedHardwareReady', reason } as const;
    const { via, plugin } = plan({ ...xid, expectation }).expectation;
    return [via, plugin];
  };
  t.strictSame(asked('DCGMHealthCode120'), ['health-check', 'nvidia'], 'the fault’s other reaction');
  t.strictSame(asked('NvidiaNCCLError'), ['kernel-log-rule', 'nvidia'], 'another fault’s');
  t.strictSame(asked('NeuronDMAError'), ['kernel-log-rule', 'neuron']);
  t.strictSame(asked('NvidiaXidError'), [undefined, undefined], 'a mistyped one is not guessed at');
});

t.test('a plan follows from its input', async (t) => {
  const spec = { fault: { name: 'soft-lockup' } };
  t.strictSame(plan(spec), plan(spec));
  t.not(
    JSON.stringify(plan(spec).order.body),
    JSON.stringify(plan(spec, '1.6.4', { marker: 'zzz999' }).order.body),
    'another marker is another record',
  );
});

t.test('what cannot be injected or judged names its field', async (t) => {
  const rows: readonly (readonly [string, ExperimentSpec, string, string])[] = [
    ['fault_unknown', { fault: { name: 'nope' } }, 'fault.name', 'unknown fault'],
    ['parameter_invalid', { fault: { name: 'xid' } }, 'fault.parameters.xid', 'missing'],
    ['parameter_invalid', { fault: { name: 'xid', parameters: { xid: 0 } } }, 'fault.parameters.xid', 'low'],
    [
      'parameter_invalid',
      { fault: { name: 'xid', parameters: { xid: 999 } } },
      'fault.parameters.xid',
      'high',
    ],
    [
      'parameter_invalid',
      { fault: { name: 'xid', parameters: { xid: 1, y: 1 } } },
      'fault.parameters.y',
      'extra',
    ],
    [
      'parameter_invalid',
      { fault: { name: 'kernel-bug', parameters: { text: 'two\nlines' } } },
      'fault.parameters.text',
      'pattern',
    ],
    [
      'gpu_address_malformed',
      { fault: { name: 'xid', parameters: { xid: 79 } }, target: { gpu: { pci: 'here' } } },
      'target.gpu.pci',
      'address',
    ],
    [
      'field_unknown',
      { fault: { name: 'dcgm-field', parameters: { field: 'nope', value: 1 } } },
      'fault.parameters.field',
      'no such field',
    ],
    [
      'field_value_no_effect',
      { fault: { name: 'dcgm-field', parameters: { field: 150, value: 48 } } },
      'fault.parameters.value',
      'a healthy temperature',
    ],
    [
      'expectation_invalid',
      { fault: { name: 'conntrack-full' }, expectation: { within: '2h' } },
      'expectation.within',
      'too long a wait',
    ],
    [
      'expectation_invalid',
      { fault: { name: 'dcgm-field', parameters: { field: 150, value: 48, force: true } } },
      'expectation',
      'nothing follows, and nothing was said',
    ],
  ];
  for (const [reason, spec, field, name] of rows) {
    try {
      plan(spec);
      t.fail(`${name} was planned`);
    } catch (thrown) {
      t.match(
        thrown instanceof Refusal && { reason: thrown.reason, field: thrown.details.field },
        { reason, field },
        name,
      );
    }
  }
});
