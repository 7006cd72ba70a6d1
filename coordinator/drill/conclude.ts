import { renderDuration } from '../../shared/duration.ts';
import { isReason, rowOf } from '../../shared/errors.ts';
import { blockedBy, diagnose, explainPass, onlyOrderRules } from '../diagnosis/explain.ts';
import {
  type AnsweredControl,
  explainBrokenPath,
  explainDoubt,
  explainMissingEvent,
  explainQuiet,
  explainUnverifiedPath,
  explainViolation,
} from '../diagnosis/negative.ts';
import type { Rule } from '../diagnosis/rule.ts';
import { missedLinks } from '../diagnosis/rules/missed-links.ts';
import type { ChainLink } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Injection } from '../store/store.ts';
import type { TimelineEntry, Verdict } from '../store/timeline.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';
import { faultOf, isInjectOnly, isNegative, knownOf, orderBefore } from './chain.ts';
import { nodeGone, passOnGoneNode, receiptEvidence, unreachedOnGoneNode } from './gone.ts';
import { concludeInjectOnly } from './inject-only.ts';

/** How a drill of one node ends. */
export type Verdicted = { readonly verdict: Verdict; readonly explanation: Explanation };

/** What has to be known to judge the end of a drill; all of it read before, nothing here waits. */
export type Ended = {
  readonly injection: Injection;
  /** undefined: the node is gone, and there is nothing left to ask. */
  readonly facts: Facts | undefined;
  /** What came since the last link was reached. */
  readonly recent: readonly TimelineEntry[];
  /** RFC 3339, coordinator's clock. */
  readonly at: string;
  /** The causes that explain a drill. */
  readonly rules: readonly Rule[];
};

/** The verdict on one node: that of the first link which was not reached; where all were, what the drill proved. Pure. */
export function concludeDrill(ended: Ended): Verdicted {
  const { injection, facts, at } = ended;
  if (facts !== undefined && isInjectOnly(injection.spec))
    return concludeInjectOnly({ ...facts, drill: drillFacts(injection) }, ended.rules);
  const missed = firstMissed(injection);
  const verdicted =
    facts === undefined
      ? onGoneNode(injection, missed, at)
      : missed === undefined
        ? proved(ended, facts)
        : unreached(ended, facts, missed);
  return withoutBlame(injection, missed, verdicted);
}

/** What keeps a drill from being carried out, before anything is ordered: undefined where nothing is known to. */
export function blockedBefore(
  injection: Injection,
  facts: Facts,
  rules: readonly Rule[],
): Verdicted | undefined {
  if (isNegative(injection.spec)) return brokenPath(injection, facts, rules);
  const asked = isInjectOnly(injection.spec) ? onlyOrderRules(rules) : rules;
  return blockedBy({ ...facts, drill: drillFacts(injection) }, asked);
}

/** What a diagnosis has to know of one link of the drill and of the order that it belongs to. */
export function drillFacts(
  injection: Injection,
  link: ChainLink = faultOf(injection.spec).detectionLink,
): DrillFacts {
  const { spec, status } = injection;
  const sent = orderBefore(spec.chain, link.id);
  const known = knownOf(injection, sent);
  return {
    fault: sent.role === 'fault' ? spec.fault : sent.path === 'dcgm' ? 'xid' : 'task-blocked',
    order: sent.order,
    expectation: link.expectation ?? faultOf(spec).expectation,
    nodeUid: spec.nodeUid,
    receipt: known?.receipt,
    refusal: known?.refusal,
    conditionBefore: known?.baseline?.condition,
    timeline: status?.timeline ?? [],
    waitedUntil: knownOf(injection, link)?.dueAt,
  };
}

/** The first link that came to an end without being reached. */
function firstMissed({ spec, status }: Injection): ChainLink | undefined {
  return spec.chain.find((link) => knownOf({ status }, link)?.state !== 'reached');
}

function onGoneNode(injection: Injection, missed: ChainLink | undefined, at: string): Verdicted {
  const explanation = nodeGone(injection, at);
  if (isNegative(injection.spec)) return { verdict: 'inconclusive', explanation };
  if (missed === undefined) {
    const { match, seconds } = firstReaction(injection);
    const what = {
      text: match?.text ?? '',
      latencySeconds: seconds,
      source: match?.source ?? '',
      entry: match,
    };
    return { verdict: 'pass', explanation: withFurther(injection, passOnGoneNode(injection, what)) };
  }
  const known = knownOf(injection, missed);
  const isDetected = knownOf(injection, faultOf(injection.spec).detectionLink)?.state === 'reached';
  if (isDetected && known !== undefined)
    return {
      verdict:
        known.cause === undefined
          ? known.state === 'missed'
            ? 'fail'
            : 'inconclusive'
          : missedLinks[known.cause].verdict,
      explanation: unreachedOnGoneNode(injection, known, at),
    };
  const isOrdered = knownOf(injection, orderBefore(injection.spec.chain, missed.id))?.state === 'reached';
  const refused = knownOf(injection, missed)?.refusal;
  if (refused !== undefined) {
    // A reason that this version does not know says that the drill could not be carried out.
    return { verdict: isReason(refused.reason) ? rowOf(refused.reason).verdict : 'error', explanation };
  }
  return { verdict: isOrdered ? 'inconclusive' : 'error', explanation };
}

/** The explanation of a link that was not reached. */
function unreached(ended: Ended, facts: Facts, missed: ChainLink): Verdicted {
  const { injection, recent, rules } = ended;
  const known = knownOf(injection, missed);
  if (missed.role === 'control') {
    // A control is a drill of its own: what explains that it had no answer explains why the path is not verified.
    const detection = injection.spec.chain.find(
      (link) =>
        link.expectation !== undefined &&
        orderBefore(injection.spec.chain, link.id).id === orderBefore(injection.spec.chain, missed.id).id,
    );
    const drill = { ...drillFacts(injection, detection ?? missed), timeline: recent };
    return {
      verdict: 'inconclusive',
      explanation: explainUnverifiedPath({ ...facts, drill }, controlOf(detection ?? missed)),
    };
  }
  const all = drillFacts(injection, missed.expectation === undefined ? undefined : missed);
  // What an earlier link was reached by is no reaction here that would end the search.
  const isBehind = missed.expectation !== undefined && missed.expectation.kind !== 'none';
  const judged = isBehind ? { ...all, timeline: unmatched(all) } : all;
  const { cause, because = '', link = missed.link } = known ?? {};
  const drill: DrillFacts = cause === undefined ? judged : { ...judged, missed: { link, cause, because } };
  const own = { ...facts, drill };
  if (known?.refusal !== undefined) return diagnose(own, rules);
  if (missed.expectation?.kind === 'none' && known?.state === 'missed') {
    const answered = answeredControls(injection);
    if (known.entry === undefined)
      return { verdict: 'fail', explanation: explainMissingEvent(own, answered) };
    const { source, text, kind } = known.entry;
    const found = { source: known.evidence[0]?.source ?? source, text: `${text}; ${known.because}`, kind };
    return { verdict: 'fail', explanation: explainViolation(own, found, answered) };
  }
  return diagnose(own, rules, missed);
}

/** Every link was reached. */
function proved({ injection, rules }: Ended, facts: Facts): Verdicted {
  const drill = drillFacts(injection);
  const own = { ...facts, drill };
  if (!isNegative(injection.spec)) {
    const { match, seconds, because, source } = firstReaction(injection);
    const what = { text: `${match?.text ?? ''}; ${because}`, latencySeconds: seconds, source, entry: match };
    return { verdict: 'pass', explanation: withFurther(injection, explainPass(own, what, rules)) };
  }
  // The fault's own event is no reaction here that would end the search for doubts.
  const doubt = explainDoubt({ ...facts, drill: { ...drill, timeline: unmatched(drill) } });
  if (doubt !== undefined) return { verdict: 'inconclusive', explanation: doubt };
  // That the condition is False hides nothing here: it would have changed all the same.
  const others = rules.filter(({ code }) => code !== 'already-false');
  const blocking = blockedBy({ ...facts, drill: conditionFacts(injection) }, others);
  if (blocking !== undefined)
    return { verdict: 'inconclusive', explanation: explainBrokenPath(blocking.explanation, 'after') };
  const { entry } = knownOf(injection, faultOf(injection.spec).detectionLink) ?? {};
  return { verdict: 'pass', explanation: explainQuiet(own, answeredControls(injection), entry) };
}

/** What was reached behind the first reaction: each with its time and what shows it. */
function withFurther(injection: Injection, explanation: Explanation): Explanation {
  const { spec } = injection;
  const { orderLink, detectionLink } = faultOf(spec);
  const further = spec.chain.flatMap((link) => {
    if (link.role === 'control' || link.id === orderLink.id || link.id === detectionLink.id) return [];
    return knownOf(injection, link) ?? [];
  });
  if (further.length === 0) return explanation;
  const reached = further.map(
    ({ id, expected, seconds = 0 }) => `${id} (${expected}) after ${renderDuration(seconds)}`,
  );
  return {
    ...explanation,
    summary: `${explanation.summary} Also reached: ${reached.join('; ')}.`,
    evidence: [...explanation.evidence, ...further.flatMap(({ evidence }) => evidence)],
  };
}

/** Why no silence on this node would prove anything; undefined where the detection paths look sound. */
function brokenPath(injection: Injection, facts: Facts, rules: readonly Rule[]): Verdicted | undefined {
  const controls = injection.spec.chain.filter(
    ({ role, when, expectation }) => role === 'control' && when === 'before' && expectation !== undefined,
  );
  const drills = [...controls.map((link) => drillFacts(injection, link)), conditionFacts(injection)];
  for (const drill of drills) {
    const blocking = blockedBy({ ...facts, drill }, rules);
    if (blocking === undefined) continue;
    return blocking.verdict === 'fail'
      ? { verdict: 'inconclusive', explanation: explainBrokenPath(blocking.explanation, 'before') }
      : blocking;
  }
  return undefined;
}

/** A drill that waits for the condition: what would keep it from coming makes its staying away worthless. */
function conditionFacts(injection: Injection): DrillFacts {
  const drill = drillFacts(injection);
  const { event: _rule, ...expected } = drill.expectation;
  return {
    ...drill,
    pathOnly: true,
    expectation: { ...expected, kind: 'condition' },
    receipt: undefined,
    refusal: undefined,
    timeline: [],
    waitedUntil: undefined,
  };
}

function unmatched({ timeline }: Pick<DrillFacts, 'timeline'>): DrillFacts['timeline'] {
  return timeline.map((entry) => ({ ...entry, match: false }));
}

function firstReaction(injection: Injection) {
  const {
    entry,
    seconds = 0,
    because = '',
    evidence = [],
  } = knownOf(injection, faultOf(injection.spec).detectionLink) ?? {};
  return { match: entry, seconds, because, source: evidence[0]?.source ?? entry?.source ?? '' };
}

function answeredControls(injection: Injection): readonly AnsweredControl[] {
  const { spec } = injection;
  return spec.chain.flatMap((link) => {
    if (link.role !== 'control' || link.expectation === undefined) return [];
    const sent = knownOf(injection, orderBefore(spec.chain, link.id));
    const seen = knownOf(injection, link)?.entry;
    if (sent?.receipt === undefined || seen === undefined) return [];
    const [proof] = receiptEvidence(spec.node, sent.receipt);
    return [
      {
        control: controlOf(link),
        orderedAt: sent.since ?? sent.receipt.acceptedAt,
        written: proof?.observed ?? '',
        answer: seen.text,
        answeredAt: seen.at,
      },
    ];
  });
}

function controlOf({ when = 'before', path = 'dcgm', expectation }: ChainLink): AnsweredControl['control'] {
  return {
    when,
    path,
    expectation: expectation ?? { kind: 'event', type: '', reason: '', withinSeconds: 1 },
  };
}

/** A negative drill fails by a reaction only: a path that is broken keeps it from being decided. */
function withoutBlame(injection: Injection, missed: ChainLink | undefined, verdicted: Verdicted): Verdicted {
  if (!isNegative(injection.spec) || verdicted.verdict !== 'fail') return verdicted;
  const isJudged = missed?.expectation?.kind === 'none' && knownOf(injection, missed)?.state === 'missed';
  return isJudged ? verdicted : { ...verdicted, verdict: 'inconclusive' };
}
