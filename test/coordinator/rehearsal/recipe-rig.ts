import type { Violation } from '../../../coordinator/catalogue/nma/reactions.ts';
import {
  createHostEngine,
  type EngineConnection,
} from '../../../coordinator/rehearsal/host-engine/engine.ts';
import type { EngineGpuOptions } from '../../../coordinator/rehearsal/host-engine/readings.ts';
import type { Clock } from '../../../shared/clock.ts';
import { fieldById } from '../../../shared/dcgm-fields/find.ts';
import {
  type Recipe,
  type RecipeInput,
  type RecipeStep,
  recipeFor,
} from '../../../shared/dcgm-fields/recipe.ts';

export const inSeconds = (seconds: number): number => seconds * 1000;

type Order = Partial<RecipeInput> & {
  readonly value: string;
  readonly engine: string | null;
};

/** What would be carried out; all that is not said is as if nobody had said it. */
export function recipeOn({
  field,
  engine,
  ...order
}: Omit<Order, 'field'> & { readonly field: number }): Recipe {
  return recipeFor({
    reach: undefined,
    hasSample: undefined,
    offsetSeconds: undefined,
    forMs: undefined,
    ...order,
    field: fieldById(field),
    engineVersion: engine,
  });
}

type Event = { readonly atMs: number; readonly run: () => void };
const tickMs = 300_000;

/** An engine with a client that does what the node monitoring agent does, on a clock that jumps from event to event. */
export function rig(options: {
  readonly version: string;
  readonly gpu: EngineGpuOptions;
  readonly others?: readonly EngineGpuOptions[];
  /** Milliseconds after a whole second. */
  readonly beginning: number;
  readonly listen?: boolean;
}) {
  const { version, gpu, others = [], beginning, listen = true } = options;
  const startMs = Date.UTC(2026, 10, 23, 2, 24, 8) + beginning;
  let nowMs = startMs;
  let events: Event[] = [];
  const clock: Clock = {
    now: () => nowMs,
    elapsed: () => nowMs,
    sleep: () => Promise.reject(new Error('nothing waits here')),
  };
  const engine = createHostEngine({ clock, version, gpus: [gpu, ...others], pid: 100 });
  const heard: Violation[] = [];
  /** What health ticks found, and what readings of the watched fields gave. */
  const seen: string[] = [];
  const read: string[] = [];
  let connection: EngineConnection | undefined;

  function connect(): void {
    connection = engine.connect('nma');
    connection.registerPolicies((violation) => heard.push(violation));
    connection.enableHealth();
    connection.watchFields('watch', [112, 856, 857, 170, 174]);
  }

  function runUntil(endMs: number): void {
    for (;;) {
      const next = events
        .filter(({ atMs }) => atMs <= endMs)
        .reduce<Event | undefined>(
          (first, event) => (first === undefined || event.atMs < first.atMs ? event : first),
          undefined,
        );
      if (next === undefined) break;
      events = events.filter((event) => event !== next);
      nowMs = Math.max(nowMs, next.atMs);
      next.run();
    }
    nowMs = endMs;
    // Whoever looks has the engine catch up with its readings.
    engine.healthCheck();
    for (const field of [319, 150]) engine.facts(gpu.id, field);
  }

  /** As dcgmi does it: the whole second of now, plus the offset. */
  function write({ field, value, offsetSeconds }: Omit<RecipeStep, 'afterMs'>, gpuId = gpu.id): void {
    const isBlank = field === 155 && Number(value) >= 140737488355328;
    engine.inject({
      gpuId,
      fieldId: field,
      value: isBlank ? undefined : Number(value),
      text: value,
      stampMs: (Math.floor(nowMs / 1000) + offsetSeconds) * 1000,
    });
  }

  const codesNow = () =>
    engine
      .healthCheck()
      .filter(({ gpuId }) => gpuId === gpu.id)
      .map(({ code, result }) => `${code} ${result}`);
  if (listen) connect();

  return {
    engine,
    heard,
    seen,
    read,
    connect,
    codes: codesNow,
    inject: (field: number, value: number, offsetSeconds = 1, gpuId = gpu.id) =>
      write({ field, value: String(value), offsetSeconds }, gpuId),
    /** As introspection tells it: a sample, and the driver has the value. */
    hasSample(field: number): boolean {
      const facts = engine.facts(gpu.id, field);
      return facts !== undefined && facts.samples > 0 && facts.status === 0;
    },
    /** To so long after the beginning. */
    to: (afterMs: number) => runUntil(startMs + afterMs),
    run: (forMs: number) => runUntil(nowMs + forMs),
    /** Beats, deadline and undo as the agent keeps them. */
    carryOut({ steps, repeat, hold }: Recipe, { stopAfterMs }: { readonly stopAfterMs?: number } = {}): void {
      const beginMs = nowMs;
      const forMs = repeat?.forMs ?? 1;
      for (let beatMs = 0; beatMs < forMs; beatMs += repeat?.everyMs ?? 1) {
        for (const step of steps)
          events.push({ atMs: beginMs + beatMs + step.afterMs, run: () => write(step) });
      }
      if (hold === undefined) return;
      const heldMs = stopAfterMs ?? hold.forMs;
      for (const step of hold.undo) {
        const offsetSeconds = Math.max(0, step.offsetSeconds - Math.floor(heldMs / 1000));
        events.push({ atMs: beginMs + heldMs, run: () => write({ ...step, offsetSeconds }) });
      }
    },
    /** Health checks and readings of the watched fields, the first so many seconds from now. */
    everyTick(phaseSeconds: number): void {
      for (let tick = 0; tick < 3; tick += 1) {
        events.push({
          atMs: nowMs + phaseSeconds * 1000 + tick * tickMs,
          run: () => {
            seen.push(...codesNow());
            const values = connection?.valuesSince(nowMs - tickMs) ?? [];
            read.push(
              ...values
                .filter(({ fieldId, value }) => [170, 174].includes(fieldId) && value !== 0)
                .map(({ fieldId, value }) => `${fieldId}=${value}`),
            );
          },
        });
      }
    },
  };
}
