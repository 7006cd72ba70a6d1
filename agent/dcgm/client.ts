import type { Clock } from '../../shared/clock.ts';
import type { Recipe } from '../../shared/dcgm-fields/recipe.ts';
import { chooseEngine, gpuIdFor } from '../../shared/engines/choose.ts';
import type { Log } from '../../shared/log.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { EngineSelector } from '../../shared/schemas/order.ts';
import type { Introspection } from '../../shared/schemas/receipt.ts';
import type { EngineFinder } from '../engines/port.ts';
import { createAlertSlots } from './alert-slots.ts';
import { describeEngine } from './describe.ts';
import { endHold, type Hold } from './hold.ts';
import { assertInjectable, type Injected, injectField, introspect, type Repetition } from './inject.ts';
import type { Dcgmi } from './port.ts';
import type { Injection } from './steps.ts';

/** All that the agent does with DCGM. Refuses with what was seen; never reports an effect that was not read back. */
export type Dcgm = {
  /** Every host engine of the node; one that does not answer is there with its problems, after 13 s at most. */
  list(signal?: AbortSignal): Promise<HostEngineFacts[]>;
  /** The engine that was asked for, else the one that the node monitoring agent listens on. */
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

/** DCGM over the engines that `finder` sees, each with its own `dcgmi`. */
export function createDcgm(deps: {
  readonly finder: EngineFinder;
  readonly dcgmi: Dcgmi;
  readonly clock: Clock;
  readonly log: Log;
}): Dcgm {
  const { finder, dcgmi, clock, log } = deps;
  const slots = createAlertSlots();

  async function list(signal?: AbortSignal): Promise<HostEngineFacts[]> {
    const engines = await finder.find();
    const described = await Promise.all(engines.map((engine) => describeEngine(engine, dcgmi, signal)));
    for (const engine of described) {
      if (engine.problems.length > 0) log.warn({ pid: engine.pid, problems: engine.problems }, 'host engine');
    }
    return described;
  }

  const parts = { dcgmi, clock, slots, list };
  return {
    list,
    async choose(selector, options = {}) {
      return chooseEngine(await list(options.signal), selector, options.force === true);
    },
    introspect: (engine, gpuId, fieldId, signal) => introspect(dcgmi, engine, gpuId, fieldId, signal),
    assertInjectable: (order) => assertInjectable(parts, order),
    inject: (order, signal, repetition) => injectField(parts, order, signal, repetition),
    endHold: (hold, signal) => endHold(parts, hold, signal),
    gpuIdFor,
  };
}
