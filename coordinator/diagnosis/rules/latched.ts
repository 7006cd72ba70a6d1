import { xidHealthIncident } from '../../../shared/dcgm-fields/health-codes.ts';
import { engineLossReaction } from '../../catalogue/nma/reactions.ts';
import { commandOf } from '../../store/advice.ts';
import type { Facts } from '../../view/facts.ts';
import type { NodeCondition } from '../../view/node.ts';
import { replaceNode, restartEngine, restartNma } from '../commands.ts';
import {
  expectedType,
  injectedOn,
  isSilent,
  judgedEngine,
  reactionEntry,
  seenInjection,
  usualReaction,
} from '../drill.ts';
import { present, seenCondition } from '../evidence.ts';
import { conditionOf } from '../liveness.ts';
import { isPlanned, plannedReactions, seenEntry } from '../reactions.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

/** NMA never goes back to True while it lives; a further fault does not move the transition (nma.md §3). */
export const alreadyFalse: Rule = {
  code: 'already-false',
  title: 'The condition was False before the injection',
  link: 'detection',
  verdict: 'inconclusive',
  mayBlock: 'any',
  judge: judgeLatched,
};

function judgeLatched(facts: Facts): Judgement {
  const { drill } = facts;
  if (drill !== undefined && drill.expectation.kind !== 'condition') return irrelevant;
  const type = expectedType(facts);
  const before =
    drill?.conditionBefore ?? (drill?.receipt === undefined ? conditionOf(facts, type) : undefined);
  if (before === undefined) {
    return drill?.receipt === undefined
      ? irrelevant
      : unknown(`how ${type} stood before the injection was not kept`);
  }
  if (before.status !== 'False') return refuted(`${type} was ${before.status} before the injection`);
  const isSame = drill !== undefined && hidesNew(facts, before);
  const cause = {
    summary:
      `${type} was already False (${before.reason}, since ${before.lastTransitionTime ?? 'an unknown time'}). NMA never sets it ` +
      'back, and a further fault does not move the transition time' +
      `${isSame ? '; the same fault again changes nothing but the heartbeat.' : '; only reason and message can still change.'}`,
    evidence: [
      seenCondition(facts, before),
      ...injectedOn(drill).map((result) => seenInjection(facts, result)),
    ],
    remedy: `${clearing(facts, before)} Or drill a node that is True.`,
    commands: present(commandOf(engineToClear(facts, before)), commandOf(restartNma(facts))),
  };
  return isSame ? proven({ ...cause, blocks: true }) : likely(cause);
}

/** The engine keeps what NMA reports again; of its own loss it keeps nothing. */
function engineToClear(facts: Facts, { reason }: NodeCondition): string | undefined {
  return reason === engineLossReaction('').reason ? undefined : restartEngine(facts);
}

function clearing(facts: Facts, condition: NodeCondition): string {
  const node = replaceNode(facts);
  if (node !== undefined) return `Clear it: ${node}.`;
  const engine = engineToClear(facts, condition);
  const nma = restartNma(facts);
  return engine === undefined
    ? `Clear it: ${nma}; wait until it is Ready.`
    : `Clear it, the engine first: ${engine}; when that is Ready, ${nma}; wait 6 min for the first health check.`;
}

/** Nothing that can be seen would change: same reason, and a message that is in the old one already. */
function hidesNew(facts: Facts, before: NodeCondition): boolean {
  const { drill } = facts;
  if (drill === undefined || before.reason !== drill.expectation.reason) return false;
  const message = drill.expectation.message ?? usualReaction(facts)?.message;
  return message !== undefined && before.message.includes(message);
}

/** The health check re-reports what the engine keeps, under its own code, within 6 min (nma.md §0.8). */
export const reasonReplaced: Rule = {
  code: 'reason-replaced',
  title: 'NMA reacted, and a later reason stands in its place',
  link: 'detection',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill } = facts;
    if (drill === undefined || drill.expectation.kind !== 'condition' || reactionEntry(facts) !== undefined)
      return irrelevant;
    if (drill.receipt === undefined || !isSilent(facts)) return irrelevant;
    const condition = conditionOf(facts, drill.expectation.type);
    if (condition === undefined || condition.status !== 'False') {
      return refuted(
        `${drill.expectation.type} is ${condition?.status ?? 'absent'}: no other reason stands there`,
      );
    }
    const { reason } = drill.expectation;
    if (condition.reason === reason) return irrelevant;
    const planned = plannedReactions(facts);
    const message =
      drill.expectation.message ?? planned?.find((one) => one.reaction.reason === reason)?.reaction.message;
    const isOurs =
      message !== undefined &&
      message !== '' &&
      condition.message.includes(message) &&
      drill.conditionBefore?.message.includes(message) !== true;
    if (!isOurs)
      return refuted(`the message of ${condition.type} (${condition.reason}) does not contain this fault’s`);
    // A reason that this version does not have for the fault never stood there.
    if (planned !== undefined && planned.length > 0 && !isPlanned(facts, drill.expectation))
      return irrelevant;
    const stood = drill.timeline.find(
      (entry) => entry.condition?.type === condition.type && entry.condition.reason === reason,
    );
    const history =
      stood === undefined
        ? `Its reason is ${condition.reason}; that it was ${reason} before was not seen.`
        : `Its reason was ${reason} at ${stood.at} and is ${condition.reason} now.`;
    return proven({
      summary:
        `NMA did react: the message of ${condition.type} contains "${message}". ${history} ` +
        'A later fault replaces the reason and only adds to the message.',
      evidence: present(
        seenCondition(facts, condition),
        stood && seenEntry(stood),
        drill.conditionBefore && {
          ...seenCondition(facts, drill.conditionBefore),
          source: `nodes/${facts.node.name} status.conditions[${condition.type}] before the injection`,
        },
      ),
      remedy: `Match the message instead: expectation {"message": "${message}"}, or choose an Xid that leaves nothing in the engine${quietXids(facts)}.`,
    });
  },
};

/** Fatal Xids of this version that the health system of the node's engine does not keep: ` (46, 109, …)`. */
function quietXids(facts: Facts): string {
  const { row } = facts.nma.version ?? {};
  if (row === undefined) return '';
  const engine = judgedEngine(facts)?.version ?? row.engineVersion;
  const quiet = row.fatalXids.filter((xid) => xidHealthIncident(engine, xid) === undefined);
  return quiet.length === 0 ? '' : ` (${quiet.join(', ')})`;
}
