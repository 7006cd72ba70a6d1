import { fabricFaults } from './faults/fabric.ts';
import { gpuFaults } from './faults/gpu.ts';
import { healthFaults } from './faults/health.ts';
import { kernelFaults } from './faults/kernel.ts';
import { fileFaults, journalFaults } from './faults/logs.ts';
import { notOfferedFaults } from './faults/not-offered.ts';
import { policyFaults } from './faults/policies.ts';
import type { FaultRow, NotOfferedRow } from './row.ts';

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

/** What people ask for and no fault does, with the reason and what to use instead. */
export const notOffered: readonly NotOfferedRow[] = notOfferedFaults;
