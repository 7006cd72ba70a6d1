import t from 'tap';
import { Check } from 'typebox/value';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import type { Work } from '../../../coordinator/catalogue/channels/channel.ts';
import { channelOf, expectationOf } from '../../../coordinator/catalogue/channels.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import {
  exampleParameters,
  findFault,
  markerNumber,
  type Parameters,
  resolveParameters,
} from '../../../coordinator/catalogue/parameters.ts';
import { encodeKmsgWrite } from '../../../shared/kmsg-record.ts';
import { surfacesOfOrder } from '../../../shared/orders/call.ts';
import { scriptOf } from '../../../shared/orders/script.ts';
import { parsePci } from '../../../shared/pci.ts';
import { orderMethods } from '../../../shared/schemas/order.ts';
import type { GpuSelector } from '../../../shared/schemas/order-members.ts';

const marker = 'a1b2c3';

function work(name: string, given?: Parameters, gpu?: GpuSelector): Work {
  const row = findFault(name);
  const parameters = resolveParameters(row, given ?? exampleParameters(row), marker);
  return { channel: row.channel, parameters, gpu, marker };
}

const order = (made: Work) => channelOf(made.channel).order(made);

t.test('every row of the catalogue is whole, and its defaults make an order', (t) => {
  t.equal(new Set(faults.map(({ name }) => name)).size, faults.length, 'no name twice');
  for (const row of faults) {
    t.match(row.name, /^[a-z]+(-[a-z]+)*$/);
    for (const text of [row.title, row.risk, row.undo, ...row.sources]) t.match(text, /\S{2}/, row.name);
    t.not(row.surfaces.length, 0);
    for (const [name, parameter] of Object.entries(row.parameters))
      t.match(parameter.help, /\S/, `${row.name}.${name}`);
    const made = work(row.name);
    const call = order(made);
    const { method, body } = call;
    t.ok(Object.hasOwn(orderMethods, method), `${row.name}: ${method}`);
    t.ok(Check(orderMethods[method], body), `${row.name}: the agent takes its order ${JSON.stringify(body)}`);
    const parts = scriptOf(call, { gpu: { pci: parsePci('0000:3b:00.0') } });
    t.same(new Set(parts.map(({ surface }) => surface)), new Set(surfacesOfOrder(call)), row.name);
    t.not(parts.length, 0);
    for (const part of parts) {
      t.ok(row.surfaces.includes(part.surface), `${row.name}: says that it writes on ${part.surface}`);
      if (!('text' in part)) continue;
      t.notMatch(part.text, /\{(marker|markerNumber|\w+)\}/, `${row.name}: every placeholder is filled in`);
      t.doesNotThrow(() => encodeKmsgWrite('err', part.text));
    }
  }
  t.throws(() => findFault('xids'), { name: 'Refusal', reason: 'fault_unknown', message: /^fault\.name: / });
  t.end();
});

t.test('parameters are checked, and everything wrong is told', (t) => {
  const rows: readonly (readonly [string, Parameters, readonly string[]])[] = [
    ['xid', {}, ['fault.parameters.xid is required: Xid number']],
    ['xid', { xid: null }, ['fault.parameters.xid is required: Xid number']],
    ['xid', { xid: 0 }, ['fault.parameters.xid must be at least 1']],
    ['xid', { xid: 256 }, ['fault.parameters.xid must be at most 255']],
    ['xid', { xid: '79' }, ['fault.parameters.xid must be a whole number']],
    [
      'xid',
      { xid: 1.5, acceptRisk: 1, more: 1 },
      [
        'fault.parameters.more is no parameter of this fault',
        'fault.parameters.xid must be a whole number',
        'fault.parameters.acceptRisk must be true or false',
      ],
    ],
    [
      'xid',
      { xid: 79, surfaces: [] },
      ['fault.parameters.surfaces must be a list of kernel-log and dcgm, each once'],
    ],
    [
      'xid',
      { xid: 79, surfaces: ['dcgm', 'dcgm'] },
      ['fault.parameters.surfaces must be a list of kernel-log and dcgm, each once'],
    ],
    [
      'xid',
      { xid: 79, surfaces: 'dcgm' },
      ['fault.parameters.surfaces must be a list of kernel-log and dcgm, each once'],
    ],
    [
      'xid',
      { xid: 79, process: { pid: '1' } },
      ['fault.parameters.process must be {pid: whole number, name: text of letters, digits and ._:/-}'],
    ],
    [
      'xid',
      { xid: 79, process: { pid: 1, name: 'a b' } },
      ['fault.parameters.process must be {pid: whole number, name: text of letters, digits and ._:/-}'],
    ],
    [
      'xid',
      { xid: 79, engine: { pid: 1, address: 'x' } },
      ['fault.parameters.engine must be {pid: whole number} or {address: text}'],
    ],
    [
      'xid',
      { xid: 79, engine: {} },
      ['fault.parameters.engine must be {pid: whole number} or {address: text}'],
    ],
    ['xid', { xid: 79, toString: 1 }, ['fault.parameters.toString is no parameter of this fault']],
    ['dcgm-field', { field: 230, value: true }, ['fault.parameters.value must be a number or text']],
    [
      'dcgm-field',
      { field: 230, value: 79, offsetSeconds: 601 },
      ['fault.parameters.offsetSeconds must be at most 600'],
    ],
    ['task-blocked', { process: 'a b' }, ['fault.parameters.process must match ^[A-Za-z0-9._/-]{1,15}$']],
    ['task-blocked', { process: 'a\n' }, ['fault.parameters.process must match ^[A-Za-z0-9._/-]{1,15}$']],
    ['kernel-bug', { text: 'a\nb' }, ['fault.parameters.text must match ^[\\x20-\\x7e]{1,200}$']],
  ];
  for (const [name, parameters, messages] of rows) {
    t.throws(
      () => work(name, parameters),
      { name: 'Refusal', reason: 'parameter_invalid', message: messages.join('; ') },
      `${name} ${JSON.stringify(parameters)}`,
    );
  }
  t.end();
});

t.test('defaults make each order a new one', (t) => {
  t.same(work('task-blocked').parameters, { process: 'xidrill-a1b2c3', pid: 4321, seconds: 120 });
  t.same(work('xid').parameters, { xid: 79, surfaces: ['dcgm'] });
  t.equal(work('soft-lockup').parameters.seconds, markerNumber(marker));
  for (const text of ['000000', 'zzzzzz', marker]) {
    t.ok(markerNumber(text) >= 1000 && markerNumber(text) <= 9999, text);
  }
  t.equal(
    (order(work('task-blocked', { process: 'nvidia-smi', seconds: 300 })).body as { text: string }).text,
    'INFO: task nvidia-smi:4321 blocked for more than 300 seconds.',
  );
  t.match(
    order(work('kernel-bug', { text: '{marker} stays as it was given' })).body,
    { text: '[12345.678901] BUG: {marker} stays as it was given (xidrill a1b2c3)' },
    'a parameter is not filled in a second time',
  );
  t.end();
});

t.test('an Xid becomes an order to the agent', (t) => {
  const pci = { pci: '00000000:3B:00.0' };
  t.same(order(work('xid')), {
    method: 'InjectXid',
    body: { xid: 79, surfaces: ['dcgm'], gpu: { index: 0 } },
  });
  t.same(order(work('xid', { xid: 31, surfaces: ['kernel-log'], detail: 'x' }, pci)), {
    method: 'InjectXid',
    body: { xid: 31, surfaces: ['kernel-log'], detail: 'x', gpu: pci },
  });
  for (const [detail, reason] of [
    ['a\nb', 'text_has_newline'],
    ['é', 'text_not_ascii'],
    ['x'.repeat(973), 'text_too_long'],
  ] as const) {
    t.throws(
      () => order(work('xid', { xid: 31, surfaces: ['kernel-log'], detail })),
      { name: 'Refusal', reason, message: /^fault\.parameters\.detail: / },
      'refused before any agent is asked',
    );
  }
  t.end();
});

t.test('N7: an Xid has one range, whatever names it', (t) => {
  for (const [fault, parameters] of [
    ['xid', (xid: number) => ({ xid })],
    ['cascade', (xid: number) => ({ steps: [{ xid, afterSeconds: 0 }] })],
    ['dcgm-field', (value: number) => ({ field: 230, value })],
  ] as const) {
    t.doesNotThrow(() => order(work(fault, parameters(255))), fault);
    for (const xid of [256, 999])
      t.throws(() => order(work(fault, parameters(xid))), { name: 'Refusal' }, `${fault} ${xid}`);
  }
  t.end();
});

t.test('what no write would carry is refused, by its name', (t) => {
  const nvlink = { unit: 'SAW_MVB' };
  const kernelLog = { surfaces: ['kernel-log'] };
  const rows: readonly (readonly [fault: string, Parameters, field: string, remedy: RegExp])[] = [
    ['xid', { xid: 149, nvlink }, 'nvlink', /^add kernel-log to surfaces/],
    ['xid', { xid: 154, recoveryAction: 'none' }, 'recoveryAction', /^add kernel-log to surfaces/],
    ['xid', { xid: 45, previousXid: 79 }, 'previousXid', /^add kernel-log to surfaces/],
    ['xid', { xid: 79, mig: { gpuInstance: 1 } }, 'mig', /^add kernel-log to surfaces/],
    ['xid', { xid: 79, driver: '570' }, 'driver', /^add kernel-log to surfaces/],
    ['xid', { xid: 79, companions: 'probe' }, 'companions', /^add kernel-log to surfaces/],
    ['xid', { xid: 79, detail: '' }, 'detail', /^add kernel-log to surfaces/],
    ['xid', { xid: 79, process: { pid: 1 } }, 'process', /^add kernel-log to surfaces/],
    ['xid', { xid: 79, engine: { pid: 1 }, ...kernelLog }, 'engine', /^add dcgm to surfaces/],
    [
      'cascade',
      {
        steps: [
          { xid: 48, afterSeconds: 0 },
          { xid: 45, afterSeconds: 7, previousXid: 48 },
        ],
      },
      'steps.1.previousXid',
      /^add kernel-log to surfaces, or leave steps\.1\.previousXid out$/,
    ],
    ['cascade', { mig: { gpuInstance: 1 } }, 'mig', /^add kernel-log to surfaces/],
    ['dcgm-field', { field: 230, value: 79, reach: 'health', forSeconds: 60 }, 'forSeconds', /leave it out/],
    [
      'dcgm-field',
      { field: 319, value: 4, reach: 'health', offsetSeconds: 30 },
      'offsetSeconds',
      /^say forSeconds instead/,
    ],
  ];
  for (const [fault, parameters, name, remedy] of rows) {
    const field = `fault.parameters.${name}`;
    t.throws(
      () => order(work(fault, parameters)),
      {
        name: 'Refusal',
        reason: 'parameter_invalid',
        message: new RegExp(`^${field}: `),
        details: { field, remedy },
      },
      `${fault}: ${name}`,
    );
  }
  const taken: readonly (readonly [string, Parameters])[] = [
    ['xid', { xid: 79, companions: 'probe', surfaces: ['kernel-log', 'dcgm'], engine: { pid: 1 } }],
    ['xid', { xid: 79, companions: false }],
    ['cascade', { surfaces: ['kernel-log'], driver: '570.124' }],
    ['dcgm-field', { field: 319, value: 4, reach: 'policy', offsetSeconds: 30 }],
    [
      'dcgm-field',
      { field: 319, value: 4, reach: 'health', offsetSeconds: 30, forSeconds: 60, everySeconds: 8 },
    ],
    ['dcgm-field', { field: 230, value: 79, reach: 'health', offsetSeconds: 30 }],
  ];
  for (const [fault, parameters] of taken)
    t.doesNotThrow(() => order(work(fault, parameters)), `${fault} ${JSON.stringify(parameters)}`);
  t.end();
});

t.test('a field becomes an order only where its value does something', (t) => {
  t.same(order(work('dcgm-field', { field: 'xid_errors', value: '79', offsetSeconds: 5 })), {
    method: 'InjectDcgmField',
    body: { field: 'xid_errors', value: '79', offsetSeconds: 5, gpu: { index: 0 } },
  });
  const refused = [
    [{ field: 150, value: 79 }, 'field_value_no_effect'],
    [{ field: 'nonsense', value: 1 }, 'field_unknown'],
    [{ field: 230, value: 'abc' }, 'field_value_type'],
    [{ field: 150, value: 999 }, 'field_value_range'],
  ] as const;
  for (const [parameters, reason] of refused) {
    t.throws(() => order(work('dcgm-field', parameters)), {
      name: 'Refusal',
      reason,
      message: /^fault\.parameters\.(field|value): /,
    });
  }
  t.match(order(work('dcgm-field', { field: 150, value: 79, force: true })).body, { force: true });
  t.end();
});

t.test('what is expected follows from the version of the monitoring agent', (t) => {
  const { row } = findNmaVersion('1.6.4');
  const rows = [
    ['xid', { xid: 79 }, { kind: 'condition', type: 'AcceleratedHardwareReady', reason: 'NvidiaXID79Error' }],
    ['xid', { xid: 31 }, { kind: 'event' }],
    ['dcgm-field', { field: 230, value: 79 }, { kind: 'condition', reason: 'NvidiaXID79Error' }],
    ['task-blocked', {}, { kind: 'event', type: 'KernelReady' }],
    ['conntrack-full', {}, { type: 'KernelReady' }],
  ] as const;
  for (const [name, parameters, expected] of rows) {
    const made = work(name, parameters);
    const [found] = channelOf(made.channel).reactions(made, { nma: row, engineVersion: undefined });
    if (found === undefined) t.fail(`${name}: no reaction`);
    else {
      t.match(expectationOf(found), expected, name);
      t.ok(expectationOf(found).withinSeconds > 30);
    }
  }
  t.end();
});
