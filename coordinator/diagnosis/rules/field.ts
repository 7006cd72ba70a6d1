import { explainNoEffect, type NoEffect, type Suggestion } from '../../../shared/dcgm-fields/effect.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { assertFieldValue } from '../../../shared/dcgm-fields/value.ts';
import { Refusal, reasons } from '../../../shared/errors.ts';
import type { DrillFacts, Facts } from '../../view/facts.ts';
import { injectedOn, problemsOf, seenInjection, seenProblem } from '../drill.ts';
import { seen } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/** `dcgmi` says "Successfully injected" to every number, whatever it measures (dcgm-measured.md §2). */
export const fieldIsAnotherQuantity: Rule = {
  code: 'field-is-another-quantity',
  title: 'The DCGM field is another quantity, or the value is healthy',
  link: 'order',
  verdict: 'fail',
  judge: judgeField,
};

function judgeField(facts: Facts): Judgement {
  const { drill } = facts;
  if (drill === undefined) return irrelevant;
  const problem = problemsOf(facts).find(({ reason }) => reason === 'field_value_no_effect');
  if (problem !== undefined) {
    const given = suggestionsOf(problem.details.didYouMean);
    const nothing = noEffect(drill);
    const found = given ?? (nothing === 'unknown' ? undefined : nothing?.didYouMean) ?? [];
    return proven({
      summary: `Refused, nothing was injected: ${problem.message}.`,
      evidence: [seenProblem(problem)],
      remedy: remedyOf(found),
      verdict: reasons.field_value_no_effect.verdict,
    });
  }
  const asked = askedField(drill);
  if (asked === undefined) return irrelevant;
  const nothing = noEffect(drill);
  if (nothing === 'unknown') return irrelevant;
  if (nothing === undefined) return refuted(`somebody reacts to field ${asked.field} = ${asked.value}`);
  return proven({
    summary: `${nothing.summary}. dcgmi answers "Successfully injected" all the same.`,
    evidence: [
      ...injectedOn(drill).map((result) => seenInjection(facts, result)),
      seen(facts, 'order', `field ${asked.field}, value ${asked.value}`),
    ],
    remedy: remedyOf(nothing.didYouMean),
  });
}

/** What the catalogue itself says; undefined where somebody reacts. */
function noEffect(drill: DrillFacts): NoEffect | 'unknown' | undefined {
  const asked = askedField(drill);
  if (asked === undefined) return 'unknown';
  try {
    const field = findField(asked.field);
    return explainNoEffect(field, assertFieldValue(field, asked.value, 'value', { force: true }));
  } catch (thrown) {
    // An unknown field or a value of the wrong type is another refusal's business.
    if (thrown instanceof Refusal) return 'unknown';
    throw thrown;
  }
}

function askedField({
  order,
  pathOnly,
}: DrillFacts): { field: number | string; value: number | string } | undefined {
  return order.method === 'InjectDcgmField' && !pathOnly ? order.body : undefined;
}

function suggestionsOf(value: unknown): readonly Suggestion[] | undefined {
  return Array.isArray(value) && value.every(isSuggestion) ? value : undefined;
}

function isSuggestion(value: unknown): value is Suggestion {
  return typeof value === 'object' && value !== null && 'field' in value && 'value' in value;
}

function remedyOf(suggestions: readonly Suggestion[]): string {
  const texts = suggestions.map(
    ({ field, name, value, because }) => `field ${field} = ${value} (${name}: ${because})`,
  );
  const question =
    texts.length === 0
      ? 'Choose a field and a value that somebody reacts to'
      : `Did you mean ${texts.join(', or ')}?`;
  return `${question} An Xid goes into field 230, an uncorrectable ECC error into 319.`;
}
