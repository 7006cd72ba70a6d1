import type { FaultRow, ParameterRow } from './row.ts';

const kernelUndo =
  'none before the next reboot: the record stays in the ring, and readers that start later see it';
const kernelRisk =
  'other readers of the kernel log (alerting, node-problem-detector rules) see the record as real';

/** 15 characters is all that a process name has (TASK_COMM_LEN). */
const process: ParameterRow = {
  type: 'text',
  help: 'process that the record names; its name makes this drill’s event a new one',
  default: 'xidrill-{marker}',
  pattern: '^[A-Za-z0-9._/-]{1,15}$',
};

const engine: ParameterRow = {
  type: 'engine',
  help: '{pid} or {address} of the host engine; default: the one that the monitoring agent listens on',
};

const nmaKernelMonitor = 'aws/eks-node-monitoring-agent monitors/kernel/monitor.go';

export const faults: readonly FaultRow[] = [
  {
    name: 'xid',
    title: 'A GPU reports an Xid',
    surfaces: ['kernel-log', 'dcgm'],
    channel: { kind: 'xid' },
    parameters: {
      xid: { type: 'integer', help: 'Xid number', required: true, minimum: 1, maximum: 255 },
      surfaces: { type: 'surfaces', help: 'where it is written', default: ['dcgm'] },
      process: { type: 'process', help: '{pid, name} that the driver would name in the kernel log' },
      detail: { type: 'text', help: 'text behind the number in the kernel log; default: the driver’s own' },
      acceptRisk: {
        type: 'boolean',
        help: 'yes to Xid 79 and 120 in the kernel log, which host engines read',
      },
      engine,
      force: { type: 'boolean', help: 'inject although nobody listens on the host engine' },
    },
    risk: 'on the dcgm surface most fatal Xids stay in the host engine until it restarts; repair controllers may replace the node',
    undo: 'kernel-log: none before reboot; dcgm: restart the host engine, then the monitoring agent',
    needsGpu: true,
    sources: [
      'NVIDIA/DCGM modules/policy/DcgmPolicyManager.cpp',
      'aws/eks-node-monitoring-agent monitors/nvidia/dcgm/dcgm_policies.go',
    ],
  },
  {
    name: 'dcgm-field',
    title: 'A DCGM field takes a value',
    surfaces: ['dcgm'],
    channel: { kind: 'dcgm-field' },
    parameters: {
      field: { type: 'scalar', help: 'number or name of the field', required: true },
      value: { type: 'scalar', help: 'value, in the unit of the field', required: true },
      offsetSeconds: {
        type: 'integer',
        help: 'seconds into the future for the sample',
        minimum: 0,
        maximum: 600,
      },
      engine,
      force: { type: 'boolean', help: 'inject although nobody listens or nobody reacts to the value' },
    },
    risk: 'an offset mutes real alerts of the same kind on that GPU until it has passed',
    undo: 'the next real reading of the field, 10 to 30 s; Xids (field 230) as fault xid',
    needsGpu: true,
    sources: ['NVIDIA/DCGM dcgmi/DcgmiTest.cpp', 'NVIDIA/DCGM modules/health/DcgmHealthWatch.cpp'],
  },
  {
    name: 'task-blocked',
    title: 'The kernel reports a task blocked for more than 120 s',
    surfaces: ['kernel-log'],
    channel: {
      kind: 'kernel-message',
      text: 'INFO: task {process}:{pid} blocked for more than {seconds} seconds.',
    },
    parameters: {
      process,
      pid: { type: 'integer', help: 'its process id', default: 4321, minimum: 1, maximum: 4194304 },
      seconds: { type: 'integer', help: 'for how long', default: 120, minimum: 1, maximum: 86400 },
    },
    risk: kernelRisk,
    undo: kernelUndo,
    needsGpu: false,
    sources: [nmaKernelMonitor, 'Linux kernel/hung_task.c'],
  },
  {
    name: 'soft-lockup',
    title: 'The kernel reports a soft lockup',
    surfaces: ['kernel-log'],
    channel: {
      kind: 'kernel-message',
      text: 'watchdog: BUG: soft lockup - CPU#{cpu} stuck for {seconds}s! [{process}:4321]',
    },
    parameters: {
      cpu: { type: 'integer', help: 'processor number', default: 0, minimum: 0, maximum: 8191 },
      seconds: {
        type: 'integer',
        help: 'for how long; another number makes another event',
        default: '{markerNumber}',
        minimum: 1,
        maximum: 86400,
      },
      process,
    },
    risk: kernelRisk,
    undo: kernelUndo,
    needsGpu: false,
    sources: [nmaKernelMonitor, 'Linux kernel/watchdog.c'],
  },
  {
    name: 'kernel-bug',
    title: 'The kernel reports a bug of its own',
    surfaces: ['kernel-log'],
    // Genuine records have no bracketed time in front, so that the agent's pattern misses them: this text is the
    // one that it takes, not the one that a kernel prints.
    channel: { kind: 'kernel-message', text: '[12345.678901] BUG: {text} (xidrill {marker})' },
    parameters: {
      text: {
        type: 'text',
        help: 'what the bug line says',
        default: 'unable to handle kernel NULL pointer dereference at 0000',
        pattern: '^[\\x20-\\x7e]{1,200}$',
      },
    },
    risk: kernelRisk,
    undo: kernelUndo,
    needsGpu: false,
    sources: [nmaKernelMonitor],
  },
  {
    name: 'conntrack-full',
    title: 'The connection tracking table is full',
    surfaces: ['kernel-log'],
    channel: { kind: 'kernel-message', text: 'nf_conntrack: nf_conntrack: table full, dropping packet' },
    parameters: {},
    risk: kernelRisk,
    undo: kernelUndo,
    needsGpu: false,
    sources: [nmaKernelMonitor, 'Linux net/netfilter/nf_conntrack_core.c'],
  },
  {
    name: 'kernel-message',
    title: 'A line of your own in the kernel log',
    surfaces: ['kernel-log'],
    channel: { kind: 'kernel-message', text: '{text}' },
    parameters: {
      text: {
        type: 'text',
        help: 'the line; where no version of the monitoring agent reacts to it, say what you expect',
        required: true,
        pattern: '^[\\x20-\\x7e]{1,900}$',
      },
    },
    risk: kernelRisk,
    undo: kernelUndo,
    needsGpu: false,
    sources: ['Linux Documentation/ABI/testing/dev-kmsg'],
  },
];
