import { renderDuration } from '../../../shared/duration.ts';
import type { Expectation } from '../../catalogue/expectation.ts';
import { nearestReason } from '../../catalogue/nma/known-reasons.ts';
import type { Evidence } from '../../store/explanation.ts';
import type { DrillFacts, Facts } from '../../view/facts.ts';
import {
  injectedAt,
  injectedOn,
  isSilent,
  judgedEngine,
  reactionEntry,
  seenInjection,
  waitedSeconds,
  windowOf,
} from '../drill.ts';
import { ageSeconds, nmaName, present, seen } from '../evidence.ts';
import {
  type Difference,
  differenceOf,
  isKnownReason,
  isPlanned,
  plannedReactions,
  type Reported,
  reportedOn,
} from '../reactions.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

const otherwise: readonly Difference[] = ['reason', 'message', 'type', 'kind'];

/** NMA did react, and the drill looked for something else: that is never called a silence. */
export const otherReaction: Rule = {
  code: 'other-reaction',
  title: 'NMA reacted otherwise than expected',
  link: 'detection',
  verdict: 'fail',
  mayBeIncidental: true,
  judge: judgeOther,
};

function judgeOther(facts: Facts): Judgement {
  const { drill } = facts;
  if (drill === undefined || drill.expectation.kind === 'none' || !isSilent(facts)) return irrelevant;
  if (injectedOn(drill).length === 0) return irrelevant;
  const { message: _, ...expected } = drill.expectation;
  const isGiven = isPlanned(facts, expected);
  const reported = reportedOn(facts).filter(
    (one) => otherwise.includes(differenceOf(facts, one)) && !isSaidByKind(facts, one, isGiven),
  );
  const { type, reason } = drill.expectation;
  const ours = reported.filter((one) => isPlanned(facts, one));
  const alike = reported.filter(({ kind, type, reason }) => isPlanned(facts, { kind, type, reason }));
  const found = ours.at(0) ?? alike.at(0) ?? reported.find((one) => one.type === type) ?? reported.at(0);
  if (found === undefined)
    return refuted('NMA reported nothing else on the node between the injection and the end of the wait');
  const isOurs = ours.includes(found);
  // A fault may show in several ways, of which this is another than the one that was waited for.
  const isBesides = isOurs && found.reason !== reason && isGiven;
  const cause = {
    summary: present(
      `NMA did react, not as expected: ${renderReported(found)}.`,
      originOf(facts, found, isOurs, isBesides),
      expectedText(facts, drill),
    ).join(' '),
    evidence: [
      found.evidence,
      ...reported.filter((one) => one !== found).map(({ evidence }) => evidence),
      ...versionEvidence(facts),
      ...injectedOn(drill).map((result) => seenInjection(facts, result)),
    ],
    remedy: isOurs
      ? `Expect {"kind": "${found.kind}", "type": "${found.type}", "reason": "${found.reason}"}, or leave the expectation out: the version then decides.`
      : `See what else happened on the node at ${found.at}; where it belongs to the fault, expect {"kind": "${found.kind}", "type": "${found.type}", "reason": "${found.reason}"}.`,
  };
  if (isOurs && !isBesides) return proven(cause);
  return likely({ ...cause, incidental: !isOurs && found.type !== type });
}

/** The same fault as the other kind of reaction has rules of its own (severity.ts). */
function isSaidByKind(facts: Facts, { kind, type, reason }: Reported, isGiven: boolean): boolean {
  const { expectation } = facts.drill ?? {};
  if (isGiven || kind === expectation?.kind) return false;
  return reason === expectation?.reason || isPlanned(facts, { kind, type, reason });
}

function originOf(facts: Facts, found: Reported, isOurs: boolean, isBesides: boolean): string {
  const name = nmaName(facts);
  if (!isOurs && found.reason === facts.drill?.expectation.reason)
    return 'It has the expected reason and another message, so that it may be another fault’s.';
  if (isBesides) return `${name} shows that for this fault besides what was waited for.`;
  if (isOurs) return `That is what ${name} gives for this fault.`;
  const planned = plannedReactions(facts);
  if (planned === undefined || planned.length === 0)
    return 'Whether it belongs to this fault is not known from the catalogue.';
  const usual = planned.map(({ reaction }) => `${reaction.appearsAs} ${reaction.reason}`).join(', then ');
  return `The catalogue does not have ${found.reason || 'it'} for this fault; it has ${usual}.`;
}

function expectedText(facts: Facts, { expectation }: DrillFacts): string {
  const { kind, type, reason, message } = expectation;
  const text = message === undefined ? '' : ` with "${message}"`;
  return `Expected was ${kind} ${type} ${reason}${text}. ${unknownText(facts, expectation)}`.trim();
}

/** Said of a reason that no known version has; the nearest one is a guess at what was meant. */
function unknownText(facts: Facts, { reason }: Expectation): string {
  if (isKnownReason(reason)) return '';
  const planned = (plannedReactions(facts) ?? []).map(({ reaction }) => reaction.reason);
  return `No known version of NMA has the reason ${reason}; the nearest that one has is ${nearestReason(reason, planned)}.`;
}

function renderReported({ kind, type, reason, text, at, clock }: Reported): string {
  const what = kind === 'condition' ? `condition ${type} False, reason ${reason}` : `event ${text}`;
  return `${what}, seen at ${at} (${clock} clock)`;
}

function versionEvidence(facts: Facts): readonly Evidence[] {
  const { version } = facts.nma;
  if (version === undefined) return [];
  return [seen(facts, 'version of NMA', `${version.text}${version.note === '' ? '' : ` (${version.note})`}`)];
}

/** The expected reason cannot come: this version has another one for the fault. Asked before the injection. */
export const reasonNotGiven: Rule = {
  code: 'reason-not-given',
  title: 'This NMA version does not have the expected reason for the fault',
  link: 'detection',
  verdict: 'fail',
  mayBeIncidental: true,
  judge(facts) {
    const { drill, nma } = facts;
    if (drill === undefined || drill.expectation.kind === 'none') return irrelevant;
    const planned = plannedReactions(facts);
    if (planned === undefined || planned.length === 0) return irrelevant;
    const { reason, kind } = drill.expectation;
    const isThere = planned.some(({ reaction }) => reaction.reason === reason);
    if (isThere) return refuted(`${nmaName(facts)} has the reason ${reason} for this fault`);
    // Another kind is said by the rules of severity, and with it the reason.
    const [first] = planned;
    if (first === undefined || planned.every(({ reaction }) => reaction.appearsAs !== kind))
      return irrelevant;
    const usual = planned.map(({ reaction }) => `${reaction.appearsAs} ${reaction.reason}`).join(', then ');
    if (nma.version?.exact !== true && isKnownReason(reason))
      return unknown(`which reasons this NMA has for the fault is not certain: ${nma.version?.note ?? ''}`);
    const cause = {
      summary:
        `${nmaName(facts)} shows ${usual} for this fault; the drill expects the reason ${reason}, which it does not have for it. ` +
        unknownText(facts, drill.expectation),
      evidence: present<Evidence>(
        ...versionEvidence(facts),
        seen(
          facts,
          'order',
          `${drill.order.method}, expectation ${kind} ${drill.expectation.type} ${reason}`,
        ),
        judgedEngine(facts) &&
          seen(
            facts,
            `agent ${facts.node.name} GetInventory engines`,
            `version ${judgedEngine(facts)?.version}`,
          ),
      ),
      remedy: `Expect {"kind": "${first.reaction.appearsAs}", "reason": "${first.reaction.reason}"}, or leave the expectation out: the version then decides.`,
      // Nothing came at all: whatever was looked for, another cause explains that.
      incidental: injectedAt(drill) !== undefined,
    };
    return isKnownReason(reason) ? likely(cause) : proven(cause);
  },
};

/** It came, and the drill had stopped waiting. */
export const lateReaction: Rule = {
  code: 'late-reaction',
  title: 'The reaction came after the wait',
  link: 'detection',
  verdict: 'fail',
  judge(facts) {
    const { drill } = facts;
    if (drill?.waitedUntil === undefined || !isSilent(facts) || drill.expectation.kind === 'none')
      return irrelevant;
    const late = reportedOn(facts).find((one) => differenceOf(facts, one) === 'late');
    if (late === undefined) return refuted('the expected reaction is not there after the wait either');
    const waited = waitedSeconds(facts) ?? 0;
    const after = ageSeconds(late.at, injectedAt(drill));
    const { worstMs = 0 } = windowOf(drill) ?? {};
    const isShort = waited * 1000 < worstMs;
    const since = after === undefined ? '' : `, ${renderDuration(after)} after the injection`;
    return proven({
      summary:
        `NMA did react, after the wait: ${renderReported(late)}${since}; the drill waited ${renderDuration(waited)}, until ${drill.waitedUntil}.` +
        (isShort ? ` This reaction may take ${renderDuration(worstMs / 1000)}.` : ''),
      evidence: [late.evidence, ...injectedOn(drill).map((result) => seenInjection(facts, result))],
      remedy: `Wait longer: expectation {"within": "${Math.ceil(Math.max(worstMs / 1000, after ?? 0)) + 30}s"}.`,
      ...(isShort ? { verdict: 'inconclusive' as const } : {}),
    });
  },
};

/** The expected event is there, with a time before the injection: somebody else's fault, or a drill just before. */
export const earlierReaction: Rule = {
  code: 'earlier-reaction',
  title: 'NMA had reported the same before the injection',
  link: 'detection',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill } = facts;
    if (drill === undefined || !isSilent(facts) || reactionEntry(facts) !== undefined) return irrelevant;
    const { expectation } = drill;
    const earlier = reportedOn(facts).findLast(
      (one) =>
        differenceOf(facts, one) === 'earlier' &&
        one.type === expectation.type &&
        one.reason === expectation.reason,
    );
    if (earlier === undefined) return refuted('no report of the same fault is older than the injection');
    const before = ageSeconds(injectedAt(drill), earlier.at) ?? 0;
    return likely({
      summary: `NMA had reported it ${renderDuration(before)} before the injection, and not again since: ${renderReported(earlier)}. That is another fault’s or an earlier drill’s, and no answer to this one.`,
      evidence: [earlier.evidence, ...injectedOn(drill).map((result) => seenInjection(facts, result))],
      remedy: `See who else injects on ${facts.node.name}, wait 10 min and drill again.`,
    });
  },
};
