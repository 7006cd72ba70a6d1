import fc from 'fast-check';
import t from 'tap';
import { encodeKmsgWrite } from '../../shared/kmsg-record.ts';
import { parsePci, pciToSysfs, pciToXid } from '../../shared/pci.ts';
import type { XidOrder, XidStep } from '../../shared/xid/checks.ts';
import { isFrom, parseDriverVersion } from '../../shared/xid/driver.ts';
import { addressOfXidLine, parseXidLine } from '../../shared/xid/line.ts';
import { xidRecords } from '../../shared/xid/records.ts';
import { sxidRecords } from '../../shared/xid/sxid.ts';
import { textRows } from '../../shared/xid/texts.ts';
import { type SampleOrder, sxidSamples, xidSamples } from '../coordinator/catalogue/readers/xid-samples.ts';

const uuid = 'GPU-11111111-2222-3333-4444-555555555555';
const newest = '590.48.01';

function recordsOf(
  order: SampleOrder & { readonly companions?: XidOrder['companions']; readonly index?: number },
): readonly string[] {
  const { pci, driver, gpuName, index, mig, step, companions } = order;
  return xidRecords(
    step,
    { ...(mig === undefined ? {} : { mig }), ...(companions === undefined ? {} : { companions }) },
    {
      gpu: {
        pci: parsePci(pci),
        uuid,
        ...(gpuName === undefined ? {} : { name: gpuName }),
        ...(index === undefined ? {} : { index }),
      },
      ...(driver === undefined ? {} : { driverVersion: driver }),
    },
  );
}

t.test('each sample of a log comes from parameters, byte for byte', (t) => {
  t.equal(xidSamples.length, 50, 'all of the page');
  for (const [driver, origin, , line, order] of xidSamples) {
    t.same(recordsOf(order), [line], `${order.step.xid}, ${driver}, ${origin}`);
    t.doesNotThrow(() => encodeKmsgWrite('err', line), 'and can be written');
  }
  t.end();
});

/** What the line of an Xid looks like without a process, and with one, by driver. */
t.test('the shape is that of the driver', (t) => {
  const unknown = "pid='<unknown>', name=<unknown>, ";
  const process = { pid: 7, name: 'python3' };
  const rows: readonly (readonly [
    driver: string | undefined,
    xid: number,
    before: string,
    named?: string,
  ])[] = [
    ['295.40', 79, '(0000:3b:00): 79, '],
    ['346.47', 79, '(PCI:0000:3b:00): 79, '],
    ['470.256.02', 79, '(PCI:0000:3b:00): 79, '],
    ['495.29.05', 79, `(PCI:0000:3b:00): 79, ${unknown}`, '(PCI:0000:3b:00): 79, pid=7, name=python3, '],
    ['565.57.01', 79, `(PCI:0000:3b:00): 79, ${unknown}`, '(PCI:0000:3b:00): 79, pid=7, name=python3, '],
    ['570.26', 79, `(PCI:0000:3b:00): 79, ${unknown}`],
    ['570.86.15', 79, '(PCI:0000:3b:00): 79, ', '(PCI:0000:3b:00): 79, pid=7, name=python3, '],
    ['570', 79, '(PCI:0000:3b:00): 79, '],
    [newest, 79, '(PCI:0000:3b:00): 79, ', '(PCI:0000:3b:00): 79, pid=7, name=python3, '],
    [undefined, 79, '(PCI:0000:3b:00): 79, '],
    ['no version', 79, '(PCI:0000:3b:00): 79, '],
  ];
  for (const [driver, xid, before, named] of rows) {
    const order = { pci: '3b:00.0', ...(driver === undefined ? {} : { driver }) };
    const text = 'GPU has fallen off the bus.';
    t.same(recordsOf({ ...order, step: { xid } }), [`NVRM: Xid ${before}${text}`], `driver ${driver}`);
    if (named === undefined) continue;
    t.same(
      recordsOf({ ...order, step: { xid, process } }),
      [`NVRM: Xid ${named}${text}`],
      `driver ${driver}`,
    );
  }
  const asked = { pci: '3b:00.0', driver: newest, step: { xid: 999 } };
  t.same(recordsOf(asked), ['NVRM: Xid (PCI:0000:3b:00): 999,'], 'an Xid whose text nobody knows has none');
  t.same(
    xidRecords(
      { xid: 79 },
      { driver: '550.54.14' },
      { gpu: { pci: parsePci('3b:00') }, driverVersion: newest },
    ),
    [`NVRM: Xid (PCI:0000:3b:00): 79, ${unknown}GPU has fallen off the bus.`],
    'the driver of the order wins',
  );
  t.end();
});

t.test('F13: the texts of Xid 119 and 120 are the driver’s own, with the GPU’s own number', (t) => {
  const process = { pid: 2357, name: 'nv-hostengine' };
  const rows: readonly (readonly [driver: string, xid: number, text: string])[] = [
    [
      '515.43.04',
      119,
      'Timeout waiting for RPC from GSP! Expected function GSP_RM_CONTROL (0x90cc0301 0xc).',
    ],
    [
      '525.60.13',
      119,
      'Timeout waiting for RPC from GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
    ],
    [
      '535.104.05',
      119,
      'Timeout waiting for RPC from GSP3! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
    ],
    [
      '535.129.03',
      119,
      'Timeout waiting for RPC from GPU3 GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
    ],
    [
      '550.54.14',
      119,
      'Timeout after 6s of waiting for RPC response from GPU3 GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
    ],
    [
      newest,
      119,
      'Timeout after 6s of waiting for RPC response from GPU3 GSP! Expected function 76 (GSP_RM_CONTROL) sequence 412 (0x20802a02 0x8).',
    ],
    [
      '515.43.04',
      120,
      'GSP Error: Task 1 raised error code 0x5 for reason 0x0 at 0x63d0000 (0 more errors skipped)',
    ],
    [
      '575.51.02',
      120,
      'GSP task exception: load access page fault (cause:0xd) @ pc:0x1374464, partition:4#0, task:3',
    ],
  ];
  for (const [driver, xid, text] of rows)
    t.same(recordsOf({ pci: '07:00.0', driver, index: 3, step: { xid, process } }), [
      `NVRM: Xid (PCI:0000:07:00): ${xid}, pid=2357, name=nv-hostengine, ${text}`,
    ]);
  t.end();
});

t.test('parts of a line', (t) => {
  const rows: readonly (readonly [Omit<SampleOrder, 'pci'>, string])[] = [
    [
      { step: { xid: 119 } },
      '119, Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76 (GSP_RM_CONTROL) sequence 412 (0x20802a02 0x8).',
    ],
    [{ step: { xid: 45, previousXid: 145 } }, '45, Ch 00000001 caused by previous Xid 145'],
    [{ step: { xid: 45, previousXid: 145, detail: 'Ch 9' } }, '45, Ch 9 caused by previous Xid 145'],
    [
      { step: { xid: 154, recoveryAction: 'node-reboot' } },
      '154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)',
    ],
    [
      { step: { xid: 154, recoveryAction: 'drain-p2p' } },
      '154, GPU recovery action changed from 0x0 (None) to 0x3 (Drain P2P)',
    ],
    [
      { step: { xid: 154, recoveryAction: 'none' } },
      '154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)',
    ],
    [
      { step: { xid: 149 } },
      '149, NETIR_LINK_EVT Fatal XC0 i1 Link 00 (0x004525c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)',
    ],
    [{ step: { xid: 154 }, driver: '550.54.14' }, "154, pid='<unknown>', name=<unknown>,"],
    [{ step: { xid: 149 }, driver: '550.54.14' }, "149, pid='<unknown>', name=<unknown>,"],
    [{ step: { xid: 95 }, driver: '575.51.02' }, '95, Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No'],
    [{ step: { xid: 43, detail: '' } }, '43,'],
  ];
  for (const [order, tail] of rows) {
    t.same(recordsOf({ pci: '3b:00', driver: newest, ...order }), [`NVRM: Xid (PCI:0000:3b:00): ${tail}`]);
  }
  const mig = { gpuInstance: 5, computeInstance: 0 };
  t.same(recordsOf({ pci: '3b:00', mig, step: { xid: 43 } }), [
    'NVRM: Xid (PCI:0000:3b:00 GPU-I:05 GPU-CI:00): 43, Ch 00000008',
  ]);
  for (const gpuName of [
    'NVIDIA GB200',
    'NVIDIA B300 SXM6 AC',
    'NVIDIA RTX PRO 6000 Blackwell Server Edition',
  ])
    t.match(recordsOf({ pci: '3b:00', gpuName, step: { xid: 136 } }), [/links 0x3f/], gpuName);
  for (const gpuName of ['NVIDIA H200', 'NVIDIA L40S', 'NVIDIA RTX 5000 Ada Generation'])
    t.match(recordsOf({ pci: '3b:00', gpuName, step: { xid: 136 } }), [/link 5\(/], gpuName);
  t.end();
});

t.test('what a driver prints beside an Xid', (t) => {
  const introduction = `NVRM: GPU at PCI:0000:3b:00: ${uuid}`;
  const fallen = 'NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.';
  const order = { pci: '3b:00', driver: newest };
  t.same(recordsOf({ ...order, companions: false, step: { xid: 79 } }), [fallen]);
  t.same(recordsOf({ ...order, companions: true, step: { xid: 43 } }), [
    introduction,
    'NVRM: Xid (PCI:0000:3b:00): 43, Ch 00000008',
  ]);
  const after79 = [introduction, fallen, 'NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.'];
  t.same(recordsOf({ ...order, companions: true, step: { xid: 79 } }), after79);
  t.same(recordsOf({ ...order, companions: 'probe', step: { xid: 79 } }), [
    ...after79,
    'NVRM: The NVIDIA GPU 0000:3b:00.0',
    'NVRM: (PCI ID: 10de:2330) installed in this system has',
    'NVRM: fallen off the bus and is not responding to commands.',
  ]);
  t.throws(() => xidRecords({ xid: 79 }, { companions: true }, { gpu: { pci: parsePci('3b:00') } }), {
    name: 'Refusal',
    reason: 'gpu_unknown',
    details: { field: 'companions' },
  });
  t.throws(() => xidRecords({ xid: 79 }, {}, { gpu: { uuid } }), {
    name: 'Refusal',
    reason: 'gpu_unknown',
    details: { field: 'gpu' },
  });
  t.end();
});

t.test('what no driver prints is refused, by the name of its field', (t) => {
  const rows: readonly (readonly [field: string, step: XidStep, order?: XidOrder, allowed?: unknown])[] = [
    ['nvlink', { xid: 79, nvlink: {} }, {}, { xid: [144, 145, 146, 147, 148, 149, 150] }],
    ['nvlink', { xid: 149, nvlink: {} }, { driver: '565.57.01' }, { driver: '570 and later' }],
    ['recoveryAction', { xid: 31, recoveryAction: 'gpu-reset' }, {}, { xid: [154] }],
    ['recoveryAction', { xid: 154, recoveryAction: 'none' }, { driver: '565.57.01' }],
    ['previousXid', { xid: 31, previousXid: 145 }, {}, { xid: [45] }],
    ['previousXid', { xid: 45, previousXid: 145 }, { driver: '570.86.15' }, { driver: '570.124 and later' }],
    ['mig', { xid: 94 }, { driver: '440.33.01', mig: { gpuInstance: 5 } }, { driver: '450 and later' }],
    ['companions', { xid: 43 }, { companions: 'probe' }, { xid: [79] }],
    ['detail', { xid: 149, nvlink: {}, detail: 'x' }, {}, 'detail or nvlink'],
    ['detail', { xid: 154, recoveryAction: 'none', detail: 'x' }, {}, 'detail or recoveryAction'],
    ['process.pid', { xid: 79, process: { pid: 7 } }, { driver: '295.40' }],
    [
      'process.name',
      { xid: 79, process: { pid: 7, name: 'a' } },
      { driver: '470.82.01' },
      { process: ['pid'] },
    ],
  ];
  for (const [field, step, order = {}, allowed] of rows) {
    t.throws(
      () => xidRecords(step, order, { gpu: { pci: parsePci('3b:00'), uuid }, driverVersion: newest }),
      {
        name: 'Refusal',
        reason: 'parameter_invalid',
        message: new RegExp(`^${field}: `),
        details: { field, remedy: /./, ...(allowed === undefined ? {} : { allowed }) },
      },
      `${field} of ${JSON.stringify(step)}`,
    );
  }
  t.end();
});

t.test('driver versions are compared part by part', (t) => {
  const rows = [
    ['570.86.15', '570.86', true],
    ['570.86', '570.86.15', true],
    ['570.85.99', '570.86', false],
    ['570.124.04', '570.124', true],
    ['570.86.16', '570.124', false],
    ['1000.1', '590', true],
    ['580', '580.105.08', true],
  ] as const;
  for (const [version, from, expected] of rows)
    t.equal(isFrom(parseDriverVersion(version), from), expected, `${version} from ${from}`);
  t.end();
});

t.test('every text can be written and read back as the Xid that it is', (t) => {
  const process = { pid: 4194304, name: 'x'.repeat(64) };
  for (const { xid, from, below } of textRows) {
    const driver = from ?? (below === '300' ? '295.40' : below === undefined ? newest : '580.105.08');
    const step = driver === '295.40' ? { xid } : { xid, process };
    const [line = ''] = recordsOf({ pci: '3b:00', driver, step });
    t.doesNotThrow(() => encodeKmsgWrite('err', line), `Xid ${xid}`);
    t.same(parseXidLine(line), { address: '0000:3b:00', xid });
  }
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 65535 }),
      fc.constantFrom('295.40', '346.47', '470.82.01', '550.54.14', '570.86.15', '580.105.08', newest),
      fc.integer({ min: 0, max: 0xffff }),
      (xid, driver, domain) => {
        const pci = { domain, bus: 0x3b, device: 0x1f, function: 1 };
        const [line = ''] = recordsOf({ pci: pciToSysfs(pci), driver, step: { xid } });
        t.same(parseXidLine(line), { address: pciToXid(pci), xid });
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

t.test('every reader’s spelling is parsed', (t) => {
  const rows = [
    ['NVRM: Xid (0000:3b:00): 13, x', '0000:3b:00', 13],
    ['kernel: NVRM: Xid (PCI:0000:3b:00.0): 79', '0000:3b:00.0', 79],
    ['NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, Contained', '0000:01:00', 94],
  ] as const;
  for (const [text, address, xid] of rows) t.same(parseXidLine(text), { address, xid }, text);
  for (const text of [
    '',
    'NVRM: GPU at PCI:0000:3b:00: GPU-1',
    'Xid (PCI:0000:3b:00): 79, x',
    'SXid (PCI:0000:05:00.0): 12028, x',
    // What only begins like a number.
    ...['1e3', '79a', '0x4f', '7.9', '-79', '79_'].map((xid) => `NVRM: Xid (PCI:0000:3b:00): ${xid}, x`),
  ])
    t.equal(parseXidLine(text), undefined, `${text}: none`);
  t.same(addressOfXidLine('0000:3b:00'), parsePci('3b:00'));
  t.equal(addressOfXidLine('::::'), undefined);
  t.end();
});

t.test('an SXid is three lines with the same five digits', (t) => {
  const fatal = sxidRecords({ sxid: 20034, switch: { index: 0, pci: '0000:00:00.0' }, link: 30 });
  t.same(fatal, [
    'nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Fatal, Link 30 LTSSM Fault Up',
    'nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Severity 1 Engine instance 30 Sub-engine instance 00',
    'nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Data {0x50610002, 0x10100030}',
  ]);
  const own = sxidRecords({
    sxid: 10001,
    switch: { index: 5, pci: '0000:A9:00.1' },
    severity: 'Non-fatal',
    detail: 'Host_priv_timeout',
  });
  t.equal(own[0], 'nvidia-nvswitch5: SXid (PCI:0000:a9:00.1): 10001, Non-fatal, Link 00 Host_priv_timeout');
  t.match(own[1], /10001, Severity 0 /);
  t.throws(() => sxidRecords({ sxid: 10002, switch: { index: 0, pci: '05:00.0' } }), {
    name: 'Refusal',
    reason: 'parameter_invalid',
    details: { field: 'detail', allowed: { sxid: [11001, 12028, 20034, 22013, 28002] } },
  });
  t.throws(() => sxidRecords({ sxid: 20034, switch: { index: 0, pci: 'x' } }), {
    name: 'Refusal',
    reason: 'gpu_address_malformed',
    details: { field: 'switch.pci' },
  });
  t.end();
});

t.test('each SXid sample that a driver prints comes from parameters', (t) => {
  const orders = [
    { sxid: 12028, switch: { index: 3, pci: '0000:05:00.0' }, link: 32 },
    { sxid: 20034, switch: { index: 0, pci: '0000:00:00.0' }, link: 30 },
    { sxid: 20034, switch: { index: 2, pci: '0000:07:00.0' }, link: 37 },
    { sxid: 20034, switch: { index: 0, pci: '0000:a9:00.0' }, link: 30 },
    { sxid: 22013, switch: { index: 1, pci: '0000:0a:00.0' }, link: 57 },
    { sxid: 28002, switch: { index: 0, pci: '0000:00:00.0' }, link: 29 },
  ];
  // The seventh names no link: it is a made-up line of the fleet agent's tests.
  for (const [index, order] of orders.entries()) {
    const [, line = ''] = sxidSamples[index] ?? [];
    t.ok(sxidRecords(order).includes(line), line);
  }
  t.end();
});
