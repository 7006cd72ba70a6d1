import { Refusal } from '../errors.ts';
import { fieldById } from './find.ts';
import type { Effect, FieldRow, PolicyKind, Rule } from './row.ts';
import { fieldRows } from './rows.ts';
import { exampleOf, isMatch, renderRule } from './rule.ts';

/** A field and value that the caller may have meant. */
export type Suggestion = {
  readonly field: number;
  readonly name: string;
  readonly value: string;
  readonly because: string;
};

/** Why nothing reacts to a value, as a sentence, and what was perhaps meant. */
export type NoEffect = { readonly summary: string; readonly didYouMean: readonly Suggestion[] };

/** The smallest number that DCGM reads as "no value" in a whole-number field (dcgm_fields.h, DCGM_INT64_BLANK). */
const blankInt64 = 0x7ffffffffffffff0n;

/**
 * Why an injected value would change nothing, or undefined where somebody reacts.
 * `value` is what `assertFieldValue` returned.
 */
export function explainNoEffect(field: FieldRow, value: string): NoEffect | undefined {
  if (isBlank(field, value)) {
    return { summary: `${is(field)}; DCGM reads ${value} as "no value" and skips it`, didYouMean: [] };
  }
  if (reactionsTo(field, value).length > 0) return undefined;
  return { summary: `${is(field)}; ${why(field, value)}`, didYouMean: suggestions(field, value) };
}

/** With `input`, a parameter of a fault, what was meant is the remedy; else it stands in the message. */
export function refuseNoEffect(
  field: FieldRow,
  value: string,
  { summary, didYouMean }: NoEffect,
  input?: string,
): Refusal {
  const message = input === undefined ? `${summary}${askMeant(didYouMean)}` : `${input}: ${summary}`;
  return new Refusal('field_value_no_effect', message, {
    field: input ?? 'value',
    value,
    fieldId: field.id,
    didYouMean,
    remedy: input === undefined ? 'inject what was meant; or force' : remedyOf(didYouMean),
  });
}

function remedyOf(suggestions: readonly Suggestion[]): string {
  if (suggestions.length === 0) return 'send force: true to inject it all the same';
  const meant = suggestions.map(
    ({ field, name, value, because }) => `${field} = ${value} (${name}: ${because})`,
  );
  return `did you mean ${meant.join(', or ')}? force: true injects it all the same`;
}

/** `; did you mean 230 = 48 (Xid 48)?`, to be put behind a message. */
export function askMeant(suggestions: readonly Suggestion[]): string {
  const meant = suggestions.map(({ field, value, because }) => `${field} = ${value} (${because})`);
  return meant.length === 0 ? '' : `; did you mean ${meant.join(', or ')}?`;
}

/** Who reacts to this value, in words: `the XID policy`, `the health check 101 (FAIL)`. */
export function reactionsTo(field: FieldRow, value: string): readonly string[] {
  const effects = field.effects ?? [];
  return [...new Set(effects.filter((effect) => isMatch(effect.rule, value)).map(renderEffect))];
}

/** The kinds of policy alert that an injection into this field takes a slot of. */
export function policiesOf(field: FieldRow): readonly { readonly policy: PolicyKind; readonly rule: Rule }[] {
  return (field.effects ?? []).filter((effect) => effect.kind === 'policy');
}

/** What is worth knowing about the reactions to this value. */
export function notesOn(field: FieldRow, value: string): readonly string[] {
  const matching = (field.effects ?? []).filter((effect) => isMatch(effect.rule, value));
  return [...new Set(matching.flatMap((effect) => (effect.note === undefined ? [] : [effect.note])))];
}

/** `field 150 is the GPU temperature in °C`. */
export function is(field: FieldRow): string {
  const unit = field.unit === undefined ? '' : ` in ${field.unit}`;
  return `field ${field.id} is ${field.what}${unit}`;
}

function why(field: FieldRow, value: string): string {
  if (field.blind !== undefined) return field.blind;
  const wanted = field.effects ?? [];
  if (wanted.length === 0) return 'nothing reacts to it';
  const given = field.unit === undefined ? value : `${value} ${field.unit}`;
  const conditions = wanted.map(
    (effect) => `${renderEffect(effect)} wants ${renderRule(effect.rule, field.unit)}`,
  );
  return `${given} is healthy (${conditions.join('; ')})`;
}

/** Who reacts, as the object of a sentence: `the XID policy`. */
export function renderEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'policy':
      return `the ${effect.policy} policy`;
    case 'health':
      return `the ${effect.system} health check (code ${effect.code}, ${effect.result})`;
    case 'watch':
      return `the node monitoring agent (${effect.reason})`;
  }
}

/** What was perhaps meant, most likely first. */
export function suggestions(field: FieldRow, value: string): Suggestion[] {
  const named = fieldRows
    .filter((row) => row.id !== field.id && row.wellKnown?.values.includes(Number(value)) === true)
    .map((row) => suggestion(row, value, `${row.wellKnown?.word} ${value}`));
  const usual = (field.confusedWith ?? []).map((other) =>
    suggestion(fieldById(other.field), value, other.because),
  );
  const own = (field.effects ?? [])
    .slice(0, 1)
    .map((effect) =>
      suggestion(field, exampleOf(effect.rule), `a value that ${renderEffect(effect)} reacts to`),
    );
  return [...named, ...usual, ...own];
}

function suggestion(row: FieldRow, value: string, because: string): Suggestion {
  const [first] = row.effects ?? [];
  const fits = reactionsTo(row, value).length > 0 || first === undefined;
  return { field: row.id, name: row.name, value: fits ? value : exampleOf(first.rule), because };
}

function isBlank(field: FieldRow, value: string): boolean {
  return field.type === 'int64' && BigInt(value) >= blankInt64;
}
