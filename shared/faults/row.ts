import type { Surface } from '../schemas/receipt.ts';

/** A fault is a row: adding one touches nothing but its row and its test. */
export type FaultRow = {
  readonly name: string;
  readonly title: string;
  readonly surfaces: readonly Surface[];
  readonly parameters: Readonly<Record<string, ParameterRow>>;
  /** How it is injected; the channels are in channels.ts. */
  readonly channel: Channel;
  /** What it can do to the node beyond what is wanted. */
  readonly risk: string;
  readonly undo: string;
  readonly needsGpu: boolean;
  readonly sources: readonly string[];
};

export type Channel =
  /** One kernel record; `{parameter}` is filled in, `{marker}` is six characters that are new in each order. */
  | { readonly kind: 'kernel-message'; readonly text: string }
  | { readonly kind: 'xid' }
  | { readonly kind: 'dcgm-field' };

export type ParameterRow = {
  readonly type: 'integer' | 'number' | 'text' | 'boolean' | 'surfaces' | 'process' | 'engine' | 'scalar';
  readonly help: string;
  readonly required?: boolean;
  /** May hold `{marker}` and `{markerNumber}` (1000 to 9999). */
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
};
