import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import { faultOf, type OpenLink, orderBefore, withBaseline } from '../drill/chain.ts';
import { baselineOf } from '../drill/judge.ts';
import type { LinkRow } from '../drill/links.ts';
import type { InjectionStatus } from '../store/experiment.ts';
import type { Injection, Store } from '../store/store.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import type { SeenNode } from '../view/node.ts';
import type { Conclusions } from './conclusion.ts';
import { expectedOf, type Observer, type Observers } from './observer.ts';

/** What every step of a chain works with. */
export type StepDeps = {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** The rows of the chain's links. */
  readonly links: readonly LinkRow[];
  readonly observers: Observers;
  readonly conclusions: Conclusions;
};

/** One step: the open link of an injection, who observes its node, and what ends the step early. */
export type Step = {
  readonly injection: Injection;
  readonly open: OpenLink;
  readonly observer: Observer;
  readonly signal: AbortSignal;
};

/** The injection with changes to its status that are not stored yet. */
export function changed(injection: Injection, change: Partial<InjectionStatus>): Injection {
  return { ...injection, status: { ...statusOf(injection), ...change } };
}

/** The status as it stands, to be written with changes. */
export function statusOf({ status }: Injection): InjectionStatus {
  return { ...status, phase: status?.phase ?? 'Selected' };
}

/** A control's entries say that they are. */
export function named({ link }: OpenLink, entries: readonly TimelineEntry[]): readonly TimelineEntry[] {
  if (link.role === 'fault') return entries;
  return entries.map((entry) => ({ ...entry, text: `control ${link.when}: ${entry.text}` }));
}

/** From now on every link that follows from this order is looked for, so that nothing is missed. */
export function expectAll(
  rows: readonly LinkRow[],
  injection: Injection,
  orderId: string,
  observer: Observer,
): void {
  const { chain } = injection.spec;
  observer.expect(
    chain.flatMap((link) => {
      const row = rows.find(({ name }) => name === link.link);
      if (row?.by !== 'watch' || orderBefore(chain, link.id).id !== orderId) return [];
      return expectedOf(injection, link, row) ?? [];
    }),
  );
}

/** The injection with what stands on its node before the order of the open link is sent. */
export function withSeen(
  injection: Injection,
  { link }: Pick<OpenLink, 'link'>,
  seen: SeenNode,
  now: number,
): Injection {
  const { spec } = injection;
  const follows = spec.chain.find(
    (other) => other.expectation !== undefined && orderBefore(spec.chain, other.id).id === link.id,
  );
  const expectation = follows?.expectation ?? faultOf(spec).expectation;
  const baseline = baselineOf(expectation, seen, isoFromMillis(now));
  return changed(injection, { links: withBaseline(injection, link.id, baseline) });
}
