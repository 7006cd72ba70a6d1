import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { scheduledMs } from '../../shared/orders/call.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Agents } from '../agents/port.ts';
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
  withBaseline,
  withFinding,
  withoutBaseline,
  withReceipt,
  withRefusal,
} from '../drill/chain.ts';
import { blockedBefore, drillFacts, type Verdicted } from '../drill/conclude.ts';
import { baselineOf } from '../drill/judge.ts';
import type { LinkRow } from '../drill/links.ts';
import {
  type Attempt,
  orderEntries,
  receiptEntries,
  shortened,
  timelineEntry,
  withMatch,
} from '../drill/timeline.ts';
import type { InjectionStatus, LinkStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Injection, Store } from '../store/store.ts';
import type { TimelineEntry, Verdict } from '../store/timeline.ts';
import type { Collector } from '../view/collect.ts';
import type { ReadNode } from '../view/read-node.ts';
import type { Watcher } from '../view/watcher.ts';
import { createConclusions } from './conclusion.ts';
import { createDispatch, isToRepeat, slotWaitMs } from './dispatch.ts';
import { createObservers, expectedOf, type Observer } from './observer.ts';
import { createStopping } from './stopping.ts';

/** What an injection is driven with. */
export type DriverDeps = {
  readonly store: Store;
  /** Reads one node from the API server. */
  readonly readNode: ReadNode;
  readonly watcher: Watcher;
  readonly agents: Agents;
  readonly collector: Collector;
  readonly clock: Clock;
  readonly log: Log;
  /** The rows of the chain's links. */
  readonly links: readonly LinkRow[];
  /** Called with the fault's name and the seconds until the reaction was seen. */
  readonly onDetection: (fault: string, seconds: number) => void;
};

const retryPauseMs = 1_000;
/** After the last part of an order is due: the agent writes it down, and its clock is not ours. */
const scriptMarginMs = 2_000;

/** Renders the end of an injection that is cut short, from what came of ending what was sustained. */
export type RenderEnd = (settled: Injection) => Explanation;

/** Takes injections through their chain; everything it needs to go on after a restart is in the stored object. */
export type InjectionDriver = {
  /** Takes one injection from where it stands to its verdict. Throws what the signal was aborted with. */
  drive(injection: Injection, signal: AbortSignal): Promise<void>;
  /** Ends an injection that will not be driven on: first what is sustained, then with its verdict. */
  end(injection: Injection, verdict: Verdict, render: RenderEnd, signal: AbortSignal): Promise<Injection>;
  /** Ends an injection whose time is over; a link that is reached by now counts all the same. */
  expire(injection: Injection, render: RenderEnd, signal: AbortSignal): Promise<Injection>;
  /** Ends what is sustained of an experiment that was deleted. */
  abandon(experiment: string, signal: AbortSignal): Promise<void>;
  /** What kept an injection from going on, if anything did. */
  troubleWith(injection: string): string | undefined;
};

/** Carries chains out: one loop over the links, each step ends in a write, so that any coordinator can go on from there. */
export function createInjectionDriver(deps: DriverDeps): InjectionDriver {
  const { store, collector, clock, log, links } = deps;
  const troubles = new Map<string, string>();
  const dispatch = createDispatch(deps);
  const observers = createObservers(deps);
  const stopping = createStopping(deps);
  const conclusions = createConclusions({ ...deps, stopping, observers });

  async function drive(start: Injection, signal: AbortSignal): Promise<void> {
    const { name } = start.metadata;
    const observer = observers.of(start);
    let injection: Injection | undefined = start;
    let isStale = false;
    try {
      while (injection !== undefined) {
        signal.throwIfAborted();
        try {
          if (isStale) injection = await store.readInjection(name);
          isStale = false;
          if (injection === undefined || injection.status?.phase === 'Completed') return;
          stopping.track(injection);
          injection = await advance(injection, observer, signal);
          troubles.delete(name);
        } catch (thrown) {
          signal.throwIfAborted();
          isStale = true;
          const refusal = refusalFromUnknown(thrown);
          if (refusal.reason === 'object_conflict') continue;
          troubles.set(name, messageFromUnknown(thrown));
          log.warn({ injection: name, err: thrown }, 'step failed, trying again');
          await clock.sleep(retryPauseMs, signal);
        }
      }
    } finally {
      observer.close();
    }
  }

  /** One step of the chain: a baseline, an order, a wait, or the verdict. */
  async function advance(injection: Injection, observer: Observer, signal: AbortSignal): Promise<Injection> {
    const next = nextLink(links, injection);
    log.debug(
      { injection: injection.metadata.name, link: next === 'conclude' ? next : next.link.id },
      'step',
    );
    if (next === 'conclude') return conclusions.conclude(injection, [], signal);
    if (next.row.by === 'watch') return watch(injection, next, observer, signal);
    if (next.known?.baseline === undefined) return prepare(injection, next, observer, signal);
    return send(injection, next, observer, signal);
  }

  /**
   * What stands on the node before an order. Before the first one also the preflight: what keeps the chain from being
   * reached for sure is a verdict before anything is written.
   */
  async function prepare(
    injection: Injection,
    open: OpenLink,
    observer: Observer,
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec } = injection;
    const seen = await observers.observeBefore(spec);
    if (seen.isGone) return conclusions.gone(injection);
    const at = isoFromMillis(clock.now());
    const { expectation } =
      spec.chain.find(
        (link) => link.expectation !== undefined && orderBefore(spec.chain, link.id).id === open.link.id,
      ) ?? faultOf(spec).detectionLink;
    const baseline = baselineOf(expectation ?? faultOf(spec).expectation, seen, at);
    const prepared = changed(injection, { links: withBaseline(injection, open.link.id, baseline) });
    if (spec.chain[0]?.id === open.link.id) {
      const facts = await collector.facts(spec.node, drillFacts(prepared), signal);
      signal.throwIfAborted();
      const blocked = blockedBefore(prepared, facts);
      if (blocked !== undefined) return blockedEnd(injection, blocked);
    }
    expectAll(prepared, open, observer);
    return store.writeInjectionStatus(injection, { ...statusOf(prepared), phase: phaseOf(open) });
  }

  async function blockedEnd(injection: Injection, { verdict, explanation }: Verdicted): Promise<Injection> {
    const note = `nothing was ordered: ${explanation.summary}`;
    const timeline = [
      ...(injection.status?.timeline ?? []),
      timelineEntry(clock.now(), 'note', 'preflight', note),
    ];
    return conclusions.end(changed(injection, { phase: 'Selected', timeline }), verdict, explanation);
  }

  /** From now on every link that follows from this order is looked for, so that nothing is missed. */
  function expectAll(injection: Injection, { link }: OpenLink, observer: Observer): void {
    const { chain } = injection.spec;
    observer.expect(
      chain.flatMap((other) => {
        const row = links.find(({ name }) => name === other.link);
        if (row?.by !== 'watch' || orderBefore(chain, other.id).id !== link.id) return [];
        return expectedOf(injection, other, row) ?? [];
      }),
    );
  }

  async function send(
    injection: Injection,
    open: OpenLink,
    observer: Observer,
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec, status } = injection;
    const { link } = open;
    const { order } = orderBefore(spec.chain, link.id);
    const target = { node: spec.node, order };
    const attempts: Attempt[] = [];
    expectAll(injection, open, observer);
    let receipt: Receipt;
    try {
      receipt = await dispatch.send(target, attempts, signal);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const waitMs = slotWaitMs(thrown);
      if (waitMs !== undefined) return waitForSlot(injection, open, thrown, waitMs, signal);
      if (isToRepeat(thrown)) throw thrown;
      signal.throwIfAborted();
      return refused(injection, open, thrown, attempts, signal);
    }
    const sentAt = attempts.at(-1)?.at ?? clock.now();
    const entries = named(open, [...orderEntries(target, attempts), ...receiptEntries(receipt)]);
    const sent = changed(injection, {
      links: withReceipt(injection, link.id, { receipt, sentAt, now: clock.now() }),
      timeline: [...(status?.timeline ?? []), ...entries],
    });
    const next = nextLink(links, sent);
    const phase = next === 'conclude' ? phaseOf(open) : phaseOf(next);
    return store.writeInjectionStatus(injection, { ...statusOf(sent), phase });
  }

  async function refused(
    injection: Injection,
    open: OpenLink,
    refusal: Refusal,
    attempts: readonly Attempt[],
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec, status } = injection;
    // The receipt has a place of its own.
    const { receipt: inDetails, ...details } = refusal.details;
    const receipt = inDetails as Receipt | undefined;
    const { order } = orderBefore(spec.chain, open.link.id);
    const recent = named(open, [
      ...orderEntries({ node: spec.node, order }, attempts),
      timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, `${refusal.reason}: ${refusal.message}`),
    ]);
    const stored = { reason: refusal.reason, message: refusal.message, details };
    const ended = changed(injection, {
      links: withRefusal(injection, open.link.id, stored, receipt, clock.now()),
      timeline: [...(status?.timeline ?? []), ...recent],
    });
    return conclusions.conclude(ended, recent, signal);
  }

  /** Nothing was written: after the wait the same order is sent again, with a baseline of then. */
  async function waitForSlot(
    injection: Injection,
    open: OpenLink,
    refusal: Refusal,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Injection> {
    const { metadata, spec, status } = injection;
    const text = `${refusal.reason}: ${refusal.message}; nothing was written, the same order is sent again`;
    const note = timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, text);
    const again = await store.writeInjectionStatus(injection, {
      ...statusOf(injection),
      links: withoutBaseline(injection, open.link.id),
      timeline: shortened([...(status?.timeline ?? []), note]),
    });
    // Should the deadline pass meanwhile, this is what kept it.
    troubles.set(metadata.name, refusal.message);
    log.info({ injection: metadata.name, waitMs }, 'waiting for the host engine to take another alert');
    await clock.sleep(waitMs, signal);
    return again;
  }

  async function watch(
    injection: Injection,
    open: OpenLink,
    observer: Observer,
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec, status } = injection;
    const { link, row, known } = open;
    const expected = expectedOf(injection, link, row);
    if (expected === undefined)
      throw new Refusal('internal', `link ${link.id} is awaited without a baseline`);
    expectAll(injection, { ...open, link: orderBefore(spec.chain, link.id) }, observer);
    const since = Date.parse(known?.since ?? expected.past.baseline.at);
    const settled = await observer.settle(
      expected,
      Date.parse(known?.dueAt ?? expected.past.baseline.at),
      signal,
    );
    const news = observer.news(since);
    const recent = newsOf(open, settled, news.entries);
    const settledLinks =
      settled === undefined ? (status?.links ?? []) : withFinding(injection, link.id, settled);
    const timeline =
      settled?.finding.match === undefined || link.role === 'control'
        ? [...(status?.timeline ?? []), ...recent]
        : withMatch(
            [...(status?.timeline ?? []), ...recent],
            settled.finding.match.entry,
            isProof(open, settled),
          );
    const after = changed(injection, { links: lost(settledLinks, open, settled), timeline });
    // A reaction to the first part of a script does not cut off the rest of it.
    if (!isNegative(spec) && receiptOf(injection)?.state === 'running' && settled !== undefined)
      await clock.sleep(endOfScript(injection) - clock.now(), signal);
    const next = nextLink(links, after);
    if (next === 'conclude') return conclusions.conclude(after, recent, signal);
    const written =
      next.row.by === 'send'
        ? await withNextBaseline(after, next, signal)
        : changed(after, { phase: phaseOf(next) });
    if (written === 'gone') return conclusions.conclude(after, recent, signal);
    const stored = await store.writeInjectionStatus(injection, {
      ...statusOf(written),
      timeline: shortened(written.status?.timeline ?? []),
    });
    if (link.role === 'fault') news.commit();
    return stored;
  }

  /** What is sustained is ended before the next order, which needs the path for itself; then comes its baseline. */
  async function withNextBaseline(
    injection: Injection,
    next: OpenLink,
    signal: AbortSignal,
  ): Promise<Injection | 'gone'> {
    const { chain } = injection.spec;
    const ended = await stopping.settle(injection, signal);
    const seen = await observers.observeBefore(ended.spec);
    if (seen.isGone) return 'gone';
    const follows = chain.find(
      (link) => link.expectation !== undefined && orderBefore(chain, link.id).id === next.link.id,
    );
    const expectation = follows?.expectation ?? faultOf(ended.spec).expectation;
    const baseline = baselineOf(expectation, seen, isoFromMillis(clock.now()));
    return changed(ended, { phase: phaseOf(next), links: withBaseline(ended, next.link.id, baseline) });
  }

  function endOfScript(injection: Injection): number {
    const { order, orderLink } = faultOf(injection.spec);
    const { since } = knownOf(injection, orderLink) ?? {};
    return Date.parse(since ?? isoFromMillis(clock.now())) + scheduledMs(order) + scriptMarginMs;
  }

  async function end(
    injection: Injection,
    verdict: Verdict,
    render: RenderEnd,
    signal: AbortSignal,
  ): Promise<Injection> {
    const settled = await stopping.settle(injection, signal);
    const ended = await conclusions.end(settled, verdict, render(settled));
    troubles.delete(injection.metadata.name);
    return ended;
  }

  async function expire(injection: Injection, render: RenderEnd, signal: AbortSignal): Promise<Injection> {
    const next = nextLink(links, injection);
    if (next === 'conclude' || next.row.by !== 'watch' || next.link.role === 'control')
      return end(injection, 'error', render, signal);
    const expected = expectedOf(injection, next.link, next.row);
    const settled = expected && (await observers.lookOnce(injection, expected));
    if (settled === undefined) return end(injection, 'error', render, signal);
    const after = changed(injection, {
      links: withFinding(injection, next.link.id, settled),
      timeline:
        settled.finding.match === undefined
          ? (injection.status?.timeline ?? [])
          : withMatch(injection.status?.timeline ?? [], settled.finding.match.entry, isProof(next, settled)),
    });
    // What stands behind it has no time left.
    if (nextLink(links, after) !== 'conclude') return end(after, 'error', render, signal);
    const ended = await conclusions.conclude(after, [], signal);
    troubles.delete(injection.metadata.name);
    return ended;
  }

  return { drive, end, expire, abandon: stopping.abandon, troubleWith: (name) => troubles.get(name) };
}

/** The injection with changes to its status that are not stored yet. */
function changed(injection: Injection, change: Partial<InjectionStatus>): Injection {
  return { ...injection, status: { ...statusOf(injection), ...change } };
}

/** The status as it stands, to be written with changes. */
function statusOf({ status }: Injection): InjectionStatus {
  return { ...status, phase: status?.phase ?? 'Selected' };
}

/** A control's entries say that they are. */
function named({ link }: OpenLink, entries: readonly TimelineEntry[]): readonly TimelineEntry[] {
  if (link.role === 'fault') return entries;
  return entries.map((entry) => ({ ...entry, text: `control ${link.when}: ${entry.text}` }));
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

/** A match of the fault's own: the reaction that was expected, or that must not come. */
function isProof({ link }: OpenLink, { finding }: Settled): boolean {
  return link.expectation?.kind !== 'none' || finding.state === 'missed' || finding.match !== undefined;
}

/** The node went away while the link was awaited: it is not known what would have come. */
function lost(known: readonly LinkStatus[], { link }: OpenLink, settled: Settled | undefined): LinkStatus[] {
  if (settled !== undefined) return [...known];
  return known.map((one) =>
    one.id === link.id ? { ...one, state: 'unknown', because: 'the node is gone' } : one,
  );
}
