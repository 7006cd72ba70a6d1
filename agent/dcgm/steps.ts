import type { Clock } from '../../shared/clock.ts';
import {
  defaultOffsetSeconds,
  type Recipe,
  type RecipeStep,
  recipeFor,
} from '../../shared/dcgm-fields/recipe.ts';
import type { FieldRow } from '../../shared/dcgm-fields/row.ts';
import { renderDuration } from '../../shared/duration.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { Reach } from '../../shared/schemas/order-members.ts';
import { parseInjection } from './codecs/injection.ts';
import type { Dcgmi } from './port.ts';

/** dcgmi tries for 5 s to reach an engine. */
const runMs = 10_000;

/** A value to be written into one engine for one GPU. */
export type Injection = {
  readonly engine: HostEngineFacts;
  /** The engine's number of the GPU, from `gpuIdFor`. */
  readonly gpuId: number;
  readonly field: FieldRow;
  /** Checked against the field's type; text only for fields of type string. */
  readonly value: number | string;
  /** Seconds ahead of now at which the sample is stamped; undefined: the recipe decides. */
  readonly offsetSeconds?: number | undefined;
  /** Who is to react; undefined: whoever reacts first. */
  readonly reach?: Reach | undefined;
  /** How long it is to last; undefined: once. */
  readonly forMs?: number | undefined;
  /** Written again so often, whatever the recipe says. */
  readonly everyMs?: number | undefined;
  /** From now until it is to be written; undefined: at once. */
  readonly dueMs?: number | undefined;
  /** Write it although the engine has no listener, or nothing reacts to the value. */
  readonly force?: boolean | undefined;
};

/**
 * The recipe for this order on its engine. `hasSample`: whether the engine has a sample already; undefined: not asked
 * yet.
 */
export function recipeOf(order: Injection, value: string, hasSample: boolean | undefined): Recipe {
  const { engine, gpuId, field, reach, offsetSeconds, forMs, everyMs, force } = order;
  const { version: engineVersion } = engine;
  const gpuName = engine.gpus.find(({ id }) => id === gpuId)?.name;
  return recipeFor({
    field,
    value,
    reach,
    engineVersion,
    gpuName,
    hasSample,
    offsetSeconds,
    forMs,
    everyMs,
    force,
  });
}

/** The step that writes what was asked for; others only prepare it. */
function mainStep({ steps }: Recipe, { field }: Injection): RecipeStep {
  const main = steps.findLast((step) => step.field === field.id);
  if (main === undefined) throw new RangeError(`the recipe of field ${field.id} does not write it`);
  return main;
}

/** When the main step's sample will be stamped if writing starts at `startMs`; both in ms. */
export function stampOf(recipe: Recipe, order: Injection, startMs: number): number {
  const { afterMs, offsetSeconds } = mainStep(recipe, order);
  return stampFor(startMs + afterMs, offsetSeconds);
}

/** dcgmi takes the whole second of its clock and adds the offset. */
export function stampFor(milliseconds: number, offsetSeconds: number): number {
  return (Math.floor(milliseconds / 1000) + offsetSeconds) * 1000;
}

type Written = {
  readonly main: RecipeStep;
  readonly commandLine: readonly string[];
  /** Between these two it was stamped. */
  readonly from: number;
  readonly to: number;
  /** Of the first step. */
  readonly startedAt: number;
};

/** Writes all steps in order and calls `startWriting` before the first. Refuses with what dcgmi answered. */
export async function writeSteps(
  deps: { readonly dcgmi: Dcgmi; readonly clock: Clock },
  order: Injection,
  recipe: Recipe,
  startWriting: () => void,
  signal: AbortSignal | undefined,
): Promise<Written> {
  const main = mainStep(recipe, order);
  let written: Written | undefined;
  let earlier: RecipeStep | undefined;
  const startedAt = deps.clock.now();
  for (const step of recipe.steps) {
    // From the end of the one before: two samples of one second are compared as one.
    const waitMs = step.afterMs - (earlier?.afterMs ?? step.afterMs);
    if (waitMs > 0) await deps.clock.sleep(waitMs, signal);
    const from = deps.clock.now();
    if (step === main) startWriting();
    const commandLine = await writeStep(deps.dcgmi, order, step, signal);
    if (step === main) written = { main, commandLine, from, to: deps.clock.now(), startedAt };
    earlier = step;
  }
  if (written === undefined) throw new RangeError('a recipe has its main step');
  return written;
}

/** A step beside the main one, as a note for the receipt. */
export function renderStep({ field, value, offsetSeconds }: RecipeStep): string {
  return `besides, field ${field} = ${value} was injected with offset ${renderDuration(offsetSeconds)}`;
}

/** Runs one injection and believes only dcgmi's own word of success. */
export async function writeStep(
  dcgmi: Dcgmi,
  { engine, gpuId }: Pick<Injection, 'engine' | 'gpuId'>,
  { field, value, offsetSeconds }: RecipeStep,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const args = ['test', '--inject', '--gpuid', String(gpuId), '-f', String(field), '-v', value];
  const more = offsetSeconds === defaultOffsetSeconds ? [] : ['--offset', String(offsetSeconds)];
  const run = await dcgmi.run(engine, [...args, ...more], limits(signal));
  const refusal = parseInjection(run);
  if (refusal !== undefined) throw refusal;
  return run.commandLine;
}

/** The time that one run of dcgmi may take, and what ends it early. */
export function limits(signal: AbortSignal | undefined): { timeoutMs: number; signal?: AbortSignal } {
  return signal === undefined ? { timeoutMs: runMs } : { timeoutMs: runMs, signal };
}
