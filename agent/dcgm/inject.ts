import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import {
  explainNoEffect,
  notesOn,
  policiesOf,
  reactionsTo,
  refuseNoEffect,
} from '../../shared/dcgm-fields/effect.ts';
import { defaultOffsetSeconds, type Recipe } from '../../shared/dcgm-fields/recipe.ts';
import type { FieldRow } from '../../shared/dcgm-fields/row.ts';
import { assertFieldValue } from '../../shared/dcgm-fields/value.ts';
import { assertListened, gpuMissing } from '../../shared/engines/choose.ts';
import { Refusal } from '../../shared/errors.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { Introspection } from '../../shared/schemas/read-back.ts';
import type { AlertSlots, AlertTarget, TakenSlots } from './alert-slots.ts';
import { parseIntrospection } from './codecs/injection.ts';
import type { Dcgmi } from './port.ts';
import { type Injection, limits, recipeOf, renderStep, stampFor, stampOf, writeSteps } from './steps.ts';

/** A sample in the future stops the real polling of its field and mutes its alerts until then. */
const longestOffsetSeconds = 600;
/**
 * A step of a script that is due may find its slot taken for a moment: dcgmi stamps whole seconds, so that six seconds
 * of the clock can be five of the samples.
 */
const slotPatienceMs = 2000;

/** How one writing of several stands among them. */
export type Repetition = {
  /** The entry as it was read last; undefined: this is the first one. */
  readonly before?: Introspection | undefined;
  /** It was promised for this moment, so a slot that is free in a moment is waited for. */
  readonly isDue?: boolean;
};

/** What was written and how the engine's entry of the field looked before and after. */
export type Injected = {
  /** Null: the engine had no entry for the field on this GPU. */
  readonly before: Introspection | null;
  readonly after: Introspection;
  /** The value as it was written. */
  readonly value: string;
  readonly commandLine: readonly string[];
  /** When it was written, on the clock that was given; the sample is stamped whole seconds later. */
  readonly at: string;
  /** When the first step of the recipe was written, in milliseconds of that clock. */
  readonly startedAt: number;
  readonly notes: readonly string[];
};

/** What an injection runs with; `slots` are those of all orders of this agent. */
export type InjectDeps = {
  readonly dcgmi: Dcgmi;
  readonly clock: Clock;
  readonly slots: AlertSlots;
  /** All engines of the node, asked for only to say in a refusal which one would have been right. */
  readonly list: () => Promise<readonly HostEngineFacts[]>;
};

/** Reads the state of one field's cache entry; null where the engine has none. */
export async function introspect(
  dcgmi: Dcgmi,
  engine: HostEngineFacts,
  gpuId: number,
  fieldId: number,
  signal?: AbortSignal,
): Promise<Introspection | null> {
  assertGpu(engine, gpuId);
  const args = ['test', '--introspect', '--gpuid', String(gpuId), '-f', String(fieldId)];
  return parseIntrospection(await dcgmi.run(engine, args, limits(signal)));
}

type Checked = {
  readonly value: string;
  readonly notes: string[];
  /** The alerts that the engine would send for it. */
  readonly target: AlertTarget;
};

/** Refuses what can be known to be in vain at this moment, an alert that the engine would drop among it. */
export async function assertInjectable(deps: InjectDeps, order: Injection): Promise<Recipe> {
  const { value, target } = await check(deps, order);
  const recipe = recipeOf(order, value, undefined);
  deps.slots.assertFree(target, stampOf(recipe, order, deps.clock.now() + (order.dueMs ?? 0)));
  return recipe;
}

async function check(deps: InjectDeps, order: Injection): Promise<Checked> {
  const { engine, gpuId, field } = order;
  assertOffset(order.offsetSeconds ?? defaultOffsetSeconds);
  const value = assertFieldValue(field, order.value, 'value', { force: order.force });
  const notes = assertEffect(field, value, order.force === true);
  assertGpu(engine, gpuId);
  if (!engine.nma.listening) {
    if (order.force !== true) assertListened(engine, await deps.list());
    notes.push(`forced although this engine has no listener (${engine.nma.evidence})`);
  }
  const target = { pid: engine.pid, gpuId, policies: policiesOf(field).map((entry) => entry.policy) };
  return { value, notes, target };
}

/**
 * Writes a value into the engine's cache and proves it. Everything that can be known before is checked before, and
 * "Successfully injected" alone is not believed: the newest sample has to carry the second of this injection.
 */
export async function injectField(
  deps: InjectDeps,
  order: Injection,
  signal?: AbortSignal,
  repetition: Repetition = {},
): Promise<Injected> {
  const { engine, gpuId, field } = order;
  const { value, notes, target } = await check(deps, order);
  const slot = await takeSlot(deps, { order, value, target, repetition }, signal);
  const written = await holdingSlot(slot, signal, async (startWriting) => {
    const before = repetition.before ?? (await introspect(deps.dcgmi, engine, gpuId, field.id, signal));
    const recipe = recipeOf(order, value, hasValue(before));
    return { before, recipe, ...(await writeSteps(deps, order, recipe, startWriting, signal)) };
  });
  const { before, recipe, main, from, to } = written;
  slot.moveTo(stampFor(to, main.offsetSeconds));
  const after = await introspect(deps.dcgmi, engine, gpuId, field.id, signal);
  const expected = { from: stampFor(from, main.offsetSeconds), to: stampFor(to, main.offsetSeconds) };
  assertVisible(order, before, after, expected);
  return {
    before,
    after,
    value: main.value,
    commandLine: written.commandLine,
    at: isoFromMillis(from),
    startedAt: written.startedAt,
    notes: [...notes, ...recipe.because, ...recipe.steps.filter((step) => step !== main).map(renderStep)],
  };
}

type Slot = {
  readonly order: Injection;
  readonly value: string;
  readonly target: AlertTarget;
  readonly repetition: Repetition;
};

async function takeSlot(
  deps: InjectDeps,
  { order, value, target, repetition }: Slot,
  signal: AbortSignal | undefined,
): Promise<TakenSlots> {
  const stamp = () => stampOf(recipeOf(order, value, undefined), order, deps.clock.now());
  if (repetition.before !== undefined) return deps.slots.occupy(target, stamp());
  try {
    return deps.slots.take(target, stamp());
  } catch (thrown) {
    const waitMs = thrown instanceof Refusal ? Number(thrown.details.waitMs) : Number.NaN;
    if (repetition.isDue !== true || !(waitMs <= slotPatienceMs)) throw thrown;
    await deps.clock.sleep(waitMs, signal);
    return deps.slots.take(target, stamp());
  }
}

/** The slot is given back when nothing was injected; a run that was killed may have done it before. */
async function holdingSlot<T>(
  slot: TakenSlots,
  signal: AbortSignal | undefined,
  work: (startWriting: () => void) => Promise<T>,
): Promise<T> {
  let isWriting = false;
  try {
    return await work(() => {
      isWriting = true;
    });
  } catch (thrown) {
    const isKilled = signal?.aborted === true;
    const isAnswered = thrown instanceof Refusal && thrown.reason !== 'dcgmi_timeout' && !isKilled;
    if (!isWriting || isAnswered) slot.release();
    throw thrown;
  }
}

/** The offset itself, seconds, or refuses with `offset_too_large`. */
export function assertOffset(offset: number): number {
  if (Number.isInteger(offset) && offset >= 0 && offset <= longestOffsetSeconds) return offset;
  throw new Refusal(
    'offset_too_large',
    `offsetSeconds: ${offset} is not a whole number of seconds from 0 to ${longestOffsetSeconds}; a sample in the ` +
      'future mutes real alerts of its kind until then',
    { field: 'offsetSeconds', value: offset, allowed: { minimum: 0, maximum: longestOffsetSeconds } },
  );
}

/**
 * What reacts to the value, as notes for the receipt. Refuses with `field_value_no_effect` where nothing does, unless
 * forced.
 */
export function assertEffect(field: FieldRow, value: string, force: boolean): string[] {
  const nothing = explainNoEffect(field, value);
  if (nothing === undefined)
    return [`reacts: ${reactionsTo(field, value).join(', ')}`, ...notesOn(field, value)];
  if (force) return [`forced although it changes nothing: ${nothing.summary}`];
  throw refuseNoEffect(field, value, nothing);
}

/** The engine puts the same words to a GPU that it does not have as to a field without a watcher. */
function assertGpu(engine: HostEngineFacts, gpuId: number): void {
  if (!engine.gpus.some((gpu) => gpu.id === gpuId)) throw gpuMissing(engine, String(gpuId));
}

/** What the GPU does not support is read as well, and its samples are blanks that nothing can be compared with. */
function hasValue(entry: Introspection | null): boolean {
  return entry !== null && entry.samples > 0 && entry.lastStatus === 0;
}

function assertVisible(
  { engine, gpuId, field }: Injection,
  before: Introspection | null,
  after: Introspection | null,
  expected: { readonly from: number; readonly to: number },
): asserts after is Introspection {
  const newest =
    after === null || after.newest === null ? Number.NEGATIVE_INFINITY : Date.parse(after.newest);
  const grew = (after?.samples ?? 0) > (before?.samples ?? 0);
  const moved = after?.newest !== before?.newest;
  const isNewEnough = newest >= expected.from - 1000;
  const isOurs = newest <= expected.to + 1000;
  // The count alone proves nothing without a watcher; the time alone nothing where it was there before.
  if (isNewEnough && (isOurs ? moved || grew : grew)) return;
  const seen =
    after === null ? 'the engine has no entry' : `the newest sample is of ${after.newest ?? 'never'}`;
  throw new Refusal(
    'injection_not_visible',
    `the engine accepted field ${field.id} on GPU ${gpuId}, but ${seen}, and one of ` +
      `${isoFromMillis(expected.from)} was expected`,
    {
      enginePid: engine.pid,
      before,
      after,
      expected: { from: isoFromMillis(expected.from), to: isoFromMillis(expected.to) },
      remedy:
        'compare the clocks of the agent and the engine, and whether another engine answers at this address',
    },
  );
}
