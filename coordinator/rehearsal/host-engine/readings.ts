/** A GPU as the engine shows it, and what its driver would answer. */
export type EngineGpuOptions = {
  readonly id: number;
  readonly name: string;
  /** As NVML spells it: `00000000:3B:00.0`. */
  readonly pci: string;
  readonly uuid: string;
  /** Default false: every NVLink counter is "not supported". */
  readonly nvlink?: boolean;
  /** What the driver answers instead of the healthy value; `unsupported`: it has no such value. */
  readonly readings?: Readonly<Record<number, number | 'unsupported'>>;
};

/** Watched by a policy registration, polled every 10 s and kept for an hour (DcgmPolicyManager.cpp). */
export const policyFields = [409, 419, 429, 439, 319, 390, 391, 150, 230, 155, 202] as const;
/** How such a registration watches its fields. */
export const policyWatch = { intervalMs: 10_000, maxAgeMs: 3_600_000 } as const;

/** Watched when health checks are switched on; InfoROM is read once an hour (DcgmHealthWatch.cpp). */
export const healthWatch = { intervalMs: 30_000, maxAgeMs: 600_000 } as const;
/** How the InfoROM checks watch theirs. */
export const informWatch = { intervalMs: 3_600_000, maxAgeMs: 3_600_000 } as const;

/** A client's field group as NMA makes it; the engine keeps such values about 33 s. */
export const clientWatch = { intervalMs: 30_000, maxAgeMs: 33_000 } as const;

const nvlinkFields = new Set([
  409, 419, 429, 439, 497, 498, 499, 1204, 1205, 1206, 1207, 1208, 1209, 1211, 1212, 1213, 1214, 1215, 1217,
  1219, 1220,
]);

/** Retired pages went with Ampere; SXids belong to switches, not GPUs. */
const unsupported = new Set([390, 391, 392, 856, 857]);

/** Healthy where it is not 0. 4095 is how "no errors" is packed. */
const healthy: Readonly<Record<number, number>> = {
  84: 1,
  112: 1,
  150: 41,
  155: 68.4,
  237: 5,
  238: 16,
  1215: 4095,
  1217: 4095,
};

/** What a poll of the driver gives; undefined: not supported on this GPU. */
export function readingOf(gpu: EngineGpuOptions, fieldId: number): number | undefined {
  const own = gpu.readings?.[fieldId];
  if (own !== undefined) return own === 'unsupported' ? undefined : own;
  if (unsupported.has(fieldId) || (nvlinkFields.has(fieldId) && gpu.nvlink !== true)) return undefined;
  return healthy[fieldId] ?? 0;
}
