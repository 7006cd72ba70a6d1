import type { GenerationRange } from '../gpu-generations.ts';

/** The type in which DCGM stores the field (dcgm_fields.h). */
export type FieldType = 'int64' | 'double' | 'string' | 'binary';

/** The seven kinds of violation that a client of the host engine can register for. */
export type PolicyKind = 'XID' | 'DBE' | 'PCIe' | 'NVLink' | 'MaxRtPg' | 'Thermal' | 'Power';

/** When a value counts. The rules are data, so that a new field is a row and no code. */
export type Rule =
  /** Every value, 0 included. */
  | { readonly op: 'any' }
  /** More than the sample before it; `by`: at least by so much, `below`: by less than that. */
  | { readonly op: 'increase'; readonly by?: number; readonly below?: number }
  /** Another value than the first sample of the last minute. */
  | { readonly op: 'change' }
  /** `truncated`: the fraction is cut off before the comparison; `below`: from there on it is a blank and counts not. */
  | {
      readonly op: '>' | '>=' | '<' | '=';
      readonly threshold: number;
      readonly truncated?: boolean;
      readonly below?: number;
    }
  | { readonly op: 'in' | 'not-in'; readonly values: readonly number[] }
  | { readonly op: 'not-text'; readonly values: readonly string[] }
  /** Groups of bits as [shift, width, lowest fault, highest fault]; one faulty group is enough. */
  | { readonly op: 'mask'; readonly groups: readonly (readonly [number, number, number, number])[] }
  /** Packed as mantissa × 256 + exponent: neither of the two as in 4095, which stands for no errors. */
  | { readonly op: 'not-clean-rate' }
  /** Packed as mantissa × 256 + exponent, read as mantissa × 10^-exponent; `zero`: whether 0 counts as well. */
  | { readonly op: 'error-rate'; readonly above: number; readonly zero: boolean };

/** Both ends are allowed; in the field's unit. */
export type Range = { readonly minimum: number; readonly maximum: number };

/** One reader that reacts to the field: `rule` has the values. */
export type Effect =
  | { readonly kind: 'policy'; readonly policy: PolicyKind; readonly rule: Rule; readonly note?: string }
  | {
      readonly kind: 'health';
      readonly system: string;
      /** The code of the health incident (dcgm_errors.h); for an Xid the most frequent one. */
      readonly code: number;
      readonly result: 'WARN' | 'FAIL';
      readonly rule: Rule;
      /** The newest sample counts, however old it is; absent: only samples from a minute ago on. */
      readonly latest?: true;
      /** The first host engine version that has the check. */
      readonly since?: string;
      /** The first one that has another check in its place. */
      readonly until?: string;
      /** The generations of GPU that have it; absent: all. */
      readonly gpus?: GenerationRange;
      readonly note?: string;
    }
  /** Read by the node monitoring agent itself, every 5 minutes. */
  | { readonly kind: 'watch'; readonly reason: string; readonly rule: Rule; readonly note?: string };

/** A DCGM field that can be injected: what it means, who reacts to which value, what people confuse it with. */
export type FieldRow = {
  /** The number in dcgm_fields.h, the same in every release. */
  readonly id: number;
  /** Since DCGM 4.6. */
  readonly name: string;
  /** Up to DCGM 4.5, where it differs. */
  readonly legacyName?: string;
  /** Up to DCGM 3.3, where it differs again. */
  readonly olderName?: string;
  /** The short name, such as `xid_errors`. */
  readonly tag?: string;
  /** Decides how a value is checked and how `dcgmi -v` takes it. */
  readonly type: FieldType;
  /** As it stands behind a number, `°C`; absent: a count or a code. */
  readonly unit?: string;
  /** What hardware can have; another value is refused unless it is forced or a rule names it. Absent: a text. */
  readonly range?: Range;
  /** The quantity, as the end of the sentence "field 150 is …". */
  readonly what: string;
  /** How often the engine reads it for itself, where that is neither the 10 s of a policy nor the 30 s of health. */
  readonly polledSeconds?: number;
  /** The field that the same rules add to this one. */
  readonly otherHalf?: number;
  /** The health checks remember every value until the engine restarts. */
  readonly sticky?: true;
  /** What takes an injected value back; 0 where absent. */
  readonly healthy?: string;
  /** Absent: nothing reacts to any value. */
  readonly effects?: readonly Effect[];
  /** Why nothing reacts, where that is surprising. */
  readonly blind?: string;
  /** Values that do harm and are never injected. */
  readonly forbidden?: readonly { readonly rule: Rule; readonly because: string }[];
  /** What people who take this field usually want. */
  readonly confusedWith?: readonly { readonly field: number; readonly because: string }[];
  /** Values known by a name of their own: who writes one of them into another field may mean this one. */
  readonly wellKnown?: { readonly word: string; readonly values: readonly number[] };
};
