import { compareVersions } from '../compare-versions.ts';
import { isWithin, renderRange } from '../gpu-generations.ts';
import type { Reach } from '../schemas/order-members.ts';
import { is, type NoEffect, renderEffect, suggestions } from './effect.ts';
import { xidHealthIncident } from './health-codes.ts';
import type { Effect, FieldRow } from './row.ts';
import { isMatch, renderRule } from './rule.ts';

/** What decides which checks there are. */
export type CheckedOn = {
  /** null: unknown, judged as the newest. */
  readonly engineVersion: string | null;
  /** As NVML or DCGM names the GPU; unknown, it is taken to have the checks of all generations. */
  readonly gpuName?: string | undefined;
};

/** A checked value of a field, on an engine and a GPU. */
export type Reached = CheckedOn & {
  readonly field: FieldRow;
  /** What `assertFieldValue` returned. */
  readonly value: string;
};

/** Which reader a value is meant for where none is named: the one that shows soonest. */
const soonest: readonly Reach[] = ['policy', 'watch', 'health'];

/** Whether the engine is at least this version; an unknown one counts as the newest. */
export function isSince(engineVersion: string | null, since: string): boolean {
  return engineVersion === null || compareVersions(engineVersion, since) >= 0;
}

/** Whether an engine of this version has the check for this GPU; policies and watches are in all of them. */
export function isCurrent(effect: Effect, { engineVersion, gpuName }: CheckedOn): boolean {
  if (effect.kind !== 'health') return true;
  const { since, until, gpus = {} } = effect;
  return (
    isWithin(gpus, gpuName) &&
    (since === undefined || isSince(engineVersion, since)) &&
    (until === undefined || !isSince(engineVersion, until))
  );
}

/** The reaction of this kind that the value sets off in an engine of this version; undefined: none. */
export function effectOf<R extends Reach>(
  reached: Reached,
  reach: R,
): Extract<Effect, { kind: R }> | undefined {
  return (reached.field.effects ?? []).find(
    (effect): effect is Extract<Effect, { kind: R }> => effect.kind === reach && isTaken(effect, reached),
  );
}

/** Who reacts to it soonest; undefined: nothing does. */
export function firstReach(reached: Reached): Reach | undefined {
  return soonest.find((reach) => effectOf(reached, reach) !== undefined);
}

/** Why a value does not reach who is meant, and what would; undefined where it does. */
export function explainMiss(reached: Reached, reach: Reach): NoEffect | undefined {
  if (effectOf(reached, reach) !== undefined) return undefined;
  const { field, value } = reached;
  const own = (field.effects ?? []).filter((effect) => effect.kind === reach);
  // What came later, or with another GPU; an older check in place of which another one stands says nothing of this engine.
  const absent = own.find(
    (effect) =>
      effect.kind === 'health' &&
      effect.until === undefined &&
      !isCurrent(effect, reached) &&
      isMatch(effect.rule, value),
  );
  const didYouMean = absent === undefined ? suggestions(field, value) : [];
  return { summary: `${is(field)}; ${why(reached, reach, own, absent)}`, didYouMean };
}

function why(reached: Reached, reach: Reach, own: readonly Effect[], absent: Effect | undefined): string {
  const { field, value, engineVersion } = reached;
  if (own.length === 0) return `${readers[reach]} reads it`;
  if (field.sticky === true) {
    const which = engineVersion === null ? '' : ` of host engine ${engineVersion}`;
    return `the health checks${which} have no list with Xid ${value}`;
  }
  if (absent?.kind === 'health') {
    const { since, gpus = {} } = absent;
    return since === undefined || isSince(engineVersion, since)
      ? `${renderEffect(absent)} exists on ${renderRange(gpus)}, and this one is ${withArticle(reached.gpuName)}`
      : `${renderEffect(absent)} exists from host engine ${since} on, and this one is ${engineVersion}`;
  }
  const current = own.filter((effect) => isCurrent(effect, reached));
  const wanted = (current.length === 0 ? own : current).map(
    (effect) => `${renderEffect(effect)} wants ${renderRule(effect.rule, field.unit)}`,
  );
  return `${value} is healthy (${wanted.join('; ')})`;
}

function withArticle(name: string | undefined): string {
  return name?.startsWith('Tesla') ? `a ${name}` : `an ${name}`;
}

const readers: Readonly<Record<Reach, string>> = {
  policy: 'no policy',
  health: 'no health check',
  watch: 'no field watch of the node monitoring agent',
};

/** Of an Xid the version has lists of its own. */
function isTaken(effect: Effect, reached: Reached): boolean {
  const { field, value, engineVersion, gpuName } = reached;
  if (effect.kind !== 'health') return isMatch(effect.rule, value);
  if (field.sticky === true)
    return xidHealthIncident(engineVersion ?? newest, Number(value), gpuName) !== undefined;
  return isMatch(effect.rule, value) && isCurrent(effect, reached);
}

/** Above every version that is known. */
const newest = '99.0.0';
