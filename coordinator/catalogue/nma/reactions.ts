import type { Via } from '../expectation.ts';
import { type ConditionType, gpuConditionType } from './conditions.ts';
import type { NmaVersion } from './versions.ts';

/** NMA's own words; `fatal` ends in the condition, `warning` in an event (nma.md §1.0). */
export type Severity = 'fatal' | 'warning';

/** What NMA makes of a finding. The event's `reason` is the condition type; its message is `<reason>: <message>`. */
export type Reaction = {
  readonly severity: Severity;
  /** NMA's reason: the condition's reason, or the head of the event's message. */
  readonly reason: string;
  /** The text without the reason before it. */
  readonly message: string;
  readonly conditionType: ConditionType;
  /** `condition`: status False, no event. `event`: a Warning event, the condition stays as it is. */
  readonly appearsAs: 'condition' | 'event';
};

/** A violation as the host engine reports it to NMA; the names are those of its seven policies. */
export type Violation =
  | { readonly policy: 'XID'; readonly xid: number }
  | { readonly policy: 'DBE'; readonly errors: number }
  | { readonly policy: 'NVLink'; readonly fieldId: number; readonly errors: number }
  | { readonly policy: 'PCIe'; readonly replays: number }
  | { readonly policy: 'MaxRtPg'; readonly sbePages: number; readonly dbePages: number }
  | { readonly policy: 'Thermal'; readonly celsius: number }
  | { readonly policy: 'Power'; readonly watts: number };

/** What go-dcgm sets unless somebody set it before (nma.md §1.3): the value must be above it. */
export const policyThresholds = { retiredPages: 10, celsius: 100, watts: 250 } as const;

/** A reaction whose kind follows from its severity. */
export function reaction(
  severity: Severity,
  reason: string,
  message: string,
  conditionType: ConditionType = gpuConditionType,
): Reaction {
  return {
    severity,
    reason,
    message,
    conditionType,
    appearsAs: severity === 'fatal' ? 'condition' : 'event',
  };
}

/** nma.md §1.3 and §7. Whether an Xid is fatal depends on the version. */
export function xidReaction(row: NmaVersion, xid: number): Reaction {
  const review = 'review kernel logs for additional information.';
  return row.fatalXids.includes(xid)
    ? reaction('fatal', `NvidiaXID${xid}Error`, `detected XID-${xid} on the instance, ${review}`)
    : reaction('warning', `NvidiaXID${xid}Warning`, `detected unknown XID-${xid} on the instance, ${review}`);
}

/** monitors/nvidia/dcgm/dcgm_policies.go. Power and temperature of 0 are dropped there. */
export function policyReaction(row: NmaVersion, violation: Violation): Reaction | undefined {
  switch (violation.policy) {
    case 'XID':
      return xidReaction(row, violation.xid);
    case 'DBE':
      return reaction(
        'fatal',
        'NvidiaDoubleBitError',
        `detected ${violation.errors} Nvidia Double Bit error(s) on location Device`,
      );
    case 'NVLink':
      return reaction(
        'fatal',
        'NvidiaNVLinkError',
        `detected ${violation.errors} NVLink errors on fieldId ${violation.fieldId}`,
      );
    case 'PCIe':
      return reaction('warning', 'NvidiaPCIeError', `detected ${violation.replays} PCIe replays`);
    case 'MaxRtPg':
      return reaction(
        'warning',
        'NvidiaPageRetirement',
        `detected ${violation.sbePages} SBE, and ${violation.dbePages} DBE page retirements`,
      );
    case 'Thermal':
      return violation.celsius === 0
        ? undefined
        : reaction(
            'warning',
            'NvidiaThermalError',
            `detected GPU thermals outside of thresholds with severity code ${violation.celsius}`,
          );
    case 'Power':
      return violation.watts === 0
        ? undefined
        : reaction(
            'warning',
            'NvidiaPowerError',
            `detected power usage outside of thresholds with severity code ${violation.watts}`,
          );
  }
}

/** monitors/nvidia/dcgm/dcgm_healthcheck.go. Code 122 is dropped; `lifetimeCounter`: fields 497, 498, 499. */
export function healthReaction(
  row: NmaVersion,
  incident: { readonly code: number; readonly result: 'WARN' | 'FAIL'; readonly lifetimeCounter?: boolean },
): Reaction | undefined {
  if (incident.code === 122) return undefined;
  const isMild = incident.code === 71 && incident.lifetimeCounter === true && row.lifetimeNvlinkIsWarning;
  return reaction(
    incident.result === 'FAIL' && !isMild ? 'fatal' : 'warning',
    `DCGMHealthCode${incident.code}`,
    `DCGM detected issues in health check system with error code ${incident.code}`,
  );
}

const fabricStatusNames: Readonly<Record<string, string>> = {
  4: 'Failure',
  5: 'Unrecognized',
  6: 'NvmlTooOld',
};

/** As [name, shift, width, lowest fault, highest fault]; nvml.h, NVML_GPU_FABRIC_HEALTH_MASK_…. */
const fabricMaskGroups = [
  ['degraded_bw', 0n, 2n, 1n, 1n],
  ['route_recovery', 2n, 2n, 1n, 1n],
  ['route_unhealthy', 4n, 2n, 1n, 1n],
  ['access_timeout_recovery', 6n, 2n, 1n, 1n],
  ['incorrect_configuration', 8n, 4n, 2n, 15n],
] as const;

/**
 * nma.md §1.5, for one sample of a watched field. Fields 112, 856 and 857 count only by their status, and an injected
 * sample's status is always OK. A blank value (above 2^53, hence the bigint) is read like any other in every known version;
 * the main branch ignores it (nma.md §7).
 */
export function fieldReaction(
  row: NmaVersion,
  fieldId: number,
  value: number | bigint,
): Reaction | undefined {
  if (row.fabricRule === 'none') return undefined;
  if (fieldId === 170) return fabricManagerReaction(BigInt(value));
  return fieldId === 174 ? fabricMaskReaction(row, BigInt(value)) : undefined;
}

function fabricManagerReaction(status: bigint): Reaction | undefined {
  if (status >= 0n && status <= 3n) return undefined;
  const name = fabricStatusNames[String(status)] ?? `Unknown(${status})`;
  return reaction('fatal', 'FabricManagerNotRunning', `Fabric Manager status: ${name}`);
}

function fabricMaskReaction(row: NmaVersion, mask: bigint): Reaction | undefined {
  const hex = `0x${mask.toString(16)}`;
  if (row.fabricRule === 'any bit') {
    return mask === 0n ? undefined : reaction('fatal', 'NvidiaFabricError', `GPU fabric health mask: ${hex}`);
  }
  const faults = fabricMaskGroups.flatMap(([name, shift, width, lowest, highest]) => {
    const group = (mask >> shift) & ((1n << width) - 1n);
    return group >= lowest && group <= highest ? [`${name}=${group}`] : [];
  });
  if (faults.length === 0) return undefined;
  return reaction('fatal', 'NvidiaFabricError', `GPU fabric health mask ${hex}: ${faults.join(', ')}`);
}

/** nma.md §1.6. `files` are names that match /dev/nvidia[0-9]*; `expected` is what the instance type has. */
export function deviceCountReaction(
  row: NmaVersion,
  counts: { readonly dcgm: number; readonly files: number; readonly expected?: number },
): Reaction | undefined {
  const { dcgm, files, expected } = counts;
  if (row.expectsGpuCount && expected !== undefined && dcgm < expected) {
    return reaction(
      row.deviceCountSeverity,
      'NvidiaDeviceCountMismatch',
      `expected ${expected} GPUs for this instance type but only ${dcgm} were detected — possible hardware failure`,
    );
  }
  if (dcgm === files) return undefined;
  return reaction(
    row.deviceCountSeverity,
    'NvidiaDeviceCountMismatch',
    `DCGM detected ${dcgm} GPUs but ${files} nvidia device files were detected`,
  );
}

/** nma.md §1.6: the engine is away for longer than the grace time. */
export function engineLossReaction(because: string): Reaction {
  return reaction(
    'fatal',
    'DCGMError',
    `failed to initialize DCGM: error connecting to nv-hostengine: ${because}`,
  );
}

const second = 1000;

/** Milliseconds from the cause to its visibility in the API, for a healthy NMA that is past its first ticks. */
export type ReactionWindow = {
  readonly bestMs: number;
  readonly typicalMs: number;
  readonly worstMs: number;
};

/** A condition waits for NMA's report, an event does not; what only ever ends in the condition has no event. */
type Windows = { readonly condition: ReactionWindow; readonly event?: ReactionWindow };

const logRule: Windows = {
  event: { bestMs: 100, typicalMs: 1 * second, worstMs: 5 * second },
  condition: { bestMs: 100, typicalMs: 8 * second, worstMs: 16 * second },
};
const fiveMinuteTick: ReactionWindow = { bestMs: 1 * second, typicalMs: 158 * second, worstMs: 316 * second };

/** nma.md §2.3. Lines of the journal and of files are seen as soon as kernel records. */
const windows: Readonly<Record<Via, Windows>> = {
  'kernel-log-rule': logRule,
  'journal-rule': logRule,
  'log-file-rule': logRule,
  policy: {
    event: { bestMs: 200, typicalMs: 1 * second, worstMs: 6 * second },
    condition: { bestMs: 200, typicalMs: 8 * second, worstMs: 20 * second },
  },
  'health-check': {
    event: { bestMs: 1 * second, typicalMs: 150 * second, worstMs: 300 * second },
    condition: fiveMinuteTick,
  },
  'watched-field': { condition: fiveMinuteTick },
  'device-count': { condition: fiveMinuteTick },
  'engine-loss': { condition: { bestMs: 60 * second, typicalMs: 95 * second, worstMs: 140 * second } },
  // Paused, not killed: the request that is under way runs into its own limit first.
  'engine-pause': { condition: { bestMs: 120 * second, typicalMs: 150 * second, worstMs: 200 * second } },
};

/** How long a reaction takes that NMA gives in this way; `none` is judged by the condition that must not change. */
export function reactionWindow(via: Via, kind: 'condition' | 'event' | 'none'): ReactionWindow {
  const { condition, event = condition } = windows[via];
  return kind === 'event' ? event : condition;
}

/** The report ticker of a fresh NMA process: conditions start True and dirty (nma.md §2.1). */
export const restartWindow: ReactionWindow = {
  bestMs: 15 * second,
  typicalMs: 15 * second,
  worstMs: 20 * second,
};
