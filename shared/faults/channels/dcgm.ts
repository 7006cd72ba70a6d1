import { explainNoEffect } from '../../dcgm-fields/effect.ts';
import { findField } from '../../dcgm-fields/find.ts';
import type { Effect, FieldRow } from '../../dcgm-fields/row.ts';
import { isMatch } from '../../dcgm-fields/rule.ts';
import { assertFieldValue } from '../../dcgm-fields/value.ts';
import { Refusal } from '../../errors.ts';
import { fieldReaction, healthReaction, policyReaction, type Violation } from '../../nma/reactions.ts';
import { compareVersions } from '../../nma/versions.ts';
import type { Reach } from '../../schemas/order.ts';
import {
  type ChannelReaction,
  type ChannelWork,
  fillText,
  firstGpu,
  type ReactsOn,
  type Work,
} from './channel.ts';
import { policyChannel } from './xid.ts';

export const dcgmField: ChannelWork<'dcgm-field'> = {
  order({ parameters, gpu }) {
    const field = findField(scalar(parameters.field), 'fault.parameters.field');
    const value = assertFieldValue(field, scalar(parameters.value), 'fault.parameters.value');
    const nothing = parameters.force === true ? undefined : explainNoEffect(field, value);
    if (nothing !== undefined) {
      throw new Refusal('field_value_no_effect', `fault.parameters.value: ${nothing.summary}`, {
        field: 'fault.parameters.value',
        value,
        didYouMean: nothing.didYouMean,
        remedy: didYouMean(nothing.didYouMean),
      });
    }
    return { method: 'InjectDcgmField', body: { ...parameters, gpu: gpu ?? firstGpu } };
  },
  reactions: ({ parameters }, on) =>
    fieldReactions(findField(scalar(parameters.field)), String(parameters.value), undefined, on),
};

/** A row's own field: parameters only fill in its value. */
export const dcgmValue: ChannelWork<'dcgm-value'> = {
  order(work) {
    const { parameters, gpu } = work;
    const { field, value } = meant(work);
    const { engine, force, forSeconds } = parameters;
    return {
      method: 'InjectDcgmField',
      body: {
        gpu: gpu ?? firstGpu,
        field: field.id,
        value: assertFieldValue(field, value, 'fault.parameters'),
        reach: work.channel.reach,
        ...(forSeconds === undefined ? {} : { forSeconds }),
        ...(engine === undefined ? {} : { engine }),
        ...(force === undefined ? {} : { force }),
      },
    };
  },
  reactions(work, on) {
    const { field, value } = meant(work);
    return fieldReactions(field, value, work.channel.reach, on);
  },
};

function meant(work: Work<'dcgm-value'>): { readonly field: FieldRow; readonly value: string } {
  const { field, value } = work.channel;
  return {
    field: findField(typeof field === 'number' ? field : fillText(field, work), 'fault.parameters'),
    value: fillText(value, work),
  };
}

/** What each reader of the field shows for a value; who is meant to react comes first. */
function fieldReactions(
  field: FieldRow,
  value: string,
  reach: Reach | undefined,
  { nma, engineVersion = nma.engineVersion }: ReactsOn,
): readonly ChannelReaction[] {
  const matching = (field.effects ?? []).filter(
    (effect) =>
      isMatch(effect.rule, value) &&
      (effect.kind !== 'health' ||
        effect.since === undefined ||
        compareVersions(effect.since, engineVersion) <= 0),
  );
  const order: readonly Effect['kind'][] = ['policy', 'watch', 'health'];
  const rank = ({ kind }: Effect) => (kind === reach ? -1 : order.indexOf(kind));
  return matching
    .toSorted((left, right) => rank(left) - rank(right))
    .flatMap((effect) => effectReaction(effect, field, Number(value), nma));
}

function effectReaction(
  effect: Effect,
  field: FieldRow,
  value: number,
  nma: ReactsOn['nma'],
): readonly ChannelReaction[] {
  const base = { surface: 'dcgm', afterMs: 0 } as const;
  if (effect.kind === 'policy') {
    const found = policyReaction(nma, violationOf(effect.policy, field, value));
    return found === undefined ? [] : [{ ...base, reaction: found, via: policyChannel(found) }];
  }
  if (effect.kind === 'watch') {
    const found = fieldReaction(nma, field.id, value);
    return found === undefined ? [] : [{ ...base, reaction: found, via: 'fields-condition' }];
  }
  const found = healthReaction(nma, effect);
  if (found === undefined) return [];
  return [
    { ...base, reaction: found, via: found.appearsAs === 'event' ? 'health-event' : 'health-condition' },
  ];
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

export function didYouMean(
  suggestions: readonly { field: number; name: string; value: string; because: string }[],
): string {
  if (suggestions.length === 0) return 'send force: true to inject it all the same';
  const texts = suggestions.map(
    ({ field, name, value, because }) => `${field} = ${value} (${name}: ${because})`,
  );
  return `did you mean ${texts.join(', or ')}? force: true injects it all the same`;
}
