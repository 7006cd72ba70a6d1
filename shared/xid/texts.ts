import { type Generation, generationOf } from '../gpu-generations.ts';
import { type DriverVersion, isFrom } from './driver.ts';

/**
 * What stands behind the number. Data: a new text is a row; of several that fit the first is taken.
 *
 * From the open source (kernel_rc.c and the callers of krcReportXid), NVIDIA's documents and field logs
 * (traps-formats-conventions.md §5.3). On GPUs with a GSP many texts are its firmware's and not published, so
 * an Xid without a row is written without text.
 */
type TextRow = {
  readonly xid: number;
  /** First driver that prints this text; absent: all. */
  readonly from?: string;
  /** First driver that no longer does. */
  readonly below?: string;
  /** Absent: all. */
  readonly gpu?: Generation;
  /** `{gpu}` stands for the GPU's own number. */
  readonly text: string;
};

/** By number, the most special row first. */
export const textRows: readonly TextRow[] = [
  {
    xid: 13,
    text: 'Graphics SM Warp Exception on (GPC 7, TPC 7, SM 0): Illegal Instruction Parameter',
  },
  { xid: 14, below: '300', text: 'Channel 00000001' },
  { xid: 16, text: 'Head 00000000 Count 00001a2b' },
  { xid: 31, below: '400', text: 'Ch 00000003, engmask 00000101, intr 10000000' },
  {
    xid: 31,
    text: 'Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_8 faulted @ 0x73ac_1c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE',
  },
  { xid: 32, below: '400', text: 'Channel ID 00000009 intr 00800000' },
  { xid: 32, text: 'channel 0x00000007 intr1 00000004 HCE_DBG0 00000300 HCE_DBG1 0000118e' },
  { xid: 43, text: 'Ch 00000008' },
  { xid: 45, text: 'Ch 00000001' },
  {
    xid: 48,
    text: 'An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer at physical address 0x1a2b3c000.',
  },
  { xid: 63, text: 'Row Remapper: New row marked for remapping, reset gpu to activate.' },
  { xid: 64, text: 'Row Remapper: Failed to remap row' },
  { xid: 74, text: 'NVLink: fatal error detected on link 6(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)' },
  { xid: 79, text: 'GPU has fallen off the bus.' },
  { xid: 94, from: '580', text: 'GSP-RISCV instance 0 fatal error' },
  { xid: 94, text: 'Contained: SM (0x1). RST: No, D-RST: No' },
  {
    xid: 95,
    from: '580',
    text: 'Uncontained: FBHUB (0x1, 0x0). physAddr: 0x0000001234500000 RST: Yes, D-RST: No',
  },
  { xid: 95, text: 'Uncontained: LTC TAG (0x2, 0x1). RST: Yes, D-RST: No' },
  {
    xid: 108,
    text: 'FLA Fault: inst:0x0 dev:0x0 subdev:0x0, faulted @ 0x7f_12340000. Fault is of type FAULT_PTE ACCESS_TYPE_VIRT_READ',
  },
  { xid: 109, text: 'Ch 00000008, errorString CTX SWITCH TIMEOUT, Info 0x58005' },
  { xid: 110, text: 'SEC_FAULT: _FUSE_POD' },
  {
    xid: 119,
    from: '590',
    text: 'Timeout after 6s of waiting for RPC response from GPU{gpu} GSP! Expected function 76 (GSP_RM_CONTROL) sequence 412 (0x20802a02 0x8).',
  },
  // kernel_gsp.c, _kgspLogXid119 and its forerunners: 515.43.04 names the function only, 525 numbers it, 535.104.05 says
  // which GSP, 535.129.03 which GPU; 550.54.14 adds how long it waited.
  {
    xid: 119,
    from: '550',
    text: 'Timeout after 6s of waiting for RPC response from GPU{gpu} GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
  },
  {
    xid: 119,
    from: '535.129.03',
    text: 'Timeout waiting for RPC from GPU{gpu} GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
  },
  {
    xid: 119,
    from: '535',
    text: 'Timeout waiting for RPC from GSP{gpu}! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
  },
  {
    xid: 119,
    from: '525',
    text: 'Timeout waiting for RPC from GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
  },
  {
    xid: 119,
    text: 'Timeout waiting for RPC from GSP! Expected function GSP_RM_CONTROL (0x90cc0301 0xc).',
  },
  // Seen on 570 and 575 (NVIDIA/open-gpu-kernel-modules#829, #1214).
  {
    xid: 120,
    from: '570',
    text: 'GSP task exception: load access page fault (cause:0xd) @ pc:0x1374464, partition:4#0, task:3',
  },
  // kernel_gsp_tu102.c of R515, kgspHealthCheck. Between 525 and 565 it was not looked up: the nearest known text.
  {
    xid: 120,
    text: 'GSP Error: Task 1 raised error code 0x5 for reason 0x0 at 0x63d0000 (0 more errors skipped)',
  },
  {
    xid: 136,
    gpu: 'Blackwell',
    text: 'NVLink: Link training failed for links 0x3f (0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)',
  },
  {
    xid: 136,
    text: 'NVLink: Link training failed for link 5(0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)',
  },
  {
    xid: 140,
    text: 'An uncorrectable ECC error detected (possible firmware handling failure) DRAM:1, LTC:0, MMU:0, PCIE:0',
  },
  { xid: 143, text: 'FSP fuse error check has failed. Status = 0x1.' },
  { xid: 172, text: 'GSP-RISCV, Uncorrectable SRAM error' },
];

/** The GPU that the text is about. */
type AboutGpu = {
  readonly name?: string | undefined;
  /** The driver counts its GPUs as NVML does; undefined: unknown, the first one. */
  readonly index?: number | undefined;
};

/** What the driver prints behind the number; empty where no text is known. */
export function textOf(xid: number, driver: DriverVersion, gpu: AboutGpu): string {
  const row = textRows.find(
    (row) =>
      row.xid === xid &&
      (row.from === undefined || isFrom(driver, row.from)) &&
      (row.below === undefined || !isFrom(driver, row.below)) &&
      (row.gpu === undefined || row.gpu === generationOf(gpu.name ?? '')),
  );
  return row?.text.replace('{gpu}', String(gpu.index ?? 0)) ?? '';
}
