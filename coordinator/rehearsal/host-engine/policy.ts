import { compareVersions } from '../../../shared/compare-versions.ts';
import { policySlotMs } from '../../../shared/nma-timing.ts';
import type { Violation } from '../../catalogue/nma/reactions.ts';
import type { Sample } from './cache.ts';

/** Set for the whole engine: a value must be above it. Pages, °C, W. */
export type PolicyThresholds = {
  readonly retiredPages: number;
  readonly celsius: number;
  readonly watts: number;
};

/** What a policy decides by when a sample comes in. */
export type PolicyInput = {
  /** DCGM release of the engine. */
  readonly version: string;
  readonly fieldId: number;
  /** The series up to the injected sample's own time, oldest first. */
  readonly series: readonly Sample[];
  readonly injected: Sample;
  readonly thresholds: PolicyThresholds;
  /** The newest value of the other half of the retired pages. */
  readonly otherPages: number | undefined;
};

/** What the policies of an engine make of a new sample (modules/policy/DcgmPolicyManager.cpp; measured). */
export function violationOf(input: PolicyInput): Violation | undefined {
  const { fieldId, injected, thresholds } = input;
  const { value } = injected;
  if (value === undefined) return undefined;
  switch (fieldId) {
    case 230:
      return { policy: 'XID', xid: value };
    case 319:
      return counted(input, (errors) => ({ policy: 'DBE', errors }));
    case 202:
      return counted(input, (replays) => ({ policy: 'PCIe', replays }));
    case 409:
    case 419:
    case 429:
    case 439:
      return counted(input, (errors) => ({ policy: 'NVLink', fieldId, errors }));
    case 390:
    case 391:
      return retiredPages(input, value);
    case 150:
      return value > thresholds.celsius ? { policy: 'Thermal', celsius: value } : undefined;
    case 155:
      return Math.trunc(value) > thresholds.watts ? { policy: 'Power', watts: Math.trunc(value) } : undefined;
    default:
      return undefined;
  }
}

/** From 4.6.0 the newest sample has to be above the one before it, up to 4.5.3 above 0. */
function counted(input: PolicyInput, make: (total: number) => Violation): Violation | undefined {
  if (compareVersions(input.version, '4.6.0') < 0) {
    return (input.injected.value ?? 0) > 0 ? make(input.injected.value ?? 0) : undefined;
  }
  // Of two injections in one second the second one is stored behind its own time, so the first is judged again.
  const [before, newest] = input.series.slice(-2).map((sample) => sample.value);
  return before !== undefined && newest !== undefined && newest > before ? make(newest) : undefined;
}

function retiredPages(input: PolicyInput, value: number): Violation | undefined {
  const other = input.otherPages;
  if (other === undefined || value + other <= input.thresholds.retiredPages) return undefined;
  const [sbePages, dbePages] = input.fieldId === 390 ? [value, other] : [other, value];
  return { policy: 'MaxRtPg', sbePages, dbePages };
}

/** What one listener's registration remembers: one alert a kind and GPU in 5 s of sample time, the rest is dropped. */
export function createAlertSlots() {
  const last = new Map<string, number>();
  return {
    take(gpuId: number, policy: Violation['policy'], stampUs: number): boolean {
      const key = `${gpuId}/${policy}`;
      const earlier = last.get(key);
      // An earlier stamp makes a negative difference and is dropped as well (measured).
      if (earlier !== undefined && stampUs - earlier < policySlotMs * 1000) return false;
      last.set(key, stampUs);
      return true;
    },
  };
}
