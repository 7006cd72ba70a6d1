import type { Reach } from '../schemas/order.ts';
import type { FieldRow } from './row.ts';

export type RecipeStep = {
  readonly field: number;
  /** As `dcgmi -v` takes it. */
  readonly value: string;
  /** After the first step of the recipe. */
  readonly afterMs: number;
  readonly offsetSeconds: number;
};

/** How a value has to be written so that who is to react sees it, on one engine version. */
export type Recipe = {
  readonly steps: readonly RecipeStep[];
  /** Set where one writing is not enough: the steps again, so often and so long. */
  readonly repeat?: { readonly everyMs: number; readonly forMs: number };
  /** Set where one sample in the future stands for all: how long it holds, and what ends it early. */
  readonly hold?: { readonly forMs: number; readonly undo: readonly RecipeStep[] };
  /** Why so, one sentence a reason. */
  readonly because: readonly string[];
};

export type RecipeInput = {
  readonly field: FieldRow;
  /** What `assertFieldValue` returned. */
  readonly value: string;
  /** undefined: whoever reacts first. */
  readonly reach: Reach | undefined;
  /** null: unknown, judged as the newest. */
  readonly engineVersion: string | null;
  /** Whether the engine has a sample of the field on this GPU; undefined: not asked yet. */
  readonly hasSample: boolean | undefined;
  readonly offsetSeconds: number | undefined;
  /** How long it is to last; undefined: once. */
  readonly forMs: number | undefined;
};

/** Pure. */
export function recipeFor({ field, value, offsetSeconds = 1 }: RecipeInput): Recipe {
  return { steps: [{ field: field.id, value, afterMs: 0, offsetSeconds }], because: [] };
}
