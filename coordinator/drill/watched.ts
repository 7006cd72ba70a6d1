import type { TimelineEntry } from '../store/timeline.ts';
import type { Match } from './judge.ts';
import type { Finding, LinkPast, LinkPlanInput, LinkRow } from './links.ts';

/** What the links behind detection have in common: they are only watched, and planned where a request asks for them. */

/** Of a link that the repair controller reaches. */
export const watched = { phase: 'Repairing', by: 'watch', onRequest: true, endsWithNode: false } as const;

/** Plans the link where the request expects a repair, or names the link. */
export function onRequest(
  name: string,
  expected: string,
): (input: LinkPlanInput) => ReturnType<LinkRow['plan']> {
  return ({ asked }) =>
    asked.repair === 'expect' || asked.then?.some(({ link }) => link === name) === true
      ? [{ id: name, expected }]
      : [];
}

/** Reached on what is shown, by the coordinator's clock; `how`: what tells it from what stood there before. */
export function reached(
  { at }: LinkPast,
  shown: Pick<TimelineEntry, 'kind' | 'source' | 'text'>,
  how: string,
): Finding {
  const entry: TimelineEntry = { at, clock: 'coordinator', match: true, ...shown };
  const match: Match = { entry, source: shown.source, how };
  return { state: 'reached', match };
}
