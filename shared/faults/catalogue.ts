import type { FaultRow, NotOfferedRow } from './row.ts';
import { fabricFaults } from './rows/fabric.ts';
import { gpuFaults } from './rows/gpu.ts';
import { healthFaults } from './rows/health.ts';
import { kernelFaults } from './rows/kernel.ts';
import { fileFaults, journalFaults } from './rows/logs.ts';
import { notOfferedFaults } from './rows/not-offered.ts';
import { policyFaults } from './rows/policies.ts';

/** The whole catalogue, group by group (rows/). */
export const faults: readonly FaultRow[] = [
  ...gpuFaults,
  ...policyFaults,
  ...healthFaults,
  ...fabricFaults,
  ...kernelFaults,
  ...journalFaults,
  ...fileFaults,
];

export const notOffered: readonly NotOfferedRow[] = notOfferedFaults;
