import { causeOf } from '../../shared/errors.ts';
import { type Diagnosis, isAboutReaction, type PreflightCheck, preflight } from '../diagnosis/explain.ts';
import { rules } from '../diagnosis/rules.ts';
import { contextFromFacts } from '../plan/context.ts';
import { type PlanInput, planTarget } from '../plan/plan.ts';
import type { Confidence, PlannedRefusal, TargetPlan } from '../plan/schema.ts';
import { forecastRepair } from '../repair/forecast.ts';
import type { RepairForecast } from '../repair/schema.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';

/** A plan with all that is known of the node, and what repair controllers would do by default. */
export type TargetPreview = TargetPlan & { readonly repair: readonly RepairForecast[] };

/** Pure. */
export function previewTarget(facts: Facts, input: Omit<PlanInput, 'context' | 'node'>): TargetPreview {
  const plan = planTarget({ ...input, node: facts.node.name, context: contextFromFacts(facts) });
  const drilled = { ...facts, drill: drillOf(plan, input.spec.fault.name) };
  const { blocking, checks } = preflight(drilled, reactionRules);
  return {
    ...plan,
    refusals: [...plan.refusals, ...blockedBy(blocking, plan.refusals)],
    confidence: loweredBy(checks, plan),
    repair: forecastRepair(drilled),
  };
}

/** Whether a repair follows is told by its forecast. */
const reactionRules = rules.filter(isAboutReaction);

/** What is broken without keeping the drill from being made: the reaction may stay away all the same. */
function loweredBy(checks: readonly PreflightCheck[], { confidence, refusals }: TargetPlan): Confidence {
  // An unread inventory is a doubt already.
  const told = ['agent-unreachable', ...refusals.map(({ reason }) => causeOf(reason))];
  const found = checks
    .filter(({ result, blocks, code }) => result === 'cause' && !blocks && !told.includes(code))
    .map(({ code, text }) => `${code}: ${text}`);
  if (found.length === 0) return confidence;
  const known = confidence.level === 'high' ? [] : confidence.because;
  return { level: 'low', because: [...known, ...found] };
}

/** What a drill looks like to a diagnosis before anything is ordered. */
function drillOf({ order, expectation }: TargetPlan, fault: string): DrillFacts {
  return {
    fault,
    order,
    expectation,
    receipt: undefined,
    refusal: undefined,
    conditionBefore: undefined,
    timeline: [],
    waitedUntil: undefined,
  };
}

/** The same preflight as before an injection, with what only the API server shows; said once. */
function blockedBy(blocking: Diagnosis | undefined, refusals: readonly PlannedRefusal[]): PlannedRefusal[] {
  if (blocking === undefined) return [];
  const { code, summary, remedy } = blocking.explanation;
  if (refusals.some(({ reason }) => causeOf(reason) === code)) return [];
  return [{ by: 'preflight', reason: code, message: summary, remedy }];
}
