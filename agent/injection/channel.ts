import type { RecipeStep } from '../../shared/dcgm-fields/recipe.ts';
import type { Refusal } from '../../shared/errors.ts';
import type { Surface, SurfaceResult } from '../../shared/schemas/receipt.ts';
import type { ProcessIdentity } from '../engine-process/port.ts';
import type { Recovered } from './recovery.ts';

/** One part of an order. `prepare` may refuse and has no effect. */
export type Channel = {
  readonly surface: Surface;
  /** When it is due, from the acceptance of the order; 0: before the answer. */
  readonly afterMs: number;
  /** What takes it back, or until when it stays. */
  readonly undo: string;
  /** Checks everything that can be checked before the first effect. */
  prepare(): Promise<Prepared>;
};

/** A part that passed its checks and can be written. */
export type Prepared = {
  /** Writes and reads back; again at every refresh of a sustained part. */
  write(signal: AbortSignal): Promise<InjectedPart>;
  /** Set: it is sustained after the first write. */
  readonly sustain?: SustainPlan;
};

/** What was written and read back, as the receipt has it. */
export type InjectedPart = Pick<SurfaceResult, 'written' | 'readBack' | 'engine' | 'notes'> & {
  /** When the first thing was written, in milliseconds of the agent's clock; absent: when it was begun. */
  readonly startedAt?: number;
  /**
   * Reads it back once more where the reader reads, after everything that is due at the same time has been written. Never
   * rejects: `refusal` is why the part counts as failed, although it was written.
   */
  readonly confirm?: (signal: AbortSignal) => Promise<Confirmed>;
};

/** What the second read-back found, as the receipt has it. */
export type Confirmed = Pick<SurfaceResult, 'readBack' | 'notes'> & { readonly refusal?: Refusal };

/** How a part is sustained after its first write. */
export type SustainPlan = {
  /** From the first write, ms. */
  readonly forMs: number;
  /** The refresh interval, ms; null: the first write stays by itself. */
  readonly everyMs: number | null;
  /** What has to be taken back at the end, also by the next process of the agent. */
  readonly recovery?: Recovery;
  /** Takes it back at the end and reports what was done; never throws. */
  end?(): Promise<Recovered>;
};

/** Enough to take something back after this process has died: it is on disk before the first effect. */
export type Recovery =
  | ({ readonly kind: 'process' } & ProcessIdentity)
  | {
      readonly kind: 'hold';
      /** Of the host engine. */
      readonly pid: number;
      readonly gpuId: number;
      readonly field: number;
      readonly undo: readonly RecipeStep[];
    };

/** What has to be taken back, and which part of its order has left it. */
export type PartRecovery = Recovery & { readonly part: number };

/** The entry of a part that was not written, or not proven. */
export function negative(
  part: Pick<Channel, 'surface' | 'afterMs' | 'undo'>,
  outcome: 'refused' | 'failed',
  refusal: Refusal,
): SurfaceResult {
  return {
    surface: part.surface,
    outcome,
    code: refusal.reason,
    message: refusal.message,
    details: { ...refusal.details },
    ...dueAfter(part),
    undo: outcome === 'refused' ? 'nothing was written' : part.undo,
    notes: [],
  };
}

/** The receipt's `afterSeconds`; absent for a part that is due at once. */
export function dueAfter({ afterMs }: Pick<Channel, 'afterMs'>): { afterSeconds?: number } {
  return afterMs === 0 ? {} : { afterSeconds: afterMs / 1000 };
}
