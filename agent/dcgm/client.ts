import { type Clock, createDeadline } from '../../shared/clock.ts';
import type { Recipe } from '../../shared/dcgm-fields/recipe.ts';
import { chooseEngine, gpuIdFor, unseenEngines } from '../../shared/engines/choose.ts';
import type { Log } from '../../shared/log.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { EngineSelector } from '../../shared/schemas/order-members.ts';
import type { Introspection } from '../../shared/schemas/read-back.ts';
import type { EngineFinder } from '../engines/port.ts';
import { createAlertSlots } from './alert-slots.ts';
import { describeEngine } from './describe.ts';
import { endHold, type Hold } from './hold.ts';
import { assertInjectable, type Injected, injectField, introspect, type Repetition } from './inject.ts';
import { limitDcgmi, shareLooks } from './limited.ts';
import type { Dcgmi } from './port.ts';
import type { Injection } from './steps.ts';

/** All that the agent does with DCGM. Refuses with what was seen; never reports an effect that was not read back. */
export type Dcgm = {
  /**
   * Every host engine of the node; one that does not answer is there with its problems. All who ask at the same time share one
   * look, which takes 30 s at most, and its answer serves for a moment after it.
   */
  list(signal?: AbortSignal): Promise<HostEngineFacts[]>;
  /** The engine that was asked for, else the one that NMA listens on; by a look that is under way or a new one. */
  choose(
    selector?: EngineSelector,
    options?: { readonly force?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<HostEngineFacts>;
  /** Null: the engine has no entry for the field on this GPU. */
  introspect(
    engine: HostEngineFacts,
    gpuId: number,
    fieldId: number,
    signal?: AbortSignal,
  ): Promise<Introspection | null>;
  /** Refuses what `inject` would refuse at this moment, and answers with how it would write. Takes nothing. */
  assertInjectable(order: Injection): Promise<Recipe>;
  /**
   * Writes it and reads it back. Refuses with a reason of errors.ts where it was not written, or not found
   * afterwards.
   */
  inject(order: Injection, signal?: AbortSignal, repetition?: Repetition): Promise<Injected>;
  /** Takes the sample of a recipe's `hold` back, where it still stands; reports what was done. */
  endHold(hold: Hold, signal?: AbortSignal): Promise<string>;
  /** DCGM's number of a GPU, joined by UUID or PCI address. */
  gpuIdFor(
    engine: HostEngineFacts,
    gpu: { readonly uuid?: string | undefined; readonly pci?: string | undefined },
  ): number;
};

/** An answer serves reads for so long; a write looks anew. */
const keptMs = 1000;

/** A look runs several dcgmi per engine. */
const lookMs = 30_000;

/** DCGM over the engines that `finder` sees, each with its own `dcgmi`. */
export function createDcgm(deps: {
  readonly finder: EngineFinder;
  readonly dcgmi: Dcgmi;
  readonly clock: Clock;
  readonly log: Log;
  /** How long an answer of `list` serves further callers; absent: a second of the clock. */
  readonly keepMs?: number;
}): Dcgm {
  const { finder, clock, log, keepMs = keptMs } = deps;
  const slots = createAlertSlots();
  // Each purpose has its own, so that a flood of one keeps none of the others waiting. What writes is bounded by the number of
  // orders, what looks by the number of engines.
  const looking = limitDcgmi(deps.dcgmi, { atOnce: 8 });
  const reading = limitDcgmi(deps.dcgmi, { atOnce: 2, waiting: 16 });
  const dcgmi = limitDcgmi(deps.dcgmi, { atOnce: 4 });
  const looks = shareLooks({ look, elapsed: () => clock.elapsed(), keepMs });

  async function look(): Promise<HostEngineFacts[]> {
    const engines = await finder.find();
    // Real time, as that of dcgmi itself.
    const deadline = createDeadline(lookMs);
    const described = await Promise.all(
      engines.map((engine) => describeEngine(engine, looking, deadline.signal)),
    ).finally(deadline.release);
    for (const engine of described) {
      if (engine.problems.length > 0) log.warn({ pid: engine.pid, problems: engine.problems }, 'host engine');
    }
    return described;
  }

  const list = (signal?: AbortSignal) => looks.recent(signal);
  const parts = { dcgmi, clock, slots, list };
  return {
    list,
    async choose(selector, options = {}) {
      const engines = await looks.fresh(options.signal);
      // That none is seen says nothing where none of the host could be.
      const blind = engines.length === 0 ? await finder.whyBlind() : undefined;
      if (blind !== undefined) throw unseenEngines(blind);
      return chooseEngine(engines, selector, options.force === true);
    },
    introspect: (engine, gpuId, fieldId, signal) => introspect(reading, engine, gpuId, fieldId, signal),
    assertInjectable: (order) => assertInjectable(parts, order),
    inject: (order, signal, repetition) => injectField(parts, order, signal, repetition),
    endHold: (hold, signal) => endHold(parts, hold, signal),
    gpuIdFor,
  };
}
