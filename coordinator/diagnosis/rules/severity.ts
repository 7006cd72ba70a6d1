import { eventAggregateLimit, eventBurst } from '../../../shared/nma-timing.ts';
import { combinedPrefix } from '../../catalogue/nma/conditions.ts';
import { advice, run } from '../../store/advice.ts';
import type { Evidence } from '../../store/explanation.ts';
import type { Facts } from '../../view/facts.ts';
import { injectedAt, injectedOn, isSilent, judgedEngine, seenInjection, xidOf } from '../drill.ts';
import { isOlder, nmaName, present, seen, seenInLog } from '../evidence.ts';
import { differenceOf, isPlanned, plannedReactions, reportedOn, seenEntry } from '../reactions.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

/** Warning → event, Fatal → condition, never both; which of them an Xid is changed between versions (nma.md §7). */
export const eventInsteadOfCondition: Rule = {
  code: 'event-instead-of-condition',
  title: 'This NMA version sends an event for the fault, not a condition',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  judge: (facts) => judgeKind(facts, 'condition', 'event'),
};

/** The event that was expected is a condition in this version. */
export const conditionInsteadOfEvent: Rule = {
  code: 'condition-instead-of-event',
  title: 'This NMA version sets the condition for the fault and sends no event',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  judge: (facts) => judgeKind(facts, 'event', 'condition'),
};

function judgeKind(facts: Facts, expected: 'event' | 'condition', actual: 'event' | 'condition'): Judgement {
  const { drill, nma } = facts;
  if (drill?.expectation.kind !== expected) return irrelevant;
  const planned = plannedReactions(facts);
  const usual = planned?.at(0)?.reaction;
  const isExpected = isPlanned(facts, { ...drill.expectation, message: undefined });
  const isOther = usual !== undefined && usual.appearsAs === actual && !isExpected;
  const came = isExpected
    ? undefined
    : reportedOn(facts).find(
        (one) =>
          one.kind === actual &&
          (isPlanned(facts, { ...one, message: undefined }) || one.reason === drill.expectation.reason),
      );
  const entry = came !== undefined && differenceOf(facts, came) === 'earlier' ? undefined : came;
  const fault = xidOf(drill) === undefined ? 'this fault' : `Xid ${xidOf(drill)}`;
  if (!isOther && entry === undefined) {
    if (usual !== undefined) return refuted(`for ${fault} ${nmaName(facts)} does give ${a(expected)}`);
    if (nma.version !== undefined) return irrelevant;
    return unknown('the NMA version is not known, and it decides how a fault shows');
  }
  const reason = entry?.reason ?? usual?.reason ?? '';
  const shows = isOther
    ? `${nmaName(facts)} answers ${fault} with ${a(actual)} (${usual.reason}), and the drill waits for ${a(expected)}.`
    : `The drill waits for ${a(expected)}.`;
  const seenText = entry === undefined ? '' : ` NMA did react, with ${a(actual)}: ${entry.text}.`;
  const cause = {
    summary: `${shows}${seenText}`,
    evidence: present<Evidence>(
      entry?.evidence,
      nma.version &&
        seen(
          facts,
          'version of NMA',
          `${nma.version.text}${nma.version.note === '' ? '' : ` (${nma.version.note})`}`,
        ),
      nma.version && xidOf(drill) !== undefined
        ? seen(
            facts,
            `fatal Xids of NMA ${nma.version.row.version} (coordinator/catalogue/nma/versions.ts)`,
            nma.version.row.fatalXids.join(', '),
          )
        : undefined,
      ...injectedOn(drill).map((result) => seenInjection(facts, result)),
    ),
    ...advice`Expect {"kind": "${actual}", "reason": "${reason}"}, or leave the expectation out: the version then decides. ${run(whereToLook(facts, actual))}`,
  };
  const isProven = entry !== undefined || nma.version?.exact === true;
  // The engine decides as well, for everything but an Xid.
  const isCertain = xidOf(drill) !== undefined || judgedEngine(facts) !== undefined;
  return isProven ? proven({ ...cause, blocks: entry === undefined && isOther && isCertain }) : likely(cause);
}

function whereToLook(facts: Facts, actual: 'event' | 'condition'): string {
  return actual === 'event'
    ? `kubectl -n default get events --field-selector involvedObject.kind=Node,involvedObject.name=${facts.node.name}`
    : `kubectl get node ${facts.node.name} -o jsonpath='{.status.conditions}'`;
}

/** Ten different messages in ten minutes become one, and 25 Warnings empty the node's bucket (nma.md §1.0). */
export const eventCombined: Rule = {
  code: 'event-combined',
  title: 'The event was combined with others or dropped',
  link: 'detection',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill } = facts;
    if (drill?.expectation.kind !== 'event' || !isSilent(facts)) return irrelevant;
    const { reason } = drill.expectation;
    const entry = drill.timeline.find(({ event }) => event?.message.startsWith(combinedPrefix));
    const line = seenInLog(facts, new RegExp(`sending condition to exporter.*${escapeRegExp(reason)}`));
    // What was sent before the injection was sent for something else.
    const sent = line !== undefined && isOlder(line.at, injectedAt(drill)) ? undefined : line;
    if (entry === undefined && sent === undefined) {
      return refuted(`no event with the prefix "${combinedPrefix.trim()}" was seen on the node`);
    }
    const isOurs = entry?.event?.message.startsWith(`${combinedPrefix}${reason}:`) === true;
    const cause = {
      summary: `${
        entry === undefined
          ? `NMA found the fault and sent its event, and the API server never had it: a node’s Warnings share one bucket of ${eventBurst}, then one in 5 min.`
          : `An event stands for several: after ${eventAggregateLimit} different messages in 10 min client-go writes one with the prefix "${combinedPrefix.trim()}".`
      } The reaction was there, its event was merged or dropped.`,
      evidence: present<Evidence>(entry && seenEntry(entry), sent),
      ...advice`Wait 10 min without Warnings on the node and drill again, or expect a fault that ends in the condition (Xid 79). ${run(`kubectl -n default get events --field-selector involvedObject.name=${facts.node.name}`)}`,
    };
    return isOurs || sent !== undefined ? proven(cause) : likely(cause);
  },
};

function a(kind: 'event' | 'condition'): string {
  return kind === 'event' ? 'an event' : 'a condition';
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
