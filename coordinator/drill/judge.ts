import type { Expectation } from '../catalogue/expectation.ts';
import { combinedPrefix } from '../catalogue/nma/conditions.ts';
import type { Baseline } from '../store/experiment.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import { isUnread } from '../view/facts.ts';
import { type NodeCondition, type NodeEvent, type Observation, type SeenNode, text } from '../view/node.ts';
import { conditionEntry, eventEntry } from '../view/watcher.ts';

/** The reaction as it was seen, and what tells it from the baseline. */
export type Match = { readonly entry: TimelineEntry; readonly source: string; readonly how: string };

/** What to remember before the injection: a reaction is what differs from it. */
export function baselineOf(
  expectation: Expectation,
  seen: Observation & Pick<SeenNode, 'pods'>,
  at: string,
): Baseline {
  const pods = isUnread(seen.pods)
    ? undefined
    : seen.pods?.here.map(({ namespace, name, uid }) => ({ namespace, name, uid }));
  const condition = seen.conditions.find(({ type }) => type === expectation.type);
  const bootId = text(seen.node, 'status', 'nodeInfo', 'bootID');
  return {
    at,
    ...(bootId === undefined ? {} : { bootId }),
    ...(condition === undefined ? {} : { condition: { ...condition } }),
    events: Object.fromEntries(eventsOf(expectation, seen).map(({ uid, count }) => [uid, count])),
    ...(pods === undefined ? {} : { pods }),
  };
}

/**
 * The expected reaction, or undefined while it is not there. Compared with the baseline and never with the coordinator's
 * clock: node and coordinator may disagree about the time. `orderedAt`: when the agent accepted the order, by the node's
 * clock, which is also that of NMA's stamps (whole seconds): what is older is no reaction, also where the baseline was
 * taken from a watch that lagged behind.
 */
export function findReaction(
  expectation: Expectation,
  baseline: Baseline,
  seen: Observation,
  orderedAt?: string,
): Match | undefined {
  return expectation.kind === 'event'
    ? findEvent(expectation, baseline, seen, orderedAt)
    : findCondition(expectation, baseline, seen, orderedAt);
}

/** Whether a stamp of whole seconds lies before the second in which the order was accepted; false where either is unknown. */
export function isOlder(stamp: string | null, orderedAt: string | undefined): boolean {
  const [seconds, ordered] = [Date.parse(stamp ?? ''), Date.parse(orderedAt ?? '')];
  return seconds < Math.floor(ordered / 1000) * 1000;
}

/** An event that is new, or has come once more, since the baseline. */
export function findEvent(
  expectation: Expectation,
  baseline: Baseline,
  seen: Observation,
  orderedAt?: string,
): Match | undefined {
  const event = eventsOf(expectation, seen).find(
    (candidate) =>
      candidate.count > (baseline.events[candidate.uid] ?? 0) &&
      !isOlder(candidate.lastTimestamp, orderedAt) &&
      isExpectedText(expectation, candidate.message),
  );
  if (event === undefined) return undefined;
  const before = baseline.events[event.uid];
  return {
    entry: {
      ...eventEntry(
        event,
        { at: event.lastTimestamp ?? baseline.at, clock: 'node' },
        `event of ${event.source || 'an unnamed source'} on node ${event.node}`,
      ),
      match: true,
    },
    source: `events/default involvedObject=Node/${event.node} reason=${event.reason}`,
    how: before === undefined ? 'a new event' : `count went from ${before} to ${event.count}`,
  };
}

/**
 * The message is `<Reason>: <Message>`; from ten different ones in ten minutes it is put behind a prefix. Without a
 * reason (a negative drill of a fault that no version reacts to) any will do.
 */
export function isExpectedText({ reason, message = '' }: Expectation, text: string): boolean {
  const plain = text.startsWith(combinedPrefix) ? text.slice(combinedPrefix.length) : text;
  return (reason === '' || plain.startsWith(`${reason}:`)) && plain.includes(message);
}

function eventsOf(expectation: Expectation, seen: Observation): readonly NodeEvent[] {
  return seen.events.filter(({ reason }) => reason === expectation.type);
}

function findCondition(
  expectation: Expectation,
  baseline: Baseline,
  seen: Observation,
  orderedAt: string | undefined,
): Match | undefined {
  const now = seen.conditions.find(({ type }) => type === expectation.type);
  if (now === undefined || now.status !== 'False') return undefined;
  if (baseline.condition?.status !== 'False' && isOlder(now.lastTransitionTime, orderedAt)) return undefined;
  const how = conditionChange(expectation, baseline, now);
  return how === undefined ? undefined : conditionMatch(now, baseline, how);
}

/** A condition as the expected reaction; `how`: what tells it from the baseline. */
export function conditionMatch(now: NodeCondition, { at }: Baseline, how: string): Match {
  return {
    entry: {
      ...conditionEntry(
        now,
        { at: now.lastHeartbeatTime ?? now.lastTransitionTime ?? at, clock: 'node' },
        `status.conditions[${now.type}]`,
      ),
      match: true,
    },
    source: `status.conditions[${now.type}]`,
    how,
  };
}

/**
 * A False condition never goes back to True while the agent lives, and its reason is that of the newest fault: so the
 * message counts as well, and a condition that was False before must have grown by ours.
 */
function conditionChange(
  expectation: Expectation,
  baseline: Baseline,
  now: NodeCondition,
): string | undefined {
  const ours = expectation.message ?? '';
  const inMessage = ours !== '' && now.message.includes(ours);
  const isOurs = now.reason === expectation.reason || inMessage;
  if (!isOurs) return undefined;
  const before = baseline.condition;
  if (before?.status !== 'False') return `${before?.status ?? 'absent'} → False`;
  if (inMessage && !before.message.includes(ours)) return 'already False, its message grew by this fault';
  if (now.reason === expectation.reason && before.reason !== expectation.reason)
    return 'already False, its reason became this fault';
  return undefined;
}
