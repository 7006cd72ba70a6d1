import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { fieldById } from '../../shared/dcgm-fields/find.ts';
import type { RecipeStep } from '../../shared/dcgm-fields/recipe.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import { introspect } from './inject.ts';
import type { Dcgmi } from './port.ts';
import { writeStep } from './steps.ts';

/** A sample in the future that stands for the real ones until then. */
export type Hold = {
  readonly engine: HostEngineFacts;
  /** The engine's number of the GPU. */
  readonly gpuId: number;
  /** DCGM field id. */
  readonly field: number;
  /** The healthy values that take its place. */
  readonly undo: readonly RecipeStep[];
};

/**
 * Puts healthy values behind the injected sample: only a later stamp takes its place, so the offset is reckoned
 * from what the engine has now. Answers with what was done, as a sentence.
 */
export async function endHold(
  deps: { readonly dcgmi: Dcgmi; readonly clock: Clock },
  { engine, gpuId, field, undo }: Hold,
  signal?: AbortSignal,
): Promise<string> {
  const entry = await introspect(deps.dcgmi, engine, gpuId, field, signal);
  const newest = entry === null || entry.newest === null ? 0 : Date.parse(entry.newest);
  const [first] = undo;
  // A field that is seldom read keeps its sample long after the sample's own time.
  const staysMs = (fieldById(field).polledSeconds ?? 0) * 1000;
  if (newest + staysMs <= deps.clock.now() || first === undefined) {
    return `field ${field} on GPU ${gpuId} has no injected sample left to take back`;
  }
  let earlierMs = 0;
  for (const step of undo) {
    if (step.afterMs > earlierMs) await deps.clock.sleep(step.afterMs - earlierMs, signal);
    earlierMs = step.afterMs;
    const ahead = Math.ceil((newest - deps.clock.now()) / 1000) + 1;
    const offsetSeconds = Math.max(0, ahead + step.offsetSeconds - first.offsetSeconds);
    await writeStep(deps.dcgmi, { engine, gpuId }, { ...step, offsetSeconds }, signal);
  }
  const values = undo.map((step) => `${step.field} = ${step.value}`).join(', ');
  return `taken back with ${values} behind the sample of ${isoFromMillis(newest)}; the engine asks the driver again after it`;
}
