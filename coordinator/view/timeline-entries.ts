import { isoFromMillis } from '../../shared/clock.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import type { NodeCondition, NodeEvent } from './node.ts';

/** Timeline entries made of their facts; the sentence is rendered here and read by nobody but people. */

type Times = { readonly at: string; readonly clock: TimelineEntry['clock'] };

/** An event as it stands in the API; `source` is where it was seen. */
export function eventEntry(event: NodeEvent, { at, clock }: Times, source: string): TimelineEntry {
  const { uid, type, reason, message, count } = event;
  return {
    at,
    clock,
    kind: 'event',
    source,
    text: `${type} ${reason} "${message}"${count > 1 ? ` (${count} times)` : ''}`,
    match: false,
    event: { uid, type, reason, message, count, component: event.source },
  };
}

/** A condition as it stands on the node. */
export function conditionEntry(now: NodeCondition, { at, clock }: Times, source: string): TimelineEntry {
  const { type, status, reason, message } = now;
  return {
    at,
    clock,
    kind: 'condition',
    source,
    text: `${type}=${status} ${reason} "${message}"`,
    match: false,
    condition: { type, status, reason, message },
  };
}

/** A time (milliseconds) in which nobody watched; only where something may be lost is it a gap in the evidence. */
export function gapEntry(
  gap: { readonly from: number; readonly until: number; readonly lost: boolean; readonly because: string },
  source: string,
): TimelineEntry {
  const [from, until] = [isoFromMillis(gap.from), isoFromMillis(gap.until)];
  const { lost, because } = gap;
  return {
    at: from,
    clock: 'coordinator',
    kind: lost ? 'gap' : 'note',
    source,
    text: `not watching until ${until}: ${because}; ${lost ? 'what came and went in between is lost' : 'everything came, but late'}`,
    match: false,
    gap: { from, until, lost, because },
  };
}

/** Whether both show one and the same thing: an event, however often it came, or a condition in one state. */
export function isSameSight(left: TimelineEntry, right: TimelineEntry): boolean {
  if (left.event !== undefined) return left.event.uid === right.event?.uid;
  const [one, other] = [left.condition, right.condition];
  if (one === undefined || other === undefined) return false;
  return (['type', 'status', 'reason', 'message'] as const).every((member) => one[member] === other[member]);
}
