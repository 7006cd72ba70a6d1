import t from 'tap';
import { addressIsGpu, identifyGpu, type NvmlAnswer } from '../../../shared/gpu-identity.ts';
import { pciToNvml } from '../../../shared/pci.ts';
import type { GpuFacts } from '../../../shared/schemas/inventory.ts';
import { assertKernelLogRisk } from '../../../shared/xid/guard.ts';

const silent: NvmlAnswer = { available: false, because: 'no driver' };

function nvml(...addresses: readonly string[]): NvmlAnswer {
  const gpus = addresses.map((pci, index) => ({ index, pci, uuid: pci === '' ? '' : `GPU-${index}` }));
  return { available: true, driverVersion: '580', gpus: gpus as unknown as GpuFacts[] };
}

function engine(...addresses: readonly string[]) {
  return { pid: 1, gpus: addresses.map((pci, id) => ({ id, pci, uuid: `GPU-${id}`, name: 'A10G' })) };
}

t.test('a GPU is found in NVML, else in what the host engines list, else taken by its address', (t) => {
  const rows = [
    [{ index: 0 }, nvml('00000000:3B:00.0'), [], 'GPU-0', 0],
    [{ pci: '3b:00.0' }, nvml('00000000:3B:00.0'), [], 'GPU-0', 0],
    [{ pci: '3b:00.0' }, silent, [engine('00000000:3B:00.0')], 'GPU-0', 1],
    [{ uuid: 'gpu-1' }, silent, [engine('<<<NULL>>>', '00000000:3B:00.0')], 'GPU-1', 1],
    [{ pci: '3b:00.0' }, silent, [], '00000000:3B:00.0', 1],
    [{ index: 0 }, silent, [engine('<<<NULL>>>', '00000000:3B:00.0')], 'GPU-1', 1],
    [{ index: 0 }, silent, [engine('<<<NULL>>>'), engine('00000000:3B:00.0')], 'GPU-0', 1],
    [{ pci: '3b:00.0' }, silent, [engine('<<<NULL>>>', 'ERR!')], '00000000:3B:00.0', 1],
  ] as const;
  for (const [selector, answer, engines, name, notes] of rows) {
    const gpu = identifyGpu(selector, answer, engines);
    t.equal(
      gpu.uuid ?? (gpu.pci === undefined ? undefined : pciToNvml(gpu.pci)),
      name,
      `${JSON.stringify(selector)} is ${name}`,
    );
    t.equal(gpu.notes.length, notes, 'and what is not sure is noted');
  }
  t.end();
});

t.test('what cannot be found is refused with what there is', (t) => {
  const rows = [
    [
      { index: 1 },
      nvml('00000000:3B:00.0'),
      [],
      /gpu\.index: no GPU 1; this node has 0 GPU-0 00000000:3B:00\.0/,
    ],
    [{ index: 0 }, nvml(), [], /this node has no GPU/],
    [{ pci: '3c:00' }, nvml('00000000:3B:00.0'), [], /gpu\.pci: no GPU 3c:00/],
    [{ index: 1 }, nvml('00000000:3B:00.0', ''), [], /no GPU 1/],
    [{ index: 1 }, silent, [engine('00000000:3B:00.0')], /the host engines list GPU-0 00000000:3B/],
    [
      { index: 0 },
      silent,
      [engine('ERR!')],
      /^gpu\.index: no GPU 0, which is taken where no GPU was named; NVML/,
    ],
    [{ pci: '3c:00' }, silent, [engine('00000000:3B:00.0')], /the host engines list GPU-0/],
    [{ uuid: 'GPU-0' }, silent, [], /only a PCI address/],
    [{ index: 0 }, silent, [], /^gpu\.index: no GPU 0, which is taken where no GPU was named; NVML/],
    [{ index: 1 }, silent, [], /^gpu\.index: no GPU 1; NVML/],
  ] as const;
  for (const [selector, answer, engines, message] of rows) {
    t.throws(() => identifyGpu(selector, answer, engines), {
      name: 'Refusal',
      reason: 'gpu_unknown',
      message,
    });
  }
  t.end();
});

t.test('R8: without NVML the first GPU is that of the monitoring agent’s engine, and a note says so', (t) => {
  const other = { ...engine('00000000:0A:00.0'), pid: 7, nma: { listening: false, evidence: 'none' } };
  const listened = {
    pid: 9,
    nma: { listening: true, evidence: 'field group "watch"' },
    gpus: [
      { id: 3, pci: '00000000:0C:00.0', uuid: 'GPU-c', name: 'A10G' },
      { id: 1, pci: '00000000:0B:00.0', uuid: 'GPU-b', name: 'A10G' },
    ],
  };
  for (const engines of [
    [other, listened],
    [listened, other],
  ])
    t.match(identifyGpu({ index: 0 }, silent, engines), {
      uuid: 'GPU-b',
      index: undefined,
      notes: [/the host engine with pid 9, where it is GPU 1, because NVML does not answer: no driver/],
    });
  t.match(identifyGpu({ index: 0 }, silent, [other]), { uuid: 'GPU-0', notes: [/pid 7/] });
  t.end();
});

t.test('only NVML’s own list can say that an address is no GPU', (t) => {
  const here = nvml('00000000:3B:00.0', '00000001:00:1F.0');
  const rows = [
    ['0000:3b:00', here, 'yes'],
    ['0000:3B:00.0', here, 'yes'],
    ['3b:00', here, 'yes'],
    ['0000:3b:00.1', here, 'yes'],
    ['0001:00:1f', here, 'yes'],
    ['0000:00:1f', here, 'no'],
    ['0:3b:0', here, 'unknown'],
    ['', here, 'unknown'],
    ['0000:00:1f', silent, 'unknown'],
    ['0000:00:1f', nvml('00000000:3B:00.0', ''), 'unknown'],
    ['0000:00:1f', nvml(), 'no'],
  ] as const;
  for (const [address, answer, expected] of rows) t.equal(addressIsGpu(address, answer), expected, address);
  t.end();
});

t.test('the guard reads a text as the least careful reader would', (t) => {
  const isGpu = (address: string) => (address === '0000:77:00' ? 'no' : 'unknown');
  const rows = [
    ['NVRM: Xid (PCI:0000:3b:00): 31, x', undefined],
    ['nothing about any Xid: 119', undefined],
    ['NVRM: Xid (PCI:0000:77:00): 119, x', undefined],
    ['NVRM: Xid (PCI:0000:3b:00): 1190, x', undefined],
    ['NVRM: Xid (PCI:0000:3b:00): 31, pid=119, name=x, Ch 119', undefined],
    ['NVRM: Xid (PCI:0000:3b:00): 119, x', 'xid_wedges_engine'],
    ['NVRM: Xid (0000:3b:00): 119, x', 'xid_wedges_engine'],
    ['NVRM: Xid (PCI: 0000:3b:00): 119', 'xid_wedges_engine'],
    ['NVRM: Xid (PCI:0000:3b:00): 31, NVRM: Xid (PCI:0000:3b:00): 119, x', 'xid_wedges_engine'],
    ['NVRM: Xid (PCI:0000:77:00): 31;NVRM: Xid (PCI:0000:3b:00): 119, x', 'xid_wedges_engine'],
    ['NVRM: Xid (PCI:0000:3b:00): 79, x', 'risk_not_accepted'],
    ['NVRM: Xid (PCI:0000:3b:00): 31, a): 120, x', 'risk_not_accepted'],
  ] as const;
  for (const [text, reason] of rows) {
    const look = () => assertKernelLogRisk(text, { acceptRisk: false, isGpu, xidField: 'text' });
    if (reason === undefined) t.doesNotThrow(look, text);
    else t.throws(look, { name: 'Refusal', reason }, text);
    const accepted = () => assertKernelLogRisk(text, { acceptRisk: true, isGpu, xidField: 'text' });
    if (reason === 'xid_wedges_engine')
      t.throws(accepted, { name: 'Refusal', reason }, `${text}: also with a yes`);
    else t.doesNotThrow(accepted, `${text}: with a yes`);
  }
  t.end();
});
