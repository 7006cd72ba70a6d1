import type { FaultRow, ParameterRow } from '../row.ts';
import { kernelRisk, kernelUndo, latches, nmaSource, pid, process } from './vocabulary.ts';

const kernelMonitor = nmaSource('monitors/kernel/monitor.go');

type KernelFault = {
  readonly name: string;
  readonly title: string;
  readonly text: string;
  readonly parameters: Readonly<Record<string, ParameterRow>>;
  readonly sources: readonly string[];
  readonly risk?: string;
  readonly needsGpu?: boolean;
};

function kernelFault(row: KernelFault): FaultRow {
  const { name, title, text, parameters, sources, risk = kernelRisk, needsGpu = false } = row;
  return {
    name,
    title,
    surfaces: ['kernel-log'],
    channel: { kind: 'kernel-message', text },
    parameters,
    risk,
    undo: kernelUndo,
    needsGpu,
    sources,
  };
}

/** Lines that NMA's kernel rules match; no GPU is needed. */
export const kernelFaults: readonly FaultRow[] = [
  kernelFault({
    name: 'task-blocked',
    title: 'The kernel reports a task blocked for more than 2 min',
    text: 'INFO: task {process}:{pid} blocked for more than {seconds} seconds.',
    parameters: {
      process,
      pid,
      seconds: {
        type: 'integer',
        unit: 's',
        help: 'for how long',
        default: 120,
        minimum: 1,
        maximum: 86400,
      },
    },
    sources: [kernelMonitor, 'Linux kernel/hung_task.c'],
  }),
  kernelFault({
    name: 'soft-lockup',
    title: 'The kernel reports a soft lockup',
    text: 'watchdog: BUG: soft lockup - CPU#{cpu} stuck for {seconds}s! [{process}:4321]',
    parameters: {
      cpu: { type: 'integer', help: 'processor number', default: 0, minimum: 0, maximum: 8191 },
      seconds: {
        type: 'integer',
        unit: 's',
        help: 'for how long; another number makes another event',
        default: '{markerNumber}',
        minimum: 1,
        maximum: 86400,
      },
      process,
    },
    sources: [kernelMonitor, 'Linux kernel/watchdog.c'],
  }),
  kernelFault({
    name: 'kernel-bug',
    title: 'The kernel reports a bug of its own',
    // Genuine records have no bracketed time in front, so that the agent's pattern misses them: this text is the
    // one that it takes, not the one that a kernel prints.
    text: '[12345.678901] BUG: {text} (xidrill {marker})',
    parameters: {
      text: {
        type: 'text',
        help: 'the text of the bug line',
        default: 'unable to handle kernel NULL pointer dereference at 0000',
        pattern: '^[\\x20-\\x7e]{1,200}$',
      },
    },
    sources: [kernelMonitor],
  }),
  kernelFault({
    name: 'conntrack-full',
    title: 'The connection tracking table is full',
    text: 'nf_conntrack: nf_conntrack: table full, dropping packet',
    parameters: {},
    sources: [kernelMonitor, 'Linux net/netfilter/nf_conntrack_core.c'],
  }),
  kernelFault({
    name: 'app-crash',
    title: 'The kernel reports that a process crashed',
    text: 'traps: {process}[{pid}] general protection fault ip:7f3a5c1d2e40 sp:7ffd2b8a9c10 error:0 in libc.so.6[7f3a5c128000+188000]',
    parameters: { process, pid },
    sources: [kernelMonitor, 'Linux arch/x86/kernel/traps.c'],
  }),
  kernelFault({
    name: 'nccl-error',
    title: 'A process crashed inside NCCL',
    text: '{process}[{pid}]: segfault at 7f797fe00000 ip 00007f7c7ac69996 sp 00007f7c12fd7c30 error 4 in libnccl.so.2[7f7c7ac00000+d3d3000]',
    parameters: { process, pid },
    // The line needs no GPU, but only the monitor of NVIDIA nodes reads it.
    needsGpu: true,
    sources: [nmaSource('monitors/nvidia/nccl/nccl.go')],
  }),
  kernelFault({
    name: 'block-device-io-error',
    title: 'A block device reports an I/O error',
    // Today's kernels leave the function's name out and are not matched: this is what kernels before 5.9 print.
    text: 'blk_update_request: I/O error, dev {device}, sector {sector}',
    parameters: {
      device: {
        type: 'text',
        help: 'name of the device, with or without such a device on the node',
        default: 'nvme9n1',
        pattern: '^[a-z0-9-]{1,32}$',
      },
      sector: {
        type: 'integer',
        help: 'sector number; another number makes another event',
        default: '{markerNumber}',
        minimum: 0,
        maximum: 1_000_000_000_000,
      },
    },
    sources: [nmaSource('monitors/storage/monitor.go')],
  }),
  kernelFault({
    name: 'neuron-error',
    title: 'A Neuron accelerator reports a hardware error (Neuron nodes only)',
    text: 'kernel: NEURON_HW_ERR={error} affecting neuron devices (xidrill {marker})',
    parameters: {
      error: {
        type: 'choice',
        help: 'which error; nodes without a Neuron accelerator do not react',
        allowed: [
          'SRAM_UNCORRECTABLE_ERROR',
          'NC_UNCORRECTABLE_ERROR',
          'HBM_UNCORRECTABLE_ERROR',
          'DMA_ERROR',
        ],
        default: 'SRAM_UNCORRECTABLE_ERROR',
      },
    },
    risk: `${kernelRisk}; ${latches}`,
    sources: [nmaSource('monitors/neuron/monitor.go')],
  }),
  kernelFault({
    name: 'kernel-message',
    title: 'A line of your own in the kernel log',
    text: '{text}',
    parameters: {
      text: {
        type: 'text',
        help: 'the line; where no version of the monitoring agent reacts to it, say what you expect',
        required: true,
        pattern: '^[\\x20-\\x7e]{1,900}$',
        example: 'xidrill was here',
      },
    },
    sources: ['Linux Documentation/ABI/testing/dev-kmsg'],
  }),
];
