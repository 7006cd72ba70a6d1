import { isoFromMillis } from '../../shared/clock.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import { isSameSight } from '../view/watcher.ts';

/** A timeline is cut in the middle: what was ordered and injected stands at its beginning. */
const keptFirst = 20;
const keptLast = 180;

/** One try to give an order, by the coordinator's clock. */
export type Attempt = { readonly at: number; readonly failed?: string };

/** An entry on the coordinator's clock; `at` in ms. */
export function timelineEntry(
  at: number,
  kind: TimelineEntry['kind'],
  source: string,
  text: string,
): TimelineEntry {
  return { at: isoFromMillis(at), clock: 'coordinator', kind, source, text, match: false };
}

/**
 * In the order of time, as far as the clocks allow: stamps of the node and the API server have whole seconds and count as the end
 * of theirs, and whatever was seen after an order stays behind it, however far the node's clock is off.
 */
export function inTimeOrder(timeline: readonly TimelineEntry[]): TimelineEntry[] {
  const parts: TimelineEntry[][] = [[]];
  for (const entry of timeline) {
    if (entry.kind === 'ordered') parts.push([entry], []);
    else parts.at(-1)?.push(entry);
  }
  return parts.flatMap((part) => part.toSorted((left, right) => latestMs(left) - latestMs(right)));
}

/** The latest time, in milliseconds, that an entry's stamp can mean. */
function latestMs({ at, clock }: TimelineEntry): number {
  const ms = Date.parse(at);
  return clock !== 'coordinator' && ms % 1000 === 0 ? ms + 999 : ms;
}

/** The first and the last entries where there are too many to store. */
export function shortened(timeline: readonly TimelineEntry[]): TimelineEntry[] {
  if (timeline.length <= keptFirst + keptLast) return [...timeline];
  return [...timeline.slice(0, keptFirst), ...timeline.slice(-keptLast)];
}

/** How the order was sent: the first failure and the last attempt. */
export function orderEntries(
  { node, order }: { readonly node: string; readonly order: AgentOrder },
  attempts: readonly Attempt[],
): readonly TimelineEntry[] {
  const source = `agent of ${node}`;
  const { orderId, method } = order;
  const what = `${method} ${orderId}`;
  const failed = attempts.filter((attempt) => attempt.failed !== undefined);
  const [first] = failed;
  const last = attempts.at(-1);
  return [
    ...(first === undefined || first === last
      ? []
      : [
          {
            ...timelineEntry(
              first.at,
              'note',
              source,
              `${what} was not answered ${failed.length} times: ${first.failed}`,
            ),
            order: { orderId, method, attempts: failed.length },
          },
        ]),
    ...(last === undefined
      ? []
      : [
          {
            ...timelineEntry(last.at, 'ordered', source, what),
            order: { orderId, method, attempts: attempts.length },
          },
        ]),
  ];
}

/** The timeline with what proves a link; the watch's own entry for it gives way. */
export function withMatch(timeline: readonly TimelineEntry[], proof: TimelineEntry): TimelineEntry[] {
  return [...timeline.filter((entry) => !isSameSight(entry, proof)), proof];
}

/** What the agent did, on the node's clock. */
export function receiptEntries(receipt: Receipt): readonly TimelineEntry[] {
  return receipt.surfaces.map((surface) => ({
    at: surface.at ?? receipt.acceptedAt,
    clock: 'node',
    kind: surface.outcome === 'injected' ? 'injected' : 'note',
    source: surface.surface,
    text:
      surface.outcome === 'injected'
        ? proofOf(surface)
        : `${surface.outcome}: ${surface.code ?? ''} ${surface.message ?? ''}`,
    match: false,
    write: {
      surface: surface.surface,
      outcome: surface.outcome,
      ...(surface.code === undefined ? {} : { code: surface.code }),
    },
  }));
}

/** What was read back on one surface, in one line. */
export function proofOf(surface: Receipt['surfaces'][number]): string {
  const proof = surface.readBack;
  if (proof === undefined) return surface.written ?? '';
  if ('sequence' in proof) return `record ${proof.sequence}: ${proof.record}`;
  if (!('after' in proof)) return `${surface.written ?? ''}; ${JSON.stringify(proof)}`;
  return `${surface.written ?? ''}; newest sample ${proof.after.newest ?? 'none'}, ${proof.after.watchers} watchers`;
}
