import { causeOf } from '../../shared/errors.ts';
import { gpuNamed } from '../../shared/orders/call.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import { latchedBy } from '../catalogue/channels.ts';
import type { Confidence } from '../catalogue/confidence.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import type { FaultRow } from '../catalogue/row.ts';
import {
  type Diagnosis,
  isAboutReaction,
  onlyOrderRules,
  type Preflight,
  type PreflightCheck,
  preflight,
} from '../diagnosis/explain.ts';
import type { Rule } from '../diagnosis/rule.ts';
import { rules } from '../diagnosis/rules.ts';
import {
  addressOf,
  contextFromFacts,
  type PlanInput,
  placeOf,
  plannedDrill,
  planTarget,
  type TargetContext,
} from '../plan/plan.ts';
import { forecastRepair } from '../repair/forecast.ts';
import type { RepairForecast } from '../repair/schema.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';
import { confidenceOf } from './confidence.ts';
import { plannedReactions } from './reactions.ts';
import { refusalsOf } from './refusals.ts';
import type { PlannedRefusal, PlanPreview } from './schema.ts';
import { partsOf, plannedWrites } from './writes.ts';

/** A preview with all that is known of the node, and what repair controllers would do by default. */
export type TargetPreview = PlanPreview & { readonly repair: readonly RepairForecast[] };

/** What a target's plan is shown with; the node comes with its facts. */
export type PreviewInput = Omit<PlanInput, 'context' | 'node'>;

/** By the facts of the node, as the preflight of a drill would find them. Pure; refuses as `planTarget` does. */
export function previewTarget(facts: Facts, input: PreviewInput): TargetPreview {
  const preview = previewPlan({ ...input, node: facts.node.name, context: contextFromFacts(facts) });
  const drilled = { ...facts, drill: plannedDrill(preview, input.spec.fault.name) };
  const { blocking, checks } = preflight(drilled, rulesFor(preview.expectation));
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
  const { row, parameters, reacting, node, order, expectation, chain } = planTarget(input);
  const isGpuNamed = spec.target?.gpu !== undefined;
  const about = aboutOf({ node, order, expectation, needsGpu: row.needsGpu, isGpuNamed, context });
  const { parts, writing } = about;
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
    refusals: refusalsOf(about),
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
): Preflight & Pick<TargetPreview, 'refusals' | 'repair'> & Partial<Pick<TargetPreview, 'confidence'>> {
  if (asked === undefined) return { ...preflight(facts), refusals: [], repair: forecastRepair(facts) };
  const preview = previewTarget(facts, asked);
  const { refusals, repair, confidence } = preview;
  return {
    ...preflight({ ...facts, drill: plannedDrill(preview, asked.spec.fault.name) }),
    refusals,
    repair,
    confidence,
  };
}

/**
 * How sure the expectation of a drill is that was planned before: what a dry run shows for the same plan by the same facts.
 * `facts` are those of its node before anything is ordered. Pure.
 */
export function confidenceIn(
  { fault, order, expectation }: Pick<DrillFacts, 'fault' | 'order' | 'expectation'>,
  facts: Facts,
  rows: readonly FaultRow[],
): Confidence {
  const context = contextFromFacts(facts);
  const needsGpu = rows.find(({ name }) => name === fault)?.needsGpu ?? gpuNamed(order) !== undefined;
  const about = aboutOf({ node: facts.node.name, order, expectation, needsGpu, isGpuNamed: true, context });
  const drilled = { ...facts, drill: plannedDrill({ order, expectation }, fault) };
  const { checks } = preflight(drilled, rulesFor(expectation));
  return loweredBy(checks, { confidence: confidenceOf(about), refusals: refusalsOf(about) });
}

/** A drill on one node, with all that is known of where its order goes. */
function aboutOf(drill: {
  readonly node: string;
  readonly order: MethodCall;
  readonly expectation: Expectation;
  readonly needsGpu: boolean;
  readonly isGpuNamed: boolean;
  readonly context: TargetContext;
}) {
  const { order, context, ...named } = drill;
  const place = placeOf(order, context);
  const selector = gpuNamed(order);
  const writing = {
    ...place,
    target: context,
    givenPci: addressOf(selector?.pci),
    driverVersion: context.inventory?.driverVersion ?? undefined,
  };
  const parts = partsOf(order, writing);
  return { ...place, ...named, order, selector, parts, writing, target: context };
}

/** Whether a repair follows is told by its forecast. */
const reactionRules = rules.filter(isAboutReaction);

/** Where no reaction is judged, only what keeps the order from being carried out counts. */
function rulesFor({ kind }: Pick<Expectation, 'kind'>): readonly Rule[] {
  return kind === 'ignored' ? onlyOrderRules(reactionRules) : reactionRules;
}

/** What is broken without keeping the drill from being made: the reaction may stay away all the same. */
function loweredBy(
  checks: readonly PreflightCheck[],
  { confidence, refusals }: Pick<PlanPreview, 'confidence' | 'refusals'>,
): Confidence {
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
