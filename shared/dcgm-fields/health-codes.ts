import { compareVersions } from '../compare-versions.ts';
import { type GenerationRange, generationOf, isWithin } from '../gpu-generations.ts';

/** What the host engine's health system makes of an Xid, until the engine is restarted. */
export type HealthIncident = {
  readonly code: number;
  readonly name: string;
  readonly result: 'WARN' | 'FAIL';
  /** As `dcgmi health --check` prints it. */
  readonly system: string;
};

type Span = 'before 4.4.1' | '4.4.1' | '4.4.2 to 4.5' | '4.6';

type Codes = Partial<Record<Span, readonly [code: number, result: 'WARN' | 'FAIL', gpus?: GenerationRange]>>;

/** dcgm_errors.h; the ones that a field or an Xid can raise. */
export const healthCodeNames: Readonly<Record<number, string>> = {
  3: 'PCI_REPLAY_RATE',
  4: 'VOLATILE_DBE_DETECTED',
  6: 'PENDING_PAGE_RETIREMENTS',
  7: 'RETIRED_PAGES_LIMIT',
  8: 'RETIRED_PAGES_DBE_LIMIT',
  9: 'CORRUPT_INFOROM',
  10: 'CLOCKS_EVENT_THERMAL',
  11: 'POWER_UNREADABLE',
  12: 'CLOCKS_EVENT_POWER',
  13: 'NVLINK_ERROR_THRESHOLD',
  14: 'NVLINK_DOWN',
  33: 'FIELD_VIOLATION',
  40: 'THERMAL_VIOLATIONS',
  52: 'FAULTY_MEMORY',
  70: 'NVLINK_CRC_ERROR_THRESHOLD',
  71: 'NVLINK_ERROR_CRITICAL',
  80: 'ROW_REMAP_FAILURE',
  81: 'UNCONTAINED_ERROR',
  101: 'XID_ERROR',
  119: 'NVLINK_EFFECTIVE_BER_THRESHOLD',
  120: 'FALLEN_OFF_BUS',
  121: 'NVLINK_SYMBOL_BER_THRESHOLD',
  122: 'IMEX_UNHEALTHY',
  123: 'FABRIC_PROBE_STATE',
  125: 'RECOVERY_RESET',
  126: 'RECOVERY_REBOOT',
  127: 'RECOVERY_DRAIN_P2P',
  128: 'RECOVERY_DRAIN_RESET',
  131: 'CONTAINED_ERROR',
  132: 'UNCORRECTABLE_ROW_REMAP_LIMIT',
};

/** Since 4.4.2, the same in all: most rows. */
function since442(code: number, result: 'WARN' | 'FAIL'): Codes {
  return { '4.4.2 to 4.5': [code, result], '4.6': [code, result] };
}

/** Since 4.4.1, the same in all. */
function since441(code: number, result: 'WARN' | 'FAIL'): Codes {
  return { '4.4.1': [code, result], ...since442(code, result) };
}

const voltaOnly = { from: 'Volta', before: 'Turing' } as const;

const internal = 'Internal error';

/** modules/health/DcgmHealthWatch.cpp by tag, and measured on 4.6.0 and 4.5.3. An Xid that is not here leaves nothing. */
const rows: Readonly<Record<number, { readonly system: string; readonly codes: Codes }>> = {
  31: { system: 'Memory', codes: since442(101, 'WARN') },
  32: { system: 'Memory', codes: since442(101, 'WARN') },
  38: { system: 'PCIe', codes: since442(101, 'WARN') },
  39: { system: 'PCIe', codes: since442(101, 'WARN') },
  42: { system: 'PCIe', codes: { '4.4.2 to 4.5': [3, 'WARN'], '4.6': [101, 'WARN'] } },
  43: { system: 'Memory', codes: since442(101, 'WARN') },
  48: { system: internal, codes: { '4.4.1': [4, 'FAIL'], ...since442(101, 'FAIL') } },
  54: { system: 'Power', codes: since442(101, 'WARN') },
  56: { system: 'Power', codes: since442(101, 'WARN') },
  57: { system: 'Power', codes: since442(12, 'WARN') },
  58: { system: 'Power', codes: since442(101, 'WARN') },
  60: { system: 'Thermal', codes: since442(10, 'WARN') },
  61: { system: 'Thermal', codes: since442(101, 'WARN') },
  62: { system: 'Thermal', codes: { '4.4.2 to 4.5': [40, 'WARN'], '4.6': [101, 'WARN'] } },
  63: { system: 'Memory', codes: since442(6, 'WARN') },
  64: { system: 'Memory', codes: { '4.4.2 to 4.5': [80, 'WARN'], '4.6': [80, 'FAIL'] } },
  67: { system: 'NVLINK', codes: { '4.4.2 to 4.5': [13, 'WARN'], '4.6': [101, 'WARN'] } },
  73: { system: 'NVLINK', codes: since442(101, 'WARN') },
  74: { system: internal, codes: { '4.4.1': [71, 'FAIL'], ...since442(101, 'FAIL') } },
  78: { system: 'Power', codes: since442(101, 'WARN') },
  79: { system: internal, codes: since441(120, 'FAIL') },
  93: { system: 'InfoROM', codes: { '4.4.2 to 4.5': [9, 'WARN'], '4.6': [9, 'WARN', voltaOnly] } },
  94: {
    system: internal,
    codes: { '4.4.1': [101, 'FAIL'], '4.4.2 to 4.5': [101, 'FAIL'], '4.6': [131, 'WARN'] },
  },
  95: { system: internal, codes: { 'before 4.4.1': [81, 'FAIL'], ...since441(81, 'FAIL') } },
  119: { system: internal, codes: since441(101, 'FAIL') },
  120: { system: internal, codes: since441(101, 'FAIL') },
  121: { system: 'NVLINK', codes: since442(101, 'WARN') },
  137: { system: 'NVLINK', codes: since442(101, 'WARN') },
  140: { system: internal, codes: since441(101, 'FAIL') },
};

/**
 * undefined: the Xid leaves nothing behind in an engine of this version, so that its reaction stays as it is.
 * Where only some GPUs have it, one of unknown generation has not: nearly all are newer than Volta.
 */
export function xidHealthIncident(
  engineVersion: string,
  xid: number,
  gpuName?: string,
): HealthIncident | undefined {
  const row = rows[xid];
  const found = row?.codes[spanOf(engineVersion)];
  if (row === undefined || found === undefined) return undefined;
  const [code, result, gpus] = found;
  const isKnown = generationOf(gpuName ?? '') !== undefined;
  if (gpus !== undefined && !(isKnown && isWithin(gpus, gpuName))) return undefined;
  return { code, result, name: healthCodeNames[code] ?? `code ${code}`, system: row.system };
}

function spanOf(engineVersion: string): Span {
  if (compareVersions(engineVersion, '4.6.0') >= 0) return '4.6';
  if (compareVersions(engineVersion, '4.4.2') >= 0) return '4.4.2 to 4.5';
  return compareVersions(engineVersion, '4.4.1') >= 0 ? '4.4.1' : 'before 4.4.1';
}
