import { explainNoEffect, refuseNoEffect } from '../../../shared/dcgm-fields/effect.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { lifetimeCounters, xidField } from '../../../shared/dcgm-fields/ids.ts';
import { isCurrent } from '../../../shared/dcgm-fields/reach.ts';
import type { Effect, FieldRow } from '../../../shared/dcgm-fields/row.ts';
import { isMatch } from '../../../shared/dcgm-fields/rule.ts';
import { assertFieldValue } from '../../../shared/dcgm-fields/value.ts';
import { firstGpu } from '../../../shared/gpu-identity.ts';
import { healthTickSurelyMs } from '../../../shared/nma-timing.ts';
import { parseCall } from '../../../shared/orders/call.ts';
import type { Reach } from '../../../shared/schemas/order-members.ts';
import { fieldReaction, healthReaction, policyReaction, type Violation } from '../nma/reactions.ts';
import type { Parameters } from '../parameters.ts';
import {
  type ChannelReaction,
  type ChannelWork,
  fillText,
  type ReactsOn,
  soundCall,
  type Work,
} from './channel.ts';
import { xidReactions } from './xid.ts';

/** Field and value are parameters. */
type FieldRange = { readonly kind: 'dcgm-field' };

/** One field, and who is to react; `field` and `value` may be a `{parameter}`. */
type FieldValue = {
  readonly kind: 'dcgm-value';
  readonly field: number | string;
  readonly value: string;
  readonly reach: Reach;
};

/** Any field and value of the field catalogue. */
export const dcgmField: ChannelWork<FieldRange> = {
  order({ parameters, gpu }) {
    const field = findField(scalar(parameters.field), 'fault.parameters.field');
    const force = parameters.force === true;
    const value = assertFieldValue(field, scalar(parameters.value), 'fault.parameters.value', { force });
    const nothing = force ? undefined : explainNoEffect(field, value);
    if (nothing !== undefined) throw refuseNoEffect(field, value, nothing, 'fault.parameters.value');
    const body = { ...parameters, ...sustainedUntilRead(field, value, parameters), gpu: gpu ?? firstGpu };
    return soundCall('InjectDcgmField', body);
  },
  reactions({ parameters }, on) {
    const field = findField(scalar(parameters.field));
    // As it is written, so that " 79" is what 79 is.
    // Whether the range counts is asked where the order is made.
    const value = assertFieldValue(field, scalar(parameters.value), 'fault.parameters.value', {
      force: true,
    });
    const { reach, forSeconds } = {
      ...parameters,
      ...sustainedUntilRead(field, value, parameters),
    } as Partial<Reached>;
    return fieldReactions(field, value, { reach, forSeconds }, on);
  },
};

/** A check comes every five minutes only: a value that nothing else reads is sustained until then, unless the request has its own time. */
function sustainedUntilRead(
  field: FieldRow,
  value: string,
  { reach, forSeconds }: Parameters,
): Partial<Reached> {
  if (reach !== undefined || forSeconds !== undefined || field.id === xidField) return {};
  const kinds = (field.effects ?? []).filter(({ rule }) => isMatch(rule, value)).map(({ kind }) => kind);
  if (kinds.includes('policy') || kinds.length === 0) return {};
  const sustained = { forSeconds: healthTickSurelyMs / 1000 };
  return kinds.includes('watch') ? sustained : { reach: 'health', ...sustained };
}

/** A row's own field: parameters only fill in its value. */
export const dcgmValue: ChannelWork<FieldValue> = {
  order(work) {
    const { parameters, gpu } = work;
    const { field, value } = meant(work);
    const { engine, force, forSeconds } = parameters;
    return parseCall('InjectDcgmField', {
      gpu: gpu ?? firstGpu,
      field: field.id,
      value: assertFieldValue(field, value, 'fault.parameters', { force: force === true }),
      reach: work.channel.reach,
      ...(forSeconds === undefined ? {} : { forSeconds }),
      ...(engine === undefined ? {} : { engine }),
      ...(force === undefined ? {} : { force }),
    });
  },
  reactions(work, on) {
    const { field, value } = meant(work);
    const { forSeconds } = work.parameters;
    return fieldReactions(field, value, { reach: work.channel.reach, forSeconds }, on);
  },
};

function meant(work: Work<FieldValue>): { readonly field: FieldRow; readonly value: string } {
  const { field, value } = work.channel;
  return {
    field: findField(typeof field === 'number' ? field : fillText(field, work), 'fault.parameters'),
    value: fillText(value, work),
  };
}

type Reached = { readonly reach: Reach | undefined; readonly forSeconds: unknown };

/** What each reader of the field shows for a value; who is meant to react comes first. */
function fieldReactions(
  field: FieldRow,
  value: string,
  { reach, forSeconds }: Reached,
  on: ReactsOn,
): readonly ChannelReaction[] {
  // Its reactions are those of the Xid.
  if (field.id === xidField) {
    const found = xidReactions(Number(value), 0, on);
    return reach === 'health' ? found.toReversed() : found;
  }
  const { nma, engineVersion = nma.engineVersion, gpuName } = on;
  const matching = (field.effects ?? []).filter(
    (effect) => isMatch(effect.rule, value) && isCurrent(effect, { engineVersion, gpuName }),
  );
  const order: readonly Effect['kind'][] = ['policy', 'watch', 'health'];
  const rank = ({ kind }: Effect) => (kind === reach ? -1 : order.indexOf(kind));
  const sustained = forSeconds === undefined ? {} : { sustainedMs: Number(forSeconds) * 1000 };
  const found = matching
    .toSorted((left, right) => rank(left) - rank(right))
    .flatMap((effect) => effectReaction(effect, field, value, nma));
  const [first] = found;
  const isWrittenOnce =
    forSeconds === undefined && reach !== 'health' && first !== undefined && first.via !== 'health-check';
  // What stands for seconds is seen by a check every five minutes by chance only.
  return found
    .filter(({ via }) => !isWrittenOnce || via !== 'health-check')
    .map((one) => ({ ...one, ...sustained }));
}

function effectReaction(
  effect: Effect,
  field: FieldRow,
  value: string,
  nma: ReactsOn['nma'],
): readonly ChannelReaction[] {
  const base = { surface: 'dcgm', plugin: 'nvidia', afterMs: 0 } as const;
  if (effect.kind === 'policy') {
    const found = policyReaction(nma, violationOf(effect.policy, field, Number(value)));
    return found === undefined ? [] : [{ ...base, reaction: found, via: 'policy' }];
  }
  if (effect.kind === 'watch') {
    // Not by way of a number: a blank is above 2^53.
    const found = fieldReaction(nma, field.id, BigInt(value));
    return found === undefined ? [] : [{ ...base, reaction: found, via: 'watched-field' }];
  }
  const isLifetime = lifetimeCounters.includes(field.id);
  const found = healthReaction(nma, { ...effect, lifetimeCounter: isLifetime });
  return found === undefined ? [] : [{ ...base, reaction: found, via: 'health-check' }];
}

function violationOf(policy: Violation['policy'], field: FieldRow, value: number): Violation {
  const violations: Record<Violation['policy'], () => Violation> = {
    XID: () => ({ policy: 'XID', xid: value }),
    DBE: () => ({ policy: 'DBE', errors: value }),
    NVLink: () => ({ policy: 'NVLink', fieldId: field.id, errors: value }),
    PCIe: () => ({ policy: 'PCIe', replays: value }),
    // 390 counts pages retired for single-bit errors, 391 for double-bit ones (dcgm-fields).
    MaxRtPg: () => ({
      policy: 'MaxRtPg',
      sbePages: field.id === 390 ? value : 0,
      dbePages: field.id === 391 ? value : 0,
    }),
    Thermal: () => ({ policy: 'Thermal', celsius: value }),
    Power: () => ({ policy: 'Power', watts: Math.trunc(value) }),
  };
  return violations[policy]();
}

function scalar(value: unknown): number | string {
  return typeof value === 'number' ? value : String(value);
}
