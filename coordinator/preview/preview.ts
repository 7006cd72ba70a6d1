import { causeOf } from '../../shared/errors.ts';
import { gpuNamed } from '../../shared/orders/call.ts';
import { latchedBy } from '../catalogue/channels.ts';
import {
  type Diagnosis,
  isAboutReaction,
  onlyOrderRules,
  type Preflight,
  type PreflightCheck,
  preflight,
} from '../diagnosis/explain.ts';
import { rules } from '../diagnosis/rules.ts';
import { addressOf, contextFromFacts, type PlanInput, plannedDrill, planTarget } from '../plan/plan.ts';
import { forecastRepair } from '../repair/forecast.ts';
import type { RepairForecast } from '../repair/schema.ts';
import type { Facts } from '../view/facts.ts';
import { confidenceOf } from './confidence.ts';
import { plannedReactions } from './reactions.ts';
import { refusalsOf } from './refusals.ts';
import type { Confidence, PlannedRefusal, PlanPreview } from './schema.ts';
import { partsOf, plannedWrites } from './writes.ts';

/** A preview with all that is known of the node, and what repair controllers would do by default. */
export type TargetPreview = PlanPreview & { readonly repair: readonly RepairForecast[] };

/** What a target's plan is shown with; the node comes with its facts. */
export type PreviewInput = Omit<PlanInput, 'context' | 'node'>;

/** By the facts of the node, as the preflight of a drill would find them. Pure; refuses as `planTarget` does. */
export function previewTarget(facts: Facts, input: PreviewInput): TargetPreview {
  const preview = previewPlan({ ...input, node: facts.node.name, context: contextFromFacts(facts) });
  const drilled = { ...facts, drill: plannedDrill(preview, input.spec.fault.name) };
  const asked = preview.expectation.kind === 'ignored' ? onlyOrderRules(reactionRules) : reactionRules;
  const { blocking, checks } = preflight(drilled, asked);
  return {
    ...preview,
    refusals: [...preview.refusals, ...blockedBy(blocking, preview.refusals)],
    confidence: loweredBy(checks, preview),
    repair: forecastRepair(drilled),
  };
}

/**
 * What the plan of one target writes, who reads it, what stays, what refuses it and how sure the expectation is, by the
 * plan's own context. Pure; refuses as `planTarget` does.
 */
export function previewPlan(input: PlanInput): PlanPreview {
  const { spec, context } = input;
  const { row, parameters, reacting, place, node, order, expectation, chain } = planTarget(input);
  const selector = gpuNamed(order);
  const writing = {
    ...place,
    target: context,
    givenPci: addressOf(selector?.pci),
    driverVersion: context.inventory?.driverVersion ?? undefined,
  };
  const parts = partsOf(order, writing);
  const about = { ...place, node, row, order, parts, expectation, target: context };
  const reactions = plannedReactions(reacting, parts, order);
  const shown = reacting
    .filter(({ surface }) => parts.some((part) => part.surface === surface))
    .map(({ reaction }) => reaction);
  return {
    node,
    order,
    parameters,
    writes: plannedWrites(parts, writing),
    expectation,
    chain,
    reactions,
    latched: [...latchedBy(shown, parts, writing)],
    refusals: refusalsOf({ ...about, selector, isGpuNamed: spec.target?.gpu !== undefined }),
    confidence: confidenceOf(about),
    risk: row.risk,
    undo: row.undo,
  };
}

/**
 * Every link on a node, checked for one fault or, without `asked`, before any is chosen; and what repair controllers would do.
 * What blocks only some faults is known to block when the fault is known. Pure; refuses as `planTarget` does.
 */
export function previewNode(
  facts: Facts,
  asked?: PreviewInput,
): Preflight & Pick<TargetPreview, 'refusals' | 'repair'> {
  if (asked === undefined) return { ...preflight(facts), refusals: [], repair: forecastRepair(facts) };
  const preview = previewTarget(facts, asked);
  const { refusals, repair } = preview;
  return {
    ...preflight({ ...facts, drill: plannedDrill(preview, asked.spec.fault.name) }),
    refusals,
    repair,
  };
}

/** Whether a repair follows is told by its forecast. */
const reactionRules = rules.filter(isAboutReaction);

/** What is broken without keeping the drill from being made: the reaction may stay away all the same. */
function loweredBy(checks: readonly PreflightCheck[], { confidence, refusals }: PlanPreview): Confidence {
  // An unread inventory is a doubt already.
  const told = [
    'agent-unreachable',
    'agent-answer-invalid',
    ...refusals.map(({ reason }) => causeOf(reason)),
  ];
  const found = checks
    .filter(({ result, blocks, code }) => result === 'cause' && !blocks && !told.includes(code))
    .map(({ code, text }) => `${code}: ${text}`);
  if (found.length === 0) return confidence;
  const known = confidence.level === 'high' ? [] : confidence.because;
  return { level: 'low', because: [...known, ...found] };
}

/** The same preflight as before an injection, with what only the API server shows; said once. */
function blockedBy(blocking: Diagnosis | undefined, refusals: readonly PlannedRefusal[]): PlannedRefusal[] {
  if (blocking === undefined) return [];
  const { code, summary, remedy } = blocking.explanation;
  if (refusals.some(({ reason }) => causeOf(reason) === code)) return [];
  return [{ by: 'preflight', reason: code, message: summary, remedy }];
}
