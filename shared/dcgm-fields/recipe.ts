import { renderDuration } from '../duration.ts';
import { fieldTickMs, healthTickMs, healthTickSurelyMs } from '../nma-timing.ts';
import type { Reach } from '../schemas/order-members.ts';
import { refuseNoEffect } from './effect.ts';
import { countersCompareSince, keepsWatchedSince } from './engine-versions.ts';
import { effectOf, explainMiss, firstReach, isSince, type Reached } from './reach.ts';
import type { FieldRow } from './row.ts';

/** One run of `dcgmi test --inject`. */
export type RecipeStep = {
  /** DCGM field id. */
  readonly field: number;
  /** As `dcgmi -v` takes it. */
  readonly value: string;
  /** After the first step of the recipe. */
  readonly afterMs: number;
  /** How far ahead of the run the sample is stamped. */
  readonly offsetSeconds: number;
};

/** How a value has to be written so that who is to react sees it, on one engine version. */
export type Recipe = {
  readonly steps: readonly RecipeStep[];
  /** Set where one writing is not enough: the steps again, so often and so long. */
  readonly repeat?: { readonly everyMs: number; readonly forMs: number };
  /** Set where one sample of the future stands for all: how long, and what ends it early. */
  readonly hold?: { readonly forMs: number; readonly undo: readonly RecipeStep[] };
  /** Why so, one sentence a reason. */
  readonly because: readonly string[];
};

/** What decides how a value has to be written. */
export type RecipeInput = Reached & {
  /** undefined: whoever reacts first. */
  readonly reach: Reach | undefined;
  /** Whether the engine has a sample with a value of the field on this GPU; undefined: not asked yet. */
  readonly hasSample: boolean | undefined;
  /** Given by the caller; undefined: the recipe decides. */
  readonly offsetSeconds: number | undefined;
  /** How long it is to last; undefined: once, or until a health check has surely come where one is to react. */
  readonly forMs: number | undefined;
  /** With `forMs`: the refresh interval instead of the recipe's own, and no sample of the future. */
  readonly everyMs?: number | undefined;
  /** Write it although it does not reach whom it is meant for: the recipe notes it instead of refusing. */
  readonly force?: boolean | undefined;
};

/** dcgmi's own default: it stamps a sample one second ahead (measured, every version). */
export const defaultOffsetSeconds = 1;
/** Two samples of one whole second are compared as one, and dcgmi stamps whole seconds. */
const nextSecondMs = 1050;
/** Between two writings of a sustained value: well inside the 30 s after which the engine reads a field of the health checks itself. */
export const refreshMs = 20_000;
/** How often the engine reads the fields of policies and of health checks itself (dcgm.md §2, §3). */
const policyPollMs = 10_000;
const healthPollMs = 30_000;
/** A sample further ahead than this is refused; the one that takes it back lies a second behind it. */
const longestHoldSeconds = 599;

/**
 * How to write a value so that it is seen. Pure. Where a value does not reach who is meant it refuses, unless forced:
 * `field_value_no_effect`, with what would reach them.
 */
export function recipeFor(input: RecipeInput): Recipe {
  const { reach = firstReach(input), force = false } = input;
  const missed = input.reach === undefined ? undefined : explainMiss(input, input.reach);
  if (missed !== undefined && !force) throw refuseNoEffect(input.field, input.value, missed);
  const forced = missed === undefined ? [] : [`forced, although nothing follows: ${missed.summary}`];
  const { because, ...recipe } = recipes[reach ?? 'none'](input);
  return { ...recipe, because: [...forced, ...because] };
}

const recipes: Readonly<Record<Reach | 'none', (input: RecipeInput) => Recipe>> = {
  policy: policyRecipe,
  health: healthRecipe,
  watch: watchRecipe,
  none: (input) => repeated(input, { steps: [stepOf(input)], because: [] }, input.forMs),
};

function policyRecipe(input: RecipeInput): Recipe {
  const { field, engineVersion, hasSample, forMs } = input;
  const { otherHalf } = field;
  if (otherHalf !== undefined) {
    const because = `the policy adds up 390 and 391 and skips both where one has no value, so ${otherHalf} = 0 goes first`;
    const steps = [stepOf(input, { field: otherHalf, value: '0' }), stepOf(input)];
    return repeated(input, { steps, because: [because] }, forMs);
  }
  const once = { steps: [stepOf(input)], because: [] };
  if (effectOf(input, 'policy')?.rule.op !== 'increase') return repeated(input, once, forMs);
  if (!isSince(engineVersion, countersCompareSince)) {
    const because = `host engine ${engineVersion}: every value above 0 fires; an increase is needed only from ${countersCompareSince} on`;
    return repeated(input, { ...once, because: [because] }, forMs);
  }
  const rule = `${engineName(engineVersion)}: the policy wants an increase over the sample before`;
  if (hasSample === true) {
    const because = `${rule}, and the engine has one: the value has to be above it`;
    return repeated(input, { ...once, because: [because] }, forMs);
  }
  const steps = [stepOf(input, { value: '0' }), stepOf(input, { afterMs: nextSecondMs })];
  const which = hasSample === false ? 'and the engine has none' : 'and where the engine has none';
  const because = `${rule}, ${which}, 0 goes first, a second before the value`;
  return repeated(input, { steps, because: [because] }, forMs);
}

function healthRecipe(input: RecipeInput): Recipe {
  const { field, reach, everyMs, forMs = reach === undefined ? undefined : healthTickSurelyMs } = input;
  if (field.sticky === true) {
    const because =
      'an Xid stays in the history of the health checks until the engine restarts: once is enough';
    return { steps: [stepOf(input)], because: [because] };
  }
  const { before, because } = baseline(input);
  const once = { steps: [...before, stepOf(input)], because };
  if (forMs === undefined) return once;
  if (everyMs !== undefined)
    return repeated(input, { ...once, because: [...because, ...gaps(input)] }, forMs);
  if (field.polledSeconds !== undefined) return stays(input, once, field.polledSeconds, forMs);
  if (isPolicyField(field)) return held(input, once, forMs);
  const rhythm = `the monitoring agent asks every ${renderDuration(healthTickMs / 1000)} and the engine reads the field itself after ${renderDuration(healthPollMs / 1000)}, so it is written again every ${renderDuration(refreshMs / 1000)}`;
  return repeated(input, { ...once, because: [...because, rhythm] }, forMs);
}

/** What has to stand before the value in the minute that a check looks at. */
function baseline(input: RecipeInput): {
  readonly before: readonly RecipeStep[];
  readonly because: readonly string[];
} {
  const { field } = input;
  const effect = effectOf(input, 'health');
  if (effect?.code === sumOfPages && field.otherHalf !== undefined) {
    const because = `the check adds up 390 and 391, so ${field.otherHalf} = 0 goes first`;
    return { before: [stepOf(input, { field: field.otherHalf, value: '0' })], because: [because] };
  }
  if (effect?.rule.op !== 'increase' && effect?.rule.op !== 'change') return { before: [], because: [] };
  // Both in one second: so the minute never begins between the two, and is never looked at with the 0 alone.
  const because =
    'the check compares the first and the last sample of a minute, so 0 goes right before the value';
  return { before: [stepOf(input, { value: '0' })], because: [because] };
}

/** RETIRED_PAGES_LIMIT: the one check that looks at both halves. */
const sumOfPages = 7;

/** Why a refresh interval that was asked for may not be enough. */
function gaps({ field, everyMs = 0 }: RecipeInput): readonly string[] {
  const ownMs = isPolicyField(field) ? policyPollMs : healthPollMs;
  if (everyMs <= ownMs || field.polledSeconds !== undefined) return [];
  return [
    `the engine reads the field itself after ${ownMs / 1000} s, so a health check may fall between two beats`,
  ];
}

function watchRecipe(input: RecipeInput): Recipe {
  const { engineVersion, reach, offsetSeconds = defaultOffsetSeconds, forMs } = input;
  const when =
    offsetSeconds > defaultOffsetSeconds
      ? [
          `the monitoring agent reads nothing ahead of now, so it sees this only in ${renderDuration(offsetSeconds)}`,
        ]
      : [];
  const steps = [stepOf(input)];
  if (isSince(engineVersion, keepsWatchedSince)) {
    const enough = `${engineName(engineVersion)} keeps the sample for 10 min, and the monitoring agent reads every ${renderDuration(fieldTickMs / 1000)}: once is enough`;
    return forMs === undefined
      ? { steps, because: [...when, enough] }
      : repeated(input, { steps, because: when }, forMs);
  }
  const short = `host engine ${engineVersion} keeps a sample for about 33 s, and the monitoring agent reads every ${renderDuration(fieldTickMs / 1000)}, so it is written again every ${renderDuration(refreshMs / 1000)}`;
  const lasting = forMs ?? (reach === undefined ? undefined : healthTickSurelyMs);
  return repeated(input, { steps, because: [...when, short] }, lasting);
}

/** InfoROM: the engine reads it so seldom that one sample stays; only another one takes it back. */
function stays(input: RecipeInput, once: Recipe, polledSeconds: number, forMs: number): Recipe {
  const { field } = input;
  const because = `the engine reads the field itself every ${renderDuration(polledSeconds)} only, so one sample stays; ${field.id} = ${healthy(field)} takes it back`;
  return {
    steps: once.steps,
    hold: { forMs, undo: [stepOf(input, { value: healthy(field) })] },
    because: [...once.because, because],
  };
}

/** A sample ahead of now keeps the engine from reading the field until then. */
function held(input: RecipeInput, once: Recipe, forMs: number): Recipe {
  const { field, offsetSeconds = 0 } = input;
  const wanted = Math.max(Math.ceil(forMs / 1000), offsetSeconds);
  const ahead = Math.min(wanted, longestHoldSeconds);
  const last = once.steps.length - 1;
  const steps = once.steps.map((step, index) => ({
    ...step,
    // A second before the value, where both are of one series.
    offsetSeconds: index < last && step.field === field.id ? ahead - 1 : ahead,
  }));
  const because = [
    `policies have the field read every ${renderDuration(policyPollMs / 1000)}, so one sample ${renderDuration(ahead)} ahead stands for it until then, and real alerts of its kind on this GPU are dropped as long`,
    ...(wanted > ahead
      ? [`held for ${renderDuration(ahead)}, not ${renderDuration(wanted)}: no sample is put further ahead`]
      : []),
  ];
  return {
    steps,
    hold: {
      forMs: ahead * 1000,
      undo: [stepOf(input, { value: healthy(field), offsetSeconds: ahead + 1 })],
    },
    because: [...once.because, ...because],
  };
}

/** Repeats the steps for that long; undefined: once. */
function repeated(input: RecipeInput, once: Recipe, forMs: number | undefined): Recipe {
  if (forMs === undefined) return once;
  return { ...once, repeat: { everyMs: input.everyMs ?? refreshMs, forMs } };
}

function stepOf(input: RecipeInput, other: Partial<RecipeStep> = {}): RecipeStep {
  const { field, value, offsetSeconds = defaultOffsetSeconds } = input;
  return { field: field.id, value, afterMs: 0, offsetSeconds, ...other };
}

function isPolicyField(field: FieldRow): boolean {
  return (field.effects ?? []).some((effect) => effect.kind === 'policy');
}

function healthy(field: FieldRow): string {
  return field.healthy ?? '0';
}

function engineName(version: string | null): string {
  return version === null ? 'an engine of unknown version, taken as the newest' : `host engine ${version}`;
}
