import { healthTickSurelyMs } from '../../../shared/nma-timing.ts';
import { longestSustainSeconds } from '../../../shared/schemas/order-members.ts';
import type { ParameterRow } from '../row.ts';

/** Parameters and sentences that many rows share. */

export const nmaSource = (file: string) => `aws/eks-node-monitoring-agent ${file}`;
/** Where the host engine's health checks are coded. */
export const healthSource = 'NVIDIA/DCGM modules/health/DcgmHealthWatch.cpp';
/** Where NMA turns their incidents into reactions. */
export const nmaHealthSource = nmaSource('monitors/nvidia/dcgm/dcgm_healthcheck.go');

/** nma.md §3: no code of the agent ever sets a condition back to True. */
export const latches =
  'the condition stays False until the monitoring agent restarts, and repair controllers may reboot or replace the node';

/** For all faults that write into the kernel log. */
export const kernelUndo =
  'none before the next reboot: the record stays in the ring, and readers that start later see it';
/** For all faults that write into the kernel log. */
export const kernelRisk =
  'other readers of the kernel log (alerting, node-problem-detector rules) see the record as real';

/** 15 characters is all that a process name has (TASK_COMM_LEN). */
export const process: ParameterRow = {
  type: 'text',
  help: 'process that the record names; its name makes this drill’s event a new one',
  default: 'xidrill-{marker}',
  pattern: '^[A-Za-z0-9._/-]{1,15}$',
};

/** The process that a kernel line names; the number need not exist on the node. */
export const pid: ParameterRow = {
  type: 'integer',
  help: 'its process id',
  default: 4321,
  minimum: 1,
  maximum: 4194304,
};

/** Which host engine is written into. */
export const engine: ParameterRow = {
  type: 'engine',
  help: '{pid} or {address} of the host engine; default: the one that the monitoring agent listens on',
};

/** Overrides the refusal of an engine without a listener. */
export const force: ParameterRow = {
  type: 'boolean',
  help: 'inject although the host engine has no listener',
};

/** No default: written once. */
export const forSeconds: ParameterRow = {
  type: 'integer',
  unit: 's',
  help: 'how long the value is sustained; ends earlier by StopInjection and when the agent starts again',
  minimum: 1,
  maximum: longestSustainSeconds,
};

/** A health tick comes every 5 min, the first up to 6 min after the start of NMA (nma.md §1.4). */
export const forHealthTick: ParameterRow = {
  ...forSeconds,
  help: `${forSeconds.help}; a health check comes every 5 min, the first up to 6 min after the monitoring agent started`,
  default: healthTickSurelyMs / 1000,
};

/** The surfaces of faults with an Xid. */
export const xidSurfaces: ParameterRow = {
  type: 'surfaces',
  help: 'where it is written: kernel-log, dcgm or both; the monitoring agent learns of Xids from dcgm only',
  default: ['dcgm'],
};

/** Needed for Xids that a host engine acts on when it reads them in the kernel log. */
export const acceptRisk: ParameterRow = {
  type: 'boolean',
  help: 'yes to Xid 79 and 120 in the kernel log, which host engines read',
};

/** By the driver version the text and shape of Xid lines differ. */
export const driver: ParameterRow = {
  type: 'text',
  help: 'driver version whose text is written in the kernel log, such as 570.86.15; default: what NVML reports',
  pattern: '^\\d{3}(\\.\\d+){0,2}$',
};

/** The MIG device in the line's text. */
export const mig: ParameterRow = {
  type: 'mig',
  help: '{gpuInstance, computeInstance} that the line in the kernel log names; readers of Xid lines miss such lines',
};
