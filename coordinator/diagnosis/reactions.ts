import type { ChannelReaction } from '../catalogue/channels/channel.ts';
import { reactionsToOrder } from '../catalogue/channels.ts';
import { engineVias } from '../catalogue/expectation.ts';
import { combinedPrefix } from '../catalogue/nma/conditions.ts';
import { detectionOf, knownReasons } from '../catalogue/nma/known-reasons.ts';
import type { Evidence } from '../store/explanation.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';
import { injectedAt, isAfterInjection, judgedEngine } from './drill.ts';
import { millis, seenCondition } from './evidence.ts';
import { isFromNma, managedConditions } from './liveness.ts';
import { type Judgement, refuted } from './rule.ts';

/** Something that NMA reported on the node while the drill went on: an event, or a condition that is False. */
export type Reported = {
  readonly kind: 'event' | 'condition';
  /** Condition type; an event has it as its `reason`. */
  readonly type: string;
  /** NMA's own reason: the head of an event's message, the reason of a condition. */
  readonly reason: string;
  /** Without the reason before it. */
  readonly message: string;
  /** RFC 3339; the clock is that of `evidence`. */
  readonly at: string;
  readonly clock: TimelineEntry['clock'];
  readonly text: string;
  readonly evidence: Evidence;
  /** Not in the timeline: it stood on the node when the facts were read, after the wait. */
  readonly isAfterWait: boolean;
};

/** How something reported differs from what is expected; `same`: it does not. */
export type Difference = 'same' | 'earlier' | 'late' | 'message' | 'reason' | 'kind' | 'type';

/** Everything that NMA reported on the node since the injection, as far as it was seen; what is expected is among it. */
export function reportedOn(facts: Facts): readonly Reported[] {
  const { drill } = facts;
  if (drill === undefined || injectedAt(drill) === undefined) return [];
  const listed = drill.timeline.flatMap(reportedBy);
  const standing = managedConditions(facts)
    .filter((now) => now.status === 'False' && isNewSince(facts, drill, now))
    .filter(
      ({ type, reason }) =>
        !listed.some((one) => one.kind === 'condition' && one.type === type && one.reason === reason),
    )
    .map(
      (now): Reported => ({
        kind: 'condition',
        type: now.type,
        reason: now.reason,
        message: now.message,
        at: now.lastHeartbeatTime ?? now.lastTransitionTime ?? facts.at,
        clock: 'node',
        text: `${now.type}=False ${now.reason} "${now.message}"`,
        evidence: seenCondition(facts, now),
        isAfterWait: true,
      }),
    );
  return [...listed, ...standing];
}

/** What an entry of the timeline shows of NMA; of others, and of a condition that is not False, nothing. */
function reportedBy(entry: TimelineEntry): readonly Reported[] {
  const { at, clock, text, event, condition } = entry;
  const about = { at, clock, text, evidence: seenEntry(entry), isAfterWait: false } as const;
  if (event !== undefined && isFromNma(event)) {
    const { reason, message } = splitMessage(event.message);
    return [{ ...about, kind: 'event', type: event.reason, reason, message }];
  }
  if (condition === undefined || condition.status !== 'False' || !isFromNma({ reason: condition.type }))
    return [];
  return [{ ...about, kind: 'condition', ...condition }];
}

/** `<Reason>: <Message>`, behind the prefix of client-go where that merged several (nma.md §1.0). */
function splitMessage(text: string): { readonly reason: string; readonly message: string } {
  const plain = text.startsWith(combinedPrefix) ? text.slice(combinedPrefix.length) : text;
  const colon = plain.indexOf(': ');
  return colon < 0
    ? { reason: '', message: plain }
    : { reason: plain.slice(0, colon), message: plain.slice(colon + 2) };
}

/** Another state than before the order; without that, by its transition time. */
function isNewSince(facts: Facts, drill: DrillFacts, now: Facts['node']['conditions'][number]): boolean {
  const before = drill.conditionBefore;
  if (before?.type !== now.type) return isAfterInjection(facts, now.lastTransitionTime);
  return before.status !== now.status || before.reason !== now.reason || before.message !== now.message;
}

/** How it differs from the expectation; what is older than the injection is no answer to it, whatever it is. */
export function differenceOf({ drill }: Facts, reported: Reported): Difference {
  if (drill === undefined) return 'same';
  const { kind, type, reason, message = '' } = drill.expectation;
  const [at, injected, until] = [reported.at, injectedAt(drill), drill.waitedUntil].map(millis);
  // Whole seconds, on the node's clock as the injection.
  if (reported.clock === 'node' && at !== undefined && injected !== undefined && at + 999 < injected)
    return 'earlier';
  if (reported.type !== type) return 'type';
  if (reported.kind !== kind) return 'kind';
  if (reported.reason !== reason) return 'reason';
  if (!reported.message.includes(message)) return 'message';
  const isLate = at !== undefined && until !== undefined && at > until;
  return reported.isAfterWait || isLate ? 'late' : 'same';
}

/** What this version of NMA shows for the order, by the catalogue; undefined: no version, or nothing is asked of it. */
export function plannedReactions(facts: Facts): readonly ChannelReaction[] | undefined {
  const { drill, nma } = facts;
  if (drill === undefined || drill.pathOnly || nma.version === undefined) return undefined;
  const engineVersion = judgedEngine(facts)?.version || undefined;
  return reactionsToOrder(drill.order, { nma: nma.version.row, engineVersion });
}

/** Whether the catalogue has it among what this version shows for the order; with a message, that one too. */
export function isPlanned(
  facts: Facts,
  shown: {
    readonly kind: string;
    readonly type: string;
    readonly reason: string;
    readonly message?: string | undefined;
  },
): boolean {
  return (plannedReactions(facts) ?? []).some(
    ({ reaction }) =>
      reaction.appearsAs === shown.kind &&
      reaction.conditionType === shown.type &&
      reaction.reason === shown.reason &&
      (shown.message === undefined || shown.message.includes(reaction.message)),
  );
}

/** Whether any known version of NMA reports this reason, under whatever condition type. */
export function isKnownReason(reason: string): boolean {
  return knownReasons.includes(reason);
}

/** NMA has reported a fault that it learns of from its host engine: then none of what would keep it from that is so. */
export function engineWasHeard(facts: Facts): Judgement | undefined {
  const found = reportedOn(facts).find((one) => {
    const via = detectionOf(one)?.via;
    if (via === undefined || !engineVias.includes(via)) return false;
    return via !== 'engine-loss' && via !== 'engine-pause' && differenceOf(facts, one) !== 'earlier';
  });
  return (
    found && refuted(`NMA reported ${found.reason} at ${found.at}, which it learns of from its host engine`)
  );
}

/** NMA's reason in an entry that proves a reaction; empty: the entry shows none. */
export function reasonIn(entry: TimelineEntry | undefined): string {
  if (entry?.condition !== undefined) return entry.condition.reason;
  return entry?.event === undefined ? '' : splitMessage(entry.event.message).reason;
}

/** A timeline entry as evidence, with the clock of its time. */
export function seenEntry(entry: TimelineEntry): Evidence {
  return { source: `${entry.source} (${entry.clock} clock)`, observed: entry.text, at: entry.at };
}
