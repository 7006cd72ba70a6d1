import type { FaultRow, ParameterRow } from '../row.ts';
import { engine, force, forHealthTick, healthSource, latches, nmaSource } from './vocabulary.ts';

/** Fields that the monitoring agent reads itself, every five minutes. */
function fabricFault(
  name: string,
  title: string,
  field: number,
  parameter: string,
  row: ParameterRow,
): FaultRow {
  return {
    name,
    title,
    surfaces: ['dcgm'],
    channel: { kind: 'dcgm-value', field, value: `{${parameter}}`, reach: 'watch' },
    parameters: {
      [parameter]: row,
      // Longer than the monitoring agent's own reading needs, because a version without a fabric rule sees it in its health check only.
      forSeconds: forHealthTick,
      engine,
      force,
    },
    risk: latches,
    undo: 'the next real reading, 30 s; what was written is reported until it is 5 min old; the condition stays until the monitoring agent restarts',
    needsGpu: true,
    sources: [nmaSource('monitors/nvidia/dcgm/dcgm_watchfield.go'), healthSource],
  };
}

/** Fields 170 and 174, which NMA reads itself or through the health check, by version. */
export const fabricFaults: readonly FaultRow[] = [
  fabricFault(
    'fabric-manager',
    'The fabric manager failed (watched field 170; health code 123 with it)',
    170,
    'status',
    {
      type: 'choice',
      help: '4 failure, 5 unrecognized, 6 NVML too old',
      allowed: [4, 5, 6],
      default: 4,
    },
  ),
  fabricFault(
    'fabric-health',
    'The NVLink fabric of the GPU is not healthy (watched field 174; health code 33 with it)',
    174,
    'mask',
    {
      type: 'choice',
      help: '1 degraded bandwidth, 4 route recovery, 16 route unhealthy, 64 access timeout recovery, 512 incorrect configuration',
      allowed: [1, 4, 16, 64, 512],
      default: 16,
    },
  ),
];
