import t from 'tap';
import { gpus, startRig } from '../rig.ts';

const [gpu] = gpus;
const absent = { pci: '0000:77:00.0' };
const xid = { gpu: { pci: gpu.pci }, xid: 31, surfaces: ['kernel-log'] };
const field = { gpu: { index: 0 }, field: 150, value: 101 };
const cascade = { gpu: { pci: gpu.pci }, surfaces: ['kernel-log'] };
const step = (xid: number, afterSeconds: number) => ({ xid, afterSeconds });
const sxid = { sxid: 12028, switch: { index: 0, pci: '0000:05:00.0' } };
const line = (body: string) => ({ text: `NVRM: Xid (PCI:0000:3b:00): ${body}` });

/** What is sent, and the reason, the field and the status that come back. */
const rows: readonly (readonly [
  string,
  method: string,
  body: unknown,
  reason: string,
  field: string,
  status?: number,
])[] = [
  // the text of a record
  ['a line break', 'WriteKernelMessage', { text: 'a\nb' }, 'text_has_newline', 'text'],
  ['a control byte', 'WriteKernelMessage', { text: 'a\u001b[31m' }, 'text_has_control_bytes', 'text'],
  ['a letter that is not ASCII', 'WriteKernelMessage', { text: 'Übung' }, 'text_not_ascii', 'text'],
  ['over-length', 'WriteKernelMessage', { text: 'x'.repeat(973) }, 'text_too_long', 'text'],
  ['far over-length', 'WriteKernelMessage', { text: 'x'.repeat(8193) }, 'malformed_request', 'text'],
  ['an empty text', 'WriteKernelMessage', { text: '' }, 'text_empty', 'text'],
  ['no text', 'WriteKernelMessage', {}, 'malformed_request', 'text'],
  ['no body', 'WriteKernelMessage', '', 'malformed_request', 'text'],
  [
    'a level that does not exist',
    'WriteKernelMessage',
    { text: 'a', level: 'fatal' },
    'malformed_request',
    'level',
  ],
  ['a line break in the detail', 'InjectXid', { ...xid, detail: 'a\nb' }, 'text_has_newline', 'detail'],
  ['a long detail', 'InjectXid', { ...xid, detail: 'x'.repeat(601) }, 'malformed_request', 'detail'],
  [
    'a line break in the process name',
    'InjectXid',
    { ...xid, process: { pid: 1, name: 'a\nb' } },
    'text_has_newline',
    'process.name',
  ],

  // Xids that a host engine reads
  ['Xid 119 of a GPU', 'InjectXid', { ...xid, xid: 119 }, 'xid_wedges_engine', 'xid'],
  [
    'Xid 119 with a yes to the risk',
    'InjectXid',
    { ...xid, xid: 119, acceptRisk: true },
    'xid_wedges_engine',
    'xid',
  ],
  [
    'Xid 119 behind another number',
    'InjectXid',
    { ...xid, detail: 'x): 119, y' },
    'xid_wedges_engine',
    'xid',
  ],
  [
    'Xid 119 in a process name',
    'InjectXid',
    { ...xid, process: { pid: 1, name: 'x): 119, y' } },
    'xid_wedges_engine',
    'xid',
  ],
  ['Xid 119 by hand', 'WriteKernelMessage', line('119, Timeout'), 'xid_wedges_engine', 'text'],
  [
    'by hand, in the middle of a text',
    'WriteKernelMessage',
    { text: `hello;${line('119, x').text}` },
    'xid_wedges_engine',
    'text',
  ],
  ['by hand, with zeros', 'WriteKernelMessage', line('0119, x'), 'xid_wedges_engine', 'text'],
  [
    'by hand, with 32 bits to spare',
    'WriteKernelMessage',
    line('4294967415, x'),
    'xid_wedges_engine',
    'text',
  ],
  [
    'by hand, in capitals',
    'WriteKernelMessage',
    { text: 'NVRM: Xid (PCI:0000:3B:00): 119, x' },
    'xid_wedges_engine',
    'text',
  ],
  [
    'by hand, without a domain',
    'WriteKernelMessage',
    { text: 'NVRM: Xid (PCI:3b:00.0): 119, x' },
    'xid_wedges_engine',
    'text',
  ],
  [
    'by hand, with an address of no spelling',
    'WriteKernelMessage',
    { text: 'NVRM: Xid (PCI:0:3b:0): 119, x' },
    'xid_wedges_engine',
    'text',
  ],
  [
    'by hand, of a MIG slice',
    'WriteKernelMessage',
    { text: 'NVRM: Xid (PCI:0000:3b:00 GPU-I:05): 119, x' },
    'xid_wedges_engine',
    'text',
  ],
  ['Xid 79', 'InjectXid', { ...xid, xid: 79 }, 'risk_not_accepted', 'acceptRisk'],
  [
    'Xid 120 without a yes',
    'InjectXid',
    { ...xid, xid: 120, acceptRisk: false },
    'risk_not_accepted',
    'acceptRisk',
  ],
  ['Xid 79 by hand', 'WriteKernelMessage', line('79, x'), 'risk_not_accepted', 'acceptRisk'],

  [
    'Xid 119 in a cascade',
    'InjectCascade',
    { ...cascade, steps: [step(119, 0)] },
    'xid_wedges_engine',
    'steps',
  ],
  [
    'Xid 119 as a later step',
    'InjectCascade',
    { ...cascade, steps: [step(48, 0), step(119, 60)] },
    'xid_wedges_engine',
    'steps',
  ],
  [
    'Xid 79 in a cascade',
    'InjectCascade',
    { ...cascade, steps: [step(79, 0)] },
    'risk_not_accepted',
    'acceptRisk',
  ],
  [
    'Xid 119 in the text of an SXid',
    'InjectSxid',
    { ...sxid, detail: 'NVRM: Xid (PCI:0000:3b:00): 119, x' },
    'xid_wedges_engine',
    'detail',
  ],
  [
    'Xid 119 in a line of the journal',
    'WriteJournalMessage',
    { identifier: 'kubelet', ...line('119, x') },
    'xid_wedges_engine',
    'text',
  ],

  // scripts
  [
    'a step before the one in front of it',
    'InjectCascade',
    { ...cascade, steps: [step(48, 7), step(63, 6)] },
    'malformed_request',
    'steps.1.afterSeconds',
  ],
  [
    'an alert that would be dropped',
    'InjectCascade',
    { ...cascade, surfaces: ['dcgm'], steps: [step(48, 0), step(63, 6), step(94, 11.9)] },
    'alert_gap_too_short',
    'steps.2.afterSeconds',
  ],
  ['no steps', 'InjectCascade', { ...cascade, steps: [] }, 'malformed_request', 'steps'],
  [
    'too many steps',
    'InjectCascade',
    { ...cascade, steps: Array.from({ length: 33 }, () => step(48, 0)) },
    'malformed_request',
    'steps',
  ],
  [
    'a step after the longest time',
    'InjectCascade',
    { ...cascade, steps: [step(48, 3601)] },
    'malformed_request',
    'steps.0.afterSeconds',
  ],

  // what nothing that is written would say
  [
    'a MIG device on the engine alone',
    'InjectXid',
    { ...xid, surfaces: ['dcgm'], mig: { gpuInstance: 1 } },
    'parameter_invalid',
    'mig',
  ],
  [
    'a previous Xid on the engine alone',
    'InjectCascade',
    { ...cascade, surfaces: ['dcgm'], steps: [{ ...step(45, 0), previousXid: 79 }] },
    'parameter_invalid',
    'steps.0.previousXid',
  ],
  [
    'an engine for the kernel log',
    'InjectXid',
    { ...xid, engine: { pid: 1 } },
    'parameter_invalid',
    'engine',
  ],
  [
    'an offset of what is held',
    'InjectDcgmField',
    { ...field, reach: 'health', offsetSeconds: 5 },
    'parameter_invalid',
    'offsetSeconds',
  ],

  // what lasts
  [
    'longer than allowed',
    'InjectDcgmField',
    { ...field, forSeconds: 3601 },
    'malformed_request',
    'forSeconds',
  ],
  [
    'a beat without an end',
    'InjectDcgmField',
    { ...field, everySeconds: 9 },
    'malformed_request',
    'everySeconds',
  ],
  [
    'a beat too slow',
    'InjectDcgmField',
    { ...field, forSeconds: 60, everySeconds: 21 },
    'malformed_request',
    'everySeconds',
  ],
  [
    'a beat that the engine would not tell',
    'InjectDcgmField',
    { ...field, forSeconds: 60, everySeconds: 5 },
    'alert_gap_too_short',
    'everySeconds',
  ],
  ['a pause without an end', 'PauseHostEngine', {}, 'malformed_request', 'forSeconds'],
  ['a pause too long', 'PauseHostEngine', { forSeconds: 3601 }, 'malformed_request', 'forSeconds'],
  [
    'lines over more than an hour',
    'AppendLogLine',
    { file: 'ipamd', text: 'a', times: 20, gapSeconds: 600 },
    'malformed_request',
    'gapSeconds',
  ],

  // logs
  [
    'a line break in a log line',
    'AppendLogLine',
    { file: 'ipamd', text: 'a\nb' },
    'text_has_newline',
    'text',
  ],
  ['another file', 'AppendLogLine', { file: '/etc/passwd', text: 'a' }, 'malformed_request', 'file'],
  ['a file that is not there', 'AppendLogLine', { file: 'cron', text: 'a' }, 'log_file_missing', 'file'],
  ['a long log line', 'AppendLogLine', { file: 'ipamd', text: 'x'.repeat(901) }, 'malformed_request', 'text'],
  [
    'another identifier',
    'WriteJournalMessage',
    { identifier: 'sshd', text: 'a' },
    'malformed_request',
    'identifier',
  ],
  [
    'a line break for the journal',
    'WriteJournalMessage',
    { identifier: 'kubelet', text: 'a\nb' },
    'text_has_newline',
    'text',
  ],

  // which GPU
  ['an unknown index', 'InjectXid', { ...xid, gpu: { index: 7 } }, 'gpu_unknown', 'gpu.index', 404],
  ['an unknown uuid', 'InjectXid', { ...xid, gpu: { uuid: 'GPU-0' } }, 'gpu_unknown', 'gpu.uuid', 404],
  ['an address that is no GPU', 'InjectXid', { ...xid, gpu: absent }, 'gpu_unknown', 'gpu.pci', 404],
  ['another function', 'InjectXid', { ...xid, gpu: { pci: '3b:00.1' } }, 'gpu_unknown', 'gpu.pci', 404],
  [
    'a malformed address',
    'InjectXid',
    { ...xid, gpu: { pci: '0000:3b:0' } },
    'gpu_address_malformed',
    'gpu.pci',
  ],
  [
    'an address with a line break',
    'InjectXid',
    { ...xid, gpu: { pci: '3b:00.0\n' } },
    'gpu_address_malformed',
    'gpu.pci',
  ],
  ['two selectors', 'InjectXid', { ...xid, gpu: { index: 0, pci: gpu.pci } }, 'malformed_request', 'gpu'],
  ['no selector', 'InjectXid', { ...xid, gpu: {} }, 'malformed_request', 'gpu'],
  ['an unknown selector', 'InjectXid', { ...xid, gpu: { minor: 0 } }, 'malformed_request', 'gpu.minor'],
  ['a negative index', 'InjectXid', { ...xid, gpu: { index: -1 } }, 'malformed_request', 'gpu.index'],

  // the rest of an Xid
  ['Xid 0', 'InjectXid', { ...xid, xid: 0 }, 'malformed_request', 'xid'],
  ['a fraction', 'InjectXid', { ...xid, xid: 31.5 }, 'malformed_request', 'xid'],
  ['a number as text', 'InjectXid', { ...xid, xid: '31' }, 'malformed_request', 'xid'],
  ['no surface', 'InjectXid', { ...xid, surfaces: [] }, 'malformed_request', 'surfaces'],
  ['an unknown surface', 'InjectXid', { ...xid, surfaces: ['nvml'] }, 'malformed_request', 'surfaces.0'],
  ['a surface twice', 'InjectXid', { ...xid, surfaces: ['dcgm', 'dcgm'] }, 'malformed_request', 'surfaces'],
  [
    'a process with an empty name',
    'InjectXid',
    { ...xid, process: { pid: 1, name: '' } },
    'malformed_request',
    'process.name',
  ],

  // DCGM fields
  ['an unknown field', 'InjectDcgmField', { ...field, field: 9999 }, 'field_unknown', 'field'],
  ['an unknown name', 'InjectDcgmField', { ...field, field: 'gpu_tempo' }, 'field_unknown', 'field'],
  ['text in a whole number', 'InjectDcgmField', { ...field, value: '12abc' }, 'field_value_type', 'value'],
  [
    'a value that no hardware has',
    'InjectDcgmField',
    { ...field, value: 70000 },
    'field_value_range',
    'value',
  ],
  ['a fraction in a whole number', 'InjectDcgmField', { ...field, value: 1.5 }, 'field_value_type', 'value'],
  ['more than 64 bits', 'InjectDcgmField', { ...field, value: '9'.repeat(20) }, 'field_value_type', 'value'],
  ['true for a value', 'InjectDcgmField', { ...field, value: true }, 'malformed_request', 'value'],
  ['null for a value', 'InjectDcgmField', { ...field, value: null }, 'malformed_request', 'value'],
  ['a binary field', 'InjectDcgmField', { ...field, field: 61, value: 1 }, 'field_not_injectable', 'value'],
  ['a value nobody reacts to', 'InjectDcgmField', { ...field, value: 20 }, 'field_value_no_effect', 'value'],
  ['a long offset', 'InjectDcgmField', { ...field, offsetSeconds: 601 }, 'offset_too_large', 'offsetSeconds'],
  [
    'an unknown field to look at',
    'IntrospectDcgmField',
    { ...field, field: 0.5, value: undefined },
    'malformed_request',
    'field',
  ],

  // requests
  ['an unknown member', 'InjectXid', { ...xid, force_: true }, 'malformed_request', 'force_'],
  [
    'a prototype',
    'InjectXid',
    `{"__proto__":{},${JSON.stringify(xid).slice(1)}`,
    'malformed_request',
    '__proto__',
  ],
  ['not JSON', 'InjectXid', '{"gpu":', 'malformed_request', 'body'],
  ['a list', 'InjectXid', [], 'malformed_request', 'body'],
  ['null', 'InjectXid', 'null', 'malformed_request', 'body'],
  ['a body too large', 'InjectXid', { text: 'x'.repeat(65536) }, 'body_too_large', 'body', 413],
  ['an unknown method', 'Reboot', {}, 'method_unknown', 'path', 404],
  ['a method with a slash', 'InjectXid/', {}, 'method_unknown', 'path', 404],
  ['an argument where there is none', 'ListGpus', { all: true }, 'malformed_request', 'all'],
  [
    'an order id that leaves the folder',
    'WriteKernelMessage',
    { text: 'a', orderId: '../a' },
    'malformed_request',
    'orderId',
  ],
  ['a hidden order id', 'GetReceipt', { orderId: '.a' }, 'malformed_request', 'orderId'],
  ['a long order id', 'GetReceipt', { orderId: 'a'.repeat(129) }, 'malformed_request', 'orderId'],
  ['an unknown order', 'GetReceipt', { orderId: 'nobody' }, 'order_unknown', 'orderId', 404],
  ['an unknown order to stop', 'StopInjection', { orderId: 'nobody' }, 'order_unknown', 'orderId', 404],
  ['a tail without an end', 'TailKernelLog', { limit: 0 }, 'malformed_request', 'limit'],
];

t.test('each wrong request is refused with its own code, and nothing is written', async (t) => {
  const rig = await startRig(t);
  const samples = () => gpus.flatMap(({ dcgmId }) => [150, 230].map((id) => rig.engine.facts(dcgmId, id)));
  const before = samples();
  for (const [name, method, body, reason, field, status = 400] of rows) {
    const answer = await rig.call(method, body);
    t.match(answer, { status, body: { details: { reason, field } } }, name);
    t.notSame(answer.body.message, '', `${name}: says why`);
    if (
      reason !== 'body_too_large' &&
      reason !== 'method_unknown' &&
      reason !== 'field_value_no_effect' &&
      reason !== 'log_file_missing'
    ) {
      t.ok(
        answer.body.message.includes(field),
        `${name}: the message names ${field}: ${answer.body.message}`,
      );
    }
  }
  t.same(rig.kernelLog.records(), [], 'the kernel log is empty');
  t.same(rig.journalFiles(), [], 'and so is the journal');
  t.same(samples(), before, 'and the host engine was left alone');
});

t.test('a disarmed agent refuses every injection', async (t) => {
  const rig = await startRig(t, { armed: false });
  const orders = [
    ['WriteKernelMessage', { text: 'a' }],
    ['InjectXid', { ...xid, surfaces: ['kernel-log', 'dcgm'] }],
    ['InjectDcgmField', field],
    ['InjectCascade', { ...cascade, steps: [step(48, 0)] }],
    ['InjectSxid', sxid],
    ['WriteJournalMessage', { identifier: 'kubelet', text: 'a' }],
    ['AppendLogLine', { file: 'ipamd', text: 'a' }],
    ['PauseHostEngine', { forSeconds: 1 }],
  ] as const;
  for (const [method, body] of orders) {
    t.match(
      await rig.call(method, body),
      { status: 400, body: { code: 'failed_precondition', details: { reason: 'disarmed' } } },
      method,
    );
  }
  t.same([rig.kernelLog.records(), rig.journalFiles()], [[], []]);
  t.match(await rig.call('GetInventory'), { status: 200, body: { armed: false } });
});

t.test('a node whose NVML does not answer', async (t) => {
  const rig = await startRig(t, { nvmlBroken: 'no driver', engines: 'none' });
  t.match(
    await rig.call('WriteKernelMessage', { text: 'NVRM: Xid (PCI:ffff:1f:00): 119, x' }),
    { status: 400, body: { message: /NVML cannot say/, details: { reason: 'xid_wedges_engine' } } },
    'any address may be a GPU',
  );
  t.match(
    await rig.call('InjectXid', { ...xid, gpu: { index: 0 } }),
    { status: 404, body: { message: /only a PCI address/, details: { reason: 'gpu_unknown' } } },
    'an index cannot be resolved',
  );
  t.match(
    await rig.call('InjectXid', { ...xid, gpu: { pci: '0000:77:00.0' } }),
    { status: 200, body: { surfaces: [{ notes: [/was not checked .* no driver/] }] } },
    'an address is taken as it is, and the receipt says so',
  );
});

t.test('an address that NVML knows to be no GPU may carry what a host engine would act on', async (t) => {
  const rig = await startRig(t);
  const text = 'NVRM: Xid (PCI:0000:77:00): 119, x';
  t.match(await rig.call('WriteKernelMessage', { text }), {
    status: 200,
    body: { surfaces: [{ written: text }] },
  });
  const yes = await rig.call('InjectXid', { ...xid, xid: 79, acceptRisk: true });
  t.match(yes, {
    status: 200,
    body: { surfaces: [{ outcome: 'injected', written: /: 79, GPU has fallen/ }] },
  });
  t.equal(rig.kernelLog.records().length, 2);
});

t.test('many faults are counted, not all told', async (t) => {
  const rig = await startRig(t);
  const body = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`f${index}`, 1]));
  const { body: answer } = await rig.call('ListGpus', body);
  t.match(answer.message, /and 2980 more$/);
  t.ok(JSON.stringify(answer).length < 5000);
});
