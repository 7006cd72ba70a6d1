import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { explainNoEffect, notesOn, policiesOf, reactionsTo } from '../../shared/dcgm-fields/effect.ts';
import type { FieldRow } from '../../shared/dcgm-fields/row.ts';
import { assertFieldValue } from '../../shared/dcgm-fields/value.ts';
import { Refusal } from '../../shared/errors.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { Introspection } from '../../shared/schemas/receipt.ts';
import type { AlertSlots, AlertTarget, TakenSlots } from './alert-slots.ts';
import { assertListened, gpuMissing } from './choose.ts';
import { parseInjection } from './codecs/injection.ts';
import { parseIntrospection } from './codecs/introspection.ts';
import { isVersionAtLeast } from './codecs/versions.ts';
import type { Dcgmi } from './port.ts';

/** dcgmi's own default: it stamps a sample one second ahead (measured, every version). */
export const defaultOffsetSeconds = 1;
/** A sample in the future stops the real polling of its field and mutes its alerts until then. */
const longestOffsetSeconds = 600;
/** dcgmi tries for 5 s to reach an engine. */
const runMs = 10_000;
/** From this version on a counter policy compares with the sample before (absent up to 4.5.3). */
const deltaSince = '4.6.0';
/** Rules that need an earlier sample. */
const comparing = new Set(['increase', 'change']);

export type Injection = {
  readonly engine: HostEngineFacts;
  /** The engine's number of the GPU, from `gpuIdFor`. */
  readonly gpuId: number;
  readonly field: FieldRow;
  readonly value: number | string;
  readonly offsetSeconds?: number | undefined;
  /** Although nobody listens, or nobody reacts to the value. */
  readonly force?: boolean | undefined;
};

export type Injected = {
  readonly before: Introspection | null;
  readonly after: Introspection;
  /** The value as it was written. */
  readonly value: string;
  readonly commandLine: readonly string[];
  /** When it was written, on the clock that was given; the sample is stamped whole seconds later. */
  readonly at: string;
  readonly notes: readonly string[];
};

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
  readonly offset: number;
  readonly notes: string[];
  /** The alerts that the engine would send for it. */
  readonly target: AlertTarget;
};

/** Refuses what can be known to be in vain at this moment, an alert that the engine would drop among it. */
export async function assertInjectable(deps: InjectDeps, order: Injection): Promise<Checked> {
  const { engine, gpuId, field } = order;
  const offset = assertOffset(order.offsetSeconds ?? defaultOffsetSeconds);
  const value = assertFieldValue(field, order.value);
  const notes = assertEffect(field, value, order.force === true);
  assertGpu(engine, gpuId);
  if (!engine.nma.listening) {
    if (order.force !== true) assertListened(engine, await deps.list());
    notes.push(`forced although nobody listens on this engine (${engine.nma.evidence})`);
  }
  const target = { pid: engine.pid, gpuId, policies: policiesOf(field).map((entry) => entry.policy) };
  deps.slots.assertFree(target, stampFor(deps.clock.now(), offset));
  return { value, offset, notes, target };
}

/**
 * Writes a value into the engine's cache and proves it. Everything that can be known before is checked before, and
 * "Successfully injected" alone is not believed: the newest sample has to carry the second of this injection.
 */
export async function injectField(
  deps: InjectDeps,
  order: Injection,
  signal?: AbortSignal,
): Promise<Injected> {
  const { engine, gpuId, field } = order;
  const { value, offset, notes, target } = await assertInjectable(deps, order);
  const slot = deps.slots.take(target, stampFor(deps.clock.now(), offset));
  const written = await holdingSlot(slot, async (startWriting) => {
    const before = await introspect(deps.dcgmi, engine, gpuId, field.id, signal);
    if (needsBaseline(field, engine, before, value)) {
      await writeValue(deps, order, '0', offset, signal);
      // Past the next whole second: two samples of one second are compared as one.
      await deps.clock.sleep(1050, signal);
      notes.push('the engine had no sample to compare with, so 0 was injected one second before the value');
    }
    const from = deps.clock.now();
    startWriting();
    return { before, from, commandLine: await writeValue(deps, order, value, offset, signal) };
  });
  const { before, from, commandLine } = written;
  const to = deps.clock.now();
  slot.moveTo(stampFor(to, offset));
  const after = await introspect(deps.dcgmi, engine, gpuId, field.id, signal);
  const expected = { from: stampFor(from, offset), to: stampFor(to, offset) };
  assertVisible(order, before, after, expected);
  return { before, after, value, commandLine, at: isoFromMillis(from), notes };
}

/** The slot is given back when nothing was injected; a run that was killed may have done it before. */
async function holdingSlot<T>(slot: TakenSlots, work: (startWriting: () => void) => Promise<T>): Promise<T> {
  let isWriting = false;
  try {
    return await work(() => {
      isWriting = true;
    });
  } catch (thrown) {
    const isAnswered = thrown instanceof Refusal && thrown.reason !== 'dcgmi_timeout';
    if (!isWriting || isAnswered) slot.release();
    throw thrown;
  }
}

export function assertOffset(offset: number): number {
  if (Number.isInteger(offset) && offset >= 0 && offset <= longestOffsetSeconds) return offset;
  throw new Refusal(
    'offset_too_large',
    `offsetSeconds: ${offset} is not a whole number of seconds from 0 to ${longestOffsetSeconds}; a sample in the ` +
      'future mutes real alerts of its kind until then',
    { field: 'offsetSeconds', value: offset, allowed: { minimum: 0, maximum: longestOffsetSeconds } },
  );
}

export function assertEffect(field: FieldRow, value: string, force: boolean): string[] {
  const nothing = explainNoEffect(field, value);
  if (nothing === undefined)
    return [`reacts: ${reactionsTo(field, value).join(', ')}`, ...notesOn(field, value)];
  const hints = nothing.didYouMean.map((hint) => `${hint.field} = ${hint.value} (${hint.because})`);
  const question = hints.length === 0 ? '' : `; did you mean ${hints.join(', or ')}?`;
  if (force) return [`forced although it changes nothing: ${nothing.summary}`];
  throw new Refusal('field_value_no_effect', `${nothing.summary}${question}`, {
    field: 'value',
    value,
    fieldId: field.id,
    didYouMean: nothing.didYouMean,
    remedy: 'inject what was meant; or force',
  });
}

/** The engine puts the same words to a GPU that it does not have as to a field that nobody watches. */
function assertGpu(engine: HostEngineFacts, gpuId: number): void {
  if (!engine.gpus.some((gpu) => gpu.id === gpuId)) throw gpuMissing(engine, String(gpuId));
}

function needsBaseline(
  field: FieldRow,
  engine: HostEngineFacts,
  before: Introspection | null,
  value: string,
): boolean {
  if (Number(value) <= 0 || (before !== null && before.samples > 0)) return false;
  const rules = policiesOf(field).map((entry) => entry.rule.op);
  // Health checks compare over a minute, in every version; for a field that has both, the policy decides.
  if (rules.length === 0) return (field.effects ?? []).some(({ rule }) => comparing.has(rule.op));
  return rules.includes('increase') && isVersionAtLeast(engine.version, deltaSince);
}

async function writeValue(
  deps: InjectDeps,
  { engine, gpuId, field }: Injection,
  value: string,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const args = ['test', '--inject', '--gpuid', String(gpuId), '-f', String(field.id), '-v', value];
  const more = offset === defaultOffsetSeconds ? [] : ['--offset', String(offset)];
  const run = await deps.dcgmi.run(engine, [...args, ...more], limits(signal));
  const refusal = parseInjection(run);
  if (refusal !== undefined) throw refusal;
  return run.commandLine;
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
  // The count alone proves nothing where nobody watches; the time alone nothing where it was there before.
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

/** dcgmi takes the whole second of its clock and adds the offset. */
function stampFor(milliseconds: number, offsetSeconds: number): number {
  return (Math.floor(milliseconds / 1000) + offsetSeconds) * 1000;
}

function limits(signal: AbortSignal | undefined): { timeoutMs: number; signal?: AbortSignal } {
  return signal === undefined ? { timeoutMs: runMs } : { timeoutMs: runMs, signal };
}
