import { xidHealthIncident } from '../nma/health-codes.ts';
import { compareVersions } from '../nma/versions.ts';
import type { Reach } from '../schemas/order.ts';
import { is, type NoEffect, renderEffect, suggestions } from './effect.ts';
import type { Effect, FieldRow } from './row.ts';
import { isMatch, renderRule } from './rule.ts';

export type Reached = {
  readonly field: FieldRow;
  /** What `assertFieldValue` returned. */
  readonly value: string;
  /** null: unknown, judged as the newest. */
  readonly engineVersion: string | null;
};

/** The last Xid of a GPU: health has lists of its own for it, by version. */
const xidField = 230;

/** Who comes first where nobody is named: what shows soonest. */
const soonest: readonly Reach[] = ['policy', 'watch', 'health'];

/** Whether the engine is at least this version; an unknown one counts as the newest. */
export function isSince(engineVersion: string | null, since: string): boolean {
  return engineVersion === null || compareVersions(engineVersion, since) >= 0;
}

/** The reaction of this kind that the value sets off in an engine of this version; undefined: none. */
export function effectOf<R extends Reach>(
  { field, value, engineVersion }: Reached,
  reach: R,
): Extract<Effect, { kind: R }> | undefined {
  return (field.effects ?? []).find(
    (effect): effect is Extract<Effect, { kind: R }> =>
      effect.kind === reach && isKnown(effect, value, engineVersion, field) && isTaken(effect, field, value),
  );
}

export function firstReach(reached: Reached): Reach | undefined {
  return soonest.find((reach) => effectOf(reached, reach) !== undefined);
}

/** Why a value does not reach who is meant, and what would; undefined where it does. */
export function explainMiss(reached: Reached, reach: Reach): NoEffect | undefined {
  if (effectOf(reached, reach) !== undefined) return undefined;
  const { field, value, engineVersion } = reached;
  const own = (field.effects ?? []).filter((effect) => effect.kind === reach);
  const late = own.find((effect) => isTaken(effect, field, value));
  const didYouMean = late === undefined ? suggestions(field, value) : [];
  return { summary: `${is(field)}; ${why(own, late)}`, didYouMean };

  function why(effects: readonly Effect[], missed: Effect | undefined): string {
    if (effects.length === 0) return `${readers[reach]} reads it`;
    if (missed !== undefined) {
      const from = missed.kind === 'health' && missed.since !== undefined ? missed.since : 'another version';
      return `${renderEffect(missed)} exists from host engine ${from} on, and this one is ${engineVersion}`;
    }
    if (field.id === xidField) return `no health list has Xid ${value}`;
    const wanted = effects.map((effect) => `${renderEffect(effect)} wants ${renderRule(effect.rule, field.unit)}`);
    return `${value} is healthy (${wanted.join('; ')})`;
  }
}

const readers: Readonly<Record<Reach, string>> = {
  policy: 'no policy',
  health: 'no health check',
  watch: 'no field watch of the node monitoring agent',
};

function isKnown(effect: Effect, value: string, engineVersion: string | null, field: FieldRow): boolean {
  if (effect.kind !== 'health') return true;
  if (field.id === xidField) return xidHealthIncident(engineVersion ?? newest, Number(value)) !== undefined;
  return effect.since === undefined || isSince(engineVersion, effect.since);
}

function isTaken(effect: Effect, field: FieldRow, value: string): boolean {
  // By the lists of the version alone: they differ.
  return (effect.kind === 'health' && field.id === xidField) || isMatch(effect.rule, value);
}

/** Above every version that is known. */
const newest = '99.0.0';
