import type { Surface } from '../../shared/schemas/receipt.ts';
import type { Channel } from './channels.ts';

/** A fault is a row: adding one touches nothing but its row and its test. */
export type FaultRow = {
  /** As in `fault.name`; lower case with dashes. */
  readonly name: string;
  /** A sentence without full stop, for lists. */
  readonly title: string;
  /** Where it can be written. */
  readonly surfaces: readonly Surface[];
  readonly parameters: Readonly<Record<string, ParameterRow>>;
  /**
   * How it is injected; the channels are in channels/. In a text `{parameter}` is filled in; `{marker}` is six characters that
   * are new in each order, `{markerNumber}` 1000 to 9999.
   */
  readonly channel: Channel;
  /** What it can do to the node beyond what is wanted. */
  readonly risk: string;
  /** What takes it back, or until when it stays. */
  readonly undo: string;
  /** False: it can be drilled on any node. */
  readonly needsGpu: boolean;
  /** Repository and file, or the page, that the row rests on. */
  readonly sources: readonly string[];
};

/** A fault that people ask for and that this product does not make. */
export type NotOfferedRow = {
  /** What people call it. */
  readonly name: string;
  readonly title: string;
  /** What the monitoring agent would show. */
  readonly reaction: string;
  /** Why not. */
  readonly because: string;
  /** A fault that shows the same, or comes near. */
  readonly instead?: string;
  readonly sources: readonly string[];
};

/** A parameter of a fault: type, range and unit are checked, `help` is shown. */
export type ParameterRow = {
  readonly type:
    | 'integer'
    | 'number'
    | 'text'
    | 'boolean'
    | 'choice'
    | 'surfaces'
    | 'process'
    | 'engine'
    | 'scalar'
    | 'nvlink'
    | 'mig'
    | 'switch'
    | 'steps';
  /** What it is, without its default. */
  readonly help: string;
  /** As it stands behind the number, `s`. */
  readonly unit?: string;
  readonly required?: boolean;
  /** May hold `{marker}` and `{markerNumber}` (1000 to 9999). */
  readonly default?: unknown;
  /** Of a required one: what the documentation and the checks at start take. */
  readonly example?: unknown;
  /** Others that it needs to be of use; the checks at start take them. */
  readonly goesWith?: Readonly<Record<string, unknown>>;
  readonly minimum?: number;
  readonly maximum?: number;
  /** Of a `text`; a regular expression for the whole of it. */
  readonly pattern?: string;
  /** Of a `choice`. */
  readonly allowed?: readonly (string | number | boolean)[];
};
