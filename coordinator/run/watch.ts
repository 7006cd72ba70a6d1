import { isoFromMillis, leftOf } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import { scheduledMs } from '../../shared/orders/call.ts';
import {
  faultOf,
  isNegative,
  knownOf,
  nextLink,
  type OpenLink,
  orderBefore,
  phaseOf,
  receiptOf,
  type Settled,
  withFinding,
} from '../drill/chain.ts';
import { shortened, withMatch } from '../drill/timeline.ts';
import type { LinkStatus } from '../store/experiment.ts';
import type { Injection } from '../store/store.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import { expectedOf } from './observer.ts';
import { changed, expectAll, named, type Step, type StepDeps, statusOf, withSeen } from './step.ts';
import type { Stopping } from './stopping.ts';

/** After the last part of an order is due: the agent writes it down, and its clock is not ours. */
const scriptMarginMs = 2_000;

/** The step of a link that is only watched: it ends with the next link's beginning, or with the drill. */
export function createWatchStep(
  deps: StepDeps & { readonly stopping: Stopping },
): (step: Step) => Promise<Injection> {
  const { store, clock, links, observers, conclusions, stopping } = deps;

  async function watch({ injection, open, observer, signal }: Step): Promise<Injection> {
    const { spec, status } = injection;
    const { link, row, known } = open;
    const expected = expectedOf(injection, link, row);
    if (expected === undefined)
      throw new Refusal('internal', `link ${link.id} is awaited without a baseline`);
    expectAll(links, injection, orderBefore(spec.chain, link.id).id, observer);
    const { at } = expected.past.baseline;
    const from = Date.parse(known?.since ?? at);
    const settled = await observer.settle(expected, { from, until: Date.parse(known?.dueAt ?? at) }, signal);
    const news = observer.news(from);
    const recent = newsOf(open, settled, news.entries);
    const all = [...(status?.timeline ?? []), ...recent];
    const after = changed(injection, {
      links: settled === undefined ? lost(injection, open) : withFinding(injection, link.id, settled),
      timeline: link.role === 'control' ? all : withProof(all, settled),
    });
    const next = nextLink(links, after);
    if (next === 'conclude') {
      if (settled !== undefined) await scriptEnds(injection, signal);
      return conclusions.conclude(after, recent, signal);
    }
    const written =
      next.row.by === 'send'
        ? await beforeNext(after, next, signal)
        : row.endsSustained === true
          ? await stopping.settle(after, signal)
          : after;
    if (written === undefined) return conclusions.conclude(after, recent, signal);
    const stored = await store.writeInjectionStatus(injection, {
      ...statusOf(written),
      phase: phaseOf(next),
      timeline: shortened(written.status?.timeline ?? []),
    });
    if (link.role === 'fault') news.commit();
    return stored;
  }

  /**
   * What is sustained is ended before the next order, which needs the path for itself; then comes its baseline. undefined:
   * the node is gone.
   */
  async function beforeNext(
    injection: Injection,
    next: OpenLink,
    signal: AbortSignal,
  ): Promise<Injection | undefined> {
    const ended = await stopping.settle(injection, signal);
    const seen = await observers.observeBefore(ended.spec);
    return seen.isGone ? undefined : withSeen(ended, next, seen, clock.now());
  }

  /** A reaction to the first part of a script does not cut off the rest of it. */
  async function scriptEnds(injection: Injection, signal: AbortSignal): Promise<void> {
    const { spec } = injection;
    if (isNegative(spec) || receiptOf(injection)?.state !== 'running') return;
    const { order, orderLink } = faultOf(spec);
    const since = Date.parse(knownOf(injection, orderLink)?.since ?? isoFromMillis(clock.now()));
    const until = since + scheduledMs(order) + scriptMarginMs;
    await clock.sleep(leftOf({ from: since, until }, clock.now()), signal);
  }

  return watch;
}

/** The timeline with what proves a link in place of the watch's own entry for it. */
export function withProof(timeline: readonly TimelineEntry[], settled: Settled | undefined): TimelineEntry[] {
  const match = settled?.finding.match;
  return match === undefined ? [...timeline] : withMatch(timeline, match.entry);
}

/** What the timeline gains by a wait: all that was seen; of a control that was answered, its answer alone. */
function newsOf(
  open: OpenLink,
  settled: Settled | undefined,
  entries: readonly TimelineEntry[],
): readonly TimelineEntry[] {
  const match = settled?.finding.match;
  if (open.link.role !== 'control' || settled?.finding.state !== 'reached' || match === undefined)
    return entries;
  return named(open, [{ ...match.entry, match: false }]);
}

/** The node went away while the link was awaited: it is not known what would have come. */
function lost({ status }: Injection, { link }: OpenLink): LinkStatus[] {
  return (status?.links ?? []).map((known) =>
    known.id === link.id ? { ...known, state: 'unknown', because: 'the node is gone' } : known,
  );
}
