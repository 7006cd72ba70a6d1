import type { XidOrder, XidStep } from '../../../../shared/xid/checks.ts';

/** What a test orders to get a line; `pci` as in the line, driver and GPU as the agent would find them. */
export type SampleOrder = {
  readonly pci: string;
  readonly driver?: string;
  readonly gpuName?: string;
  readonly mig?: NonNullable<XidOrder['mig']>;
  readonly step: XidStep;
};

/**
 * The samples of traps-formats-conventions.md §5.3, transcribed by a script: driver generation, origin, line, and who
 * takes it (G gpud, N NVSentinel, M Meta gcm; g and n the patterns of the first two for NVLink5). In one of them, which
 * is a log cut short, the page's mark of the cut is left out. The orders are ours.
 */
export const xidSamples: readonly (readonly [
  driver: string,
  origin: string,
  takers: string,
  line: string,
  order: SampleOrder,
])[] = [
  [
    'R515–565',
    'field',
    'GNM',
    "NVRM: Xid (PCI:0000:cb:00): 13, pid='<unknown>', name=<unknown>, Graphics SM Warp Exception on (GPC 7, TPC 7, SM 0): Illegal Instruction Parameter",
    { pci: 'cb:00', driver: '550.54.14', step: { xid: 13 } },
  ],
  [
    'R515–565',
    'field',
    'GNM',
    "NVRM: Xid (PCI:0000:cb:00): 13, pid='<unknown>', name=<unknown>, Graphics Exception: ESR 0x57c730=0xc04000b 0x57c734=0x24 0x57c728=0x1f81fb60 0x57c72c=0x1174",
    {
      pci: 'cb:00',
      driver: '550.54.14',
      step: {
        xid: 13,
        detail:
          'Graphics Exception: ESR 0x57c730=0xc04000b 0x57c734=0x24 0x57c728=0x1f81fb60 0x57c72c=0x1174',
      },
    },
  ],
  [
    'R515–565',
    'doc',
    'GNM',
    'NVRM: Xid (PCI:0000:05:00): 13, pid=3737626, name=xid_trigger, Graphics Exception: ChID 000a, Class 0000c6c0, Offset 00000510, Data 0017e2ac',
    {
      pci: '05:00',
      driver: '535.104.05',
      step: {
        xid: 13,
        process: { pid: 3737626, name: 'xid_trigger' },
        detail: 'Graphics Exception: ChID 000a, Class 0000c6c0, Offset 00000510, Data 0017e2ac',
      },
    },
  ],
  [
    'very old',
    'doc',
    'GM',
    'NVRM: Xid (0000:03:00): 14, Channel 00000001',
    { pci: '03:00', driver: '295.40', step: { xid: 14 } },
  ],
  [
    'any',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 16, Head 00000000 Count 00001a2b',
    { pci: '3b:00', driver: '580.105.08', step: { xid: 16 } },
  ],
  [
    'R3xx',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:01:00): 31, Ch 00000003, engmask 00000101, intr 10000000',
    { pci: '01:00', driver: '346.47', step: { xid: 31 } },
  ],
  [
    'R535',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:00:07): 31, pid=2512125, name=python3.10, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_8 faulted @ 0x73ac_1c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE',
    { pci: '00:07', driver: '535.104.05', step: { xid: 31, process: { pid: 2512125, name: 'python3.10' } } },
  ],
  [
    'R3xx',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:01:00): 32, Channel ID 00000009 intr 00800000',
    { pci: '01:00', driver: '346.47', step: { xid: 32 } },
  ],
  [
    'R5xx',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:01:00): 32, pid=2096908, name=kf-phys-oracle, channel 0x00000007 intr1 00000004 HCE_DBG0 00000300 HCE_DBG1 0000118e',
    {
      pci: '01:00',
      driver: '580.105.08',
      step: { xid: 32, process: { pid: 2096908, name: 'kf-phys-oracle' } },
    },
  ],
  [
    'R535',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:00:05): 43, pid=1045242, name=pt_main_thread, Ch 00000008',
    {
      pci: '00:05',
      driver: '535.104.05',
      step: { xid: 43, process: { pid: 1045242, name: 'pt_main_thread' } },
    },
  ],
  [
    'R5xx',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:01:00): 43, pid=1814139, name=cuda_assert_64b, Ch 00000018',
    {
      pci: '01:00',
      driver: '550.54.14',
      step: { xid: 43, process: { pid: 1814139, name: 'cuda_assert_64b' }, detail: 'Ch 00000018' },
    },
  ],
  [
    'R590',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:dc:00): 45, pid=1818990, name=python3, Ch 00000001 caused by previous Xid 149',
    {
      pci: 'dc:00',
      driver: '590.48.01',
      step: { xid: 45, process: { pid: 1818990, name: 'python3' }, previousXid: 149 },
    },
  ],
  [
    'R4xx–5xx',
    'field (peer corpus)',
    'GNM',
    'NVRM: Xid (PCI:000d:00:00): 48, pid=3234, Graphics SM Global Exception on (GPC 2, TPC 2, SM 1): Multiple Warp Errors',
    {
      pci: '000d:00:00',
      driver: '470.82.01',
      step: {
        xid: 48,
        process: { pid: 3234 },
        detail: 'Graphics SM Global Exception on (GPC 2, TPC 2, SM 1): Multiple Warp Errors',
      },
    },
  ],
  [
    '≥R515',
    'field, tail cut',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 62, 32260b5e 000154b0 00000000 2026da96',
    { pci: '3b:00', driver: '570.172.08', step: { xid: 62, detail: '32260b5e 000154b0 00000000 2026da96' } },
  ],
  [
    'R4xx–5xx',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 63, pid=1896, Row Remapper: New row marked for remapping, reset gpu to activate.',
    { pci: '3b:00', driver: '470.82.01', step: { xid: 63, process: { pid: 1896 } } },
  ],
  [
    'n/a',
    'synthetic (gpud)',
    'GNM',
    'NVRM: Xid (PCI:0000:04:00): 63, Row remapping event: Rows 0x1a and 0x2b have been remapped on GPU 00000000:04:00.0',
    {
      pci: '04:00',
      step: {
        xid: 63,
        detail: 'Row remapping event: Rows 0x1a and 0x2b have been remapped on GPU 00000000:04:00.0',
      },
    },
  ],
  [
    '?',
    'unverified (web guide)',
    'GNM',
    "NVRM: Xid (PCI:0000:65:00): 64, pid='N/A', Row Remapper: Failed to remap row",
    { pci: '65:00', driver: '470.82.01', step: { xid: 64, process: { pid: "'N/A'" } } },
  ],
  [
    'n/a',
    'synthetic (gpud)',
    'GNM',
    'NVRM: Xid (PCI:0000:04:00): 64, Failed to persist row remap table',
    { pci: '04:00', step: { xid: 64, detail: 'Failed to persist row remap table' } },
  ],
  [
    'n/a',
    'synthetic (gpud)',
    'GNM',
    'NVRM: Xid (PCI:0000:04:00): 69, pid=34566, name=python3, BAR1 access failure at address 0xffff80001234abcd',
    {
      pci: '04:00',
      step: {
        xid: 69,
        process: { pid: 34566, name: 'python3' },
        detail: 'BAR1 access failure at address 0xffff80001234abcd',
      },
    },
  ],
  [
    'R515–565',
    'doc (HyperPod)',
    'GNM',
    'NVRM: Xid (PCI:0000:b9:00): 74, pid=<unknown>, name=<unknown>, NVLink: fatal error detected on link 6(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)',
    {
      pci: 'b9:00',
      driver: '550.54.14',
      step: { xid: 74, process: { pid: '<unknown>', name: '<unknown>' } },
    },
  ],
  [
    'any',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 74, NVLink: failed to train link 4 to remote PCI:0000:5e:00',
    {
      pci: '3b:00',
      driver: '580.105.08',
      step: { xid: 74, detail: 'NVLink: failed to train link 4 to remote PCI:0000:5e:00' },
    },
  ],
  [
    'R515–565',
    'field',
    'GNM',
    "NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
    { pci: '05:00', driver: '565.57.01', step: { xid: 79 } },
  ],
  [
    '≥R570',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.',
    { pci: '3b:00', driver: '570.86.15', step: { xid: 79 } },
  ],
  [
    'older',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:01:00): 79, pid=0, GPU has fallen off the bus.',
    { pci: '01:00', driver: '470.82.01', step: { xid: 79, process: { pid: 0 } } },
  ],
  [
    'R535',
    'field',
    'GNM',
    "NVRM: Xid (PCI:0000:00:08): 94, pid='<unknown>', name=<unknown>, Contained: SM (0x1). RST: No, D-RST: No",
    { pci: '00:08', driver: '535.104.05', step: { xid: 94 } },
  ],
  [
    'MIG, ≤R565',
    'drv comment',
    'M',
    'NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, Contained: CE User Channel (0x9). RST: No, D-RST: No',
    {
      pci: '01:00',
      driver: '470.82.01',
      mig: { gpuInstance: 5 },
      step: {
        xid: 94,
        process: { pid: 7194 },
        detail: 'Contained: CE User Channel (0x9). RST: No, D-RST: No',
      },
    },
  ],
  [
    'R580',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 94, GSP-RISCV instance 0 fatal error',
    { pci: '3b:00', driver: '580.65.06', step: { xid: 94 } },
  ],
  [
    'R550',
    'drv comment',
    'GNM',
    'NVRM: Xid (PCI:0000:01:00): 95, pid=7062, Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No',
    { pci: '01:00', driver: '550.54.14', step: { xid: 95, process: { pid: 7062 } } },
  ],
  [
    '≥R580',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 95, Uncontained: FBHUB (0x1, 0x0). physAddr: 0x0000001234500000 RST: Yes, D-RST: No',
    { pci: '3b:00', driver: '580.65.06', step: { xid: 95 } },
  ],
  [
    'R550–580',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 108, FLA Fault: inst:0x0 dev:0x0 subdev:0x0, faulted @ 0x7f_12340000. Fault is of type FAULT_PTE ACCESS_TYPE_VIRT_READ',
    { pci: '3b:00', driver: '580.65.06', step: { xid: 108 } },
  ],
  [
    'R5xx',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:cb:00): 109, pid=1797828, name=pt_main_thread, Ch 00000008, errorString CTX SWITCH TIMEOUT, Info 0x58005',
    {
      pci: 'cb:00',
      driver: '550.54.14',
      step: { xid: 109, process: { pid: 1797828, name: 'pt_main_thread' } },
    },
  ],
  [
    'Hopper+',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 110, SEC_FAULT: _FUSE_POD',
    { pci: '3b:00', driver: '580.65.06', step: { xid: 110 } },
  ],
  [
    'R535–580',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:9b:00): 119, pid=4071838, name=python, Timeout after 45s of waiting for RPC response from GPU4 GSP! Expected function 76 (GSP_RM_CONTROL) (0x20801702 0x4).',
    {
      pci: '9b:00',
      driver: '535.104.05',
      step: {
        xid: 119,
        process: { pid: 4071838, name: 'python' },
        detail:
          'Timeout after 45s of waiting for RPC response from GPU4 GSP! Expected function 76 (GSP_RM_CONTROL) (0x20801702 0x4).',
      },
    },
  ],
  [
    '≥R590',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 119, pid=1312, name=nvidia-smi, Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76 (GSP_RM_CONTROL) sequence 412 (0x20802a02 0x8).',
    { pci: '3b:00', driver: '590.44.01', step: { xid: 119, process: { pid: 1312, name: 'nvidia-smi' } } },
  ],
  [
    'R5xx',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0000:00:16): 119, pid=36055, name=dcgm-exporter, Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
    { pci: '00:16', driver: '550.54.14', step: { xid: 119, process: { pid: 36055, name: 'dcgm-exporter' } } },
  ],
  [
    'Hopper',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 136, NVLink: Link training failed for link 5(0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)',
    { pci: '3b:00', driver: '580.65.06', gpuName: 'NVIDIA H100 80GB HBM3', step: { xid: 136 } },
  ],
  [
    'Blackwell',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 136, NVLink: Link training failed for links 0x3f (0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)',
    { pci: '3b:00', driver: '580.65.06', gpuName: 'NVIDIA B200', step: { xid: 136 } },
  ],
  [
    'any',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 140, An uncorrectable ECC error detected (possible firmware handling failure) DRAM:1, LTC:0, MMU:0, PCIE:0',
    { pci: '3b:00', driver: '580.65.06', step: { xid: 140 } },
  ],
  [
    'Hopper+',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 143, FSP fuse error check has failed. Status = 0x1.',
    { pci: '3b:00', driver: '580.65.06', step: { xid: 143 } },
  ],
  [
    'Blackwell',
    'peer test',
    'GNMgn',
    'NVRM: Xid (PCI:0000:01:00): 144, SAW_MVB Nonfatal XC0 i0 Link 0 (0x00000001 0x00000008 0x00000000 0x00000000 0x00000000 0x00000000)',
    {
      pci: '01:00',
      driver: '580.65.06',
      step: {
        xid: 144,
        detail:
          'SAW_MVB Nonfatal XC0 i0 Link 0 (0x00000001 0x00000008 0x00000000 0x00000000 0x00000000 0x00000000)',
      },
    },
  ],
  [
    'Blackwell',
    'field',
    'GNMgn',
    'NVRM: Xid (PCI:0018:01:00): 145, pid=876767, name=ray::WorkerDict, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0409a0c2 0x00000008 0x00000001 0x00000000 0x00100000 0x00000004)',
    {
      pci: '0018:01:00',
      driver: '580.65.06',
      step: {
        xid: 145,
        process: { pid: 876767, name: 'ray::WorkerDict' },
        nvlink: { injected: false, link: 13 },
      },
    },
  ],
  [
    'Blackwell',
    'field',
    'GNMgn',
    'NVRM: Xid (PCI:0008:01:00): 145, RLW_SRC_TRACK Nonfatal XC1 i0 Link 12 (0x040988e2 0x00000008 0x00000000 0x00000000 0x00000000 0x00000000)',
    {
      pci: '0008:01:00',
      driver: '580.65.06',
      step: {
        xid: 145,
        nvlink: {
          unit: 'RLW_SRC_TRACK',
          crossbar: 1,
          injected: false,
          link: 12,
          words: [0x040988e2, 8, 0, 0, 0, 0],
        },
      },
    },
  ],
  [
    'Blackwell',
    'peer test',
    'GNM',
    'NVRM: Xid (PCI:0000:04:00): 146, TLW_RX/TLW_RX_PIPE0 Fatal XC0 i0 Link 00 (0x0000000a 0x00000004 0x00000000 0x00000000)',
    {
      pci: '04:00',
      driver: '580.65.06',
      step: { xid: 146, nvlink: { unit: 'TLW_RX/TLW_RX_PIPE0', injected: false, words: [10, 4, 0, 0] } },
    },
  ],
  [
    'Blackwell',
    'field',
    'GNMgn',
    'NVRM: Xid (PCI:0018:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 09 (0x004525c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)',
    { pci: '0018:01:00', driver: '580.65.06', step: { xid: 149, nvlink: { injected: false, link: 9 } } },
  ],
  [
    'Blackwell',
    'field',
    'GNMgn',
    'NVRM: Xid (PCI:0018:01:00): 149, NETIR Fatal XC0 i0 Link -1 (0x000fe406 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)',
    {
      pci: '0018:01:00',
      driver: '580.65.06',
      step: {
        xid: 149,
        nvlink: { unit: 'NETIR', injected: false, link: -1, words: [0x000fe406, 0, 0, 0, 0, 0] },
      },
    },
  ],
  [
    'Blackwell',
    'field',
    'GNMgn',
    'NVRM: Xid (PCI:0018:01:00): 149, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03 (0x00086226 0x00000001 0x00000000 0x00000000 0x00000000 0x00000000)',
    {
      pci: '0018:01:00',
      driver: '580.65.06',
      step: {
        xid: 149,
        nvlink: {
          unit: 'NETIR_BER_EVENT',
          severity: 'Nonfatal',
          injected: false,
          link: 3,
          words: [0x00086226, 1, 0, 0, 0, 0],
        },
      },
    },
  ],
  [
    'Blackwell',
    'peer test',
    'GNMgn',
    'NVRM: Xid (PCI:0000:04:00): 150, MSE_WATCHDOG Fatal XC0 i0 Link 00 (0x00000000 0x00000000 0x00000000 0x00000000)',
    {
      pci: '04:00',
      driver: '580.65.06',
      step: { xid: 150, nvlink: { injected: false, words: [0, 0, 0, 0] } },
    },
  ],
  [
    '≥R570',
    'field',
    'GNM',
    'NVRM: Xid (PCI:0009:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)',
    { pci: '0009:01:00', driver: '580.65.06', step: { xid: 154, recoveryAction: 'drain-and-reset' } },
  ],
  [
    '≥R570',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)',
    { pci: '3b:00', driver: '570.172.08', step: { xid: 154 } },
  ],
  [
    'R580',
    'drv',
    'GNM',
    'NVRM: Xid (PCI:0000:3b:00): 172, GSP-RISCV, Uncorrectable SRAM error',
    { pci: '3b:00', driver: '580.65.06', step: { xid: 172 } },
  ],
];

/** The shape stress test of the same page: spellings that no driver prints, and what becomes of them. */
export const stressSamples: readonly (readonly [takers: string, line: string, lesson: string])[] = [
  ['NM', 'NVRM: Xid (PCI:0000:3b:00): 79', 'gpud needs the comma'],
  ['NM', 'NVRM: Xid (PCI:0000:3b:00.0): 79, GPU has fallen off the bus.', 'a function'],
  ['GNM', 'NVRM: Xid (PCI:00000000:3b:00): 79, GPU has fallen off the bus.', 'eight digits of domain'],
  ['M', 'NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=7194, Contained: CE', 'MIG'],
  ['GNM', 'NVRM: NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.', 'a doubled prefix'],
  ['GNM', 'kernel: NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.', 'a prefix'],
  [
    '',
    'Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.',
    'what journald leaves of a line of user space',
  ],
  [
    'GNMn',
    "NVRM: Xid (PCI:0000:01:00): 145, pid='<unknown>', name=<unknown>, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0409a0c2 0x00000008)",
    'a pid that is no number',
  ],
  [
    'GNM',
    'NVRM: Xid (PCI:0000:04:00): 146, TLW_RX/TLW_RX_PIPE0 Fatal XC0 i0 Link 00 (0x0000000a 0x00000004)',
    'a unit with slash and digit',
  ],
];

/** The samples of §5.2: number, text, whether it is a driver's, and who takes it (S gpud, T NVSentinel). */
export const sxidSamples: readonly (readonly [takers: string, line: string])[] = [
  [
    'ST',
    'nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)',
  ],
  ['ST', 'nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 20034, Fatal, Link 30 LTSSM Fault Up'],
  [
    'S',
    'nvidia-nvswitch2: SXid (PCI:0000:07:00.0): 20034, Severity 1 Engine instance 37 Sub-engine instance 00',
  ],
  ['S', 'nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Data {0x50610002, 0x10100030}'],
  ['ST', 'nvidia-nvswitch1: SXid (PCI:0000:0a:00.0): 22013, Non-fatal, Link 57 Minion Link DLREQ interrupt'],
  ['ST', 'nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 28002, Non-fatal, Link 29 Therm Warn Deactivated'],
  ['S', 'nvidia-nvswitch0: SXid (PCI:0000:00:00.0): 11001, Fatal, ingress invalid command'],
];
