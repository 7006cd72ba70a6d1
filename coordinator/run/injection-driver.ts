import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { scheduledMs } from '../../shared/orders/call.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Agents } from '../agents/port.ts';
import type { Cluster } from '../cluster/port.ts';
import { preflight } from '../diagnosis/explain.ts';
import { baselineOf } from '../drill/judge.ts';
import { nextControlStep, nextInjectionStep } from '../drill/machine.ts';
import { type Attempt, orderEntries, receiptEntries, shortened, timelineEntry } from '../drill/timeline.ts';
import type { Verdict } from '../store/expectation.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Injection, Store } from '../store/store.ts';
import { isSameSight } from '../store/timeline-entries.ts';
import type { Collector } from '../view/collect.ts';
import type { Watcher } from '../view/watcher.ts';
import { createControls } from './controls.ts';
import { bare, createEndings, drillFacts } from './ending.ts';
import { createNegativeEndings } from './negative-ending.ts';
import { createOrdering, isToRepeat, slotWaitMs } from './ordering.ts';
import { createStopping } from './stopping.ts';
import {
  createWitnesses,
  type Detection,
  ownEvent,
  soughtFault,
  unwatched,
  type Witness,
} from './witness.ts';

export type DriverDeps = {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly watcher: Watcher;
  readonly agents: Agents;
  readonly collector: Collector;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDetection: (fault: string, seconds: number) => void;
};

const retryPauseMs = 1_000;
/** After the last part of an order is due: the agent writes it down, and its clock is not ours. */
const scriptMarginMs = 2_000;

/** Tells the end of an injection that is cut short, from what came of ending what lasted. */
export type TellEnd = (settled: Injection) => Explanation;

export type InjectionDriver = {
  /** Takes one injection from where it stands to its verdict. Throws what the signal was aborted with. */
  drive(injection: Injection, signal: AbortSignal): Promise<void>;
  /** Ends an injection that will not be driven on: first what lasts of it, then with its verdict. */
  end(injection: Injection, verdict: Verdict, tell: TellEnd, signal: AbortSignal): Promise<Injection>;
  /** Ends an injection whose time is over; a reaction that is there by now counts all the same. */
  expire(injection: Injection, tell: TellEnd, signal: AbortSignal): Promise<Injection>;
  /** Ends what lasts of an experiment that was deleted. */
  abandon(experiment: string, signal: AbortSignal): Promise<void>;
  /** What kept an injection from going on, if anything did. */
  troubleWith(injection: string): string | undefined;
};

export function createInjectionDriver(deps: DriverDeps): InjectionDriver {
  const { store, watcher, collector, clock, log } = deps;
  const troubles = new Map<string, string>();
  const ordering = createOrdering(deps);
  const witnesses = createWitnesses(deps);
  const stopping = createStopping(deps);
  const endings = createEndings({ ...deps, stopping });
  const negative = createNegativeEndings({ endings, stopping, clock });
  const onWait = (name: string, because: string) => troubles.set(name, because);
  const controls = createControls({ store, ordering, witnesses, watcher, negative, clock, onWait });

  async function drive(start: Injection, signal: AbortSignal): Promise<void> {
    const { name } = start.metadata;
    const witness = witnesses.of(start);
    let injection: Injection | undefined = start;
    let isStale = false;
    try {
      while (injection !== undefined) {
        signal.throwIfAborted();
        try {
          if (isStale) injection = await store.readInjection(name);
          isStale = false;
          const step = nextInjectionStep(injection?.status);
          if (injection === undefined || step === 'rest') return;
          log.debug({ injection: name, step }, 'step');
          stopping.track(injection);
          injection = await steps[step](injection, witness, signal);
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
      witness.close();
    }
  }

  const steps = { prepare, control, inject, verify };

  /**
   * Baseline, then preflight: what blocks the reaction for sure, or the ways of a negative drill, is a verdict before
   * anything is written.
   */
  async function prepare(injection: Injection, witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const seen = await witnesses.observeNow(spec);
    if (seen.isGone) return endings.gone(injection);
    const baseline = baselineOf(spec.expectation, seen, isoFromMillis(clock.now()));
    const facts = await collector.facts(spec.node, drillFacts(injection, baseline.condition), signal);
    signal.throwIfAborted();
    const isNegative = spec.expectation.kind === 'none';
    const looked = { ...injection, status: { ...bare(injection), baseline } };
    const { blocking } = preflight(facts);
    const verdicted = isNegative ? negative.brokenWay(looked, facts) : blocking;
    if (verdicted !== undefined) {
      const note = `nothing was ordered: ${verdicted.explanation.summary}`;
      const timeline = [...(status?.timeline ?? []), timelineEntry(clock.now(), 'note', 'preflight', note)];
      const told = { ...injection, status: { phase: 'Selected', baseline, timeline } as const };
      return endings.end(told, verdicted.verdict, verdicted.explanation);
    }
    if (isNegative)
      return store.writeInjectionStatus(injection, { ...bare(injection), phase: 'ControlBefore' });
    witness.seek(soughtFault(spec, baseline));
    return store.writeInjectionStatus(injection, { ...bare(injection), phase: 'Injecting', baseline });
  }

  async function control(injection: Injection, witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec } = injection;
    const status = bare(injection);
    const next = nextControlStep(spec, status);
    switch (next.step) {
      case 'observe':
        return controls.observe({ injection, next, witness, signal });
      case 'order':
        return controls.order({ injection, next, witness, signal });
      case 'await':
        return controls.await({ injection, next, witness, signal });
      case 'proceed':
        return status.phase === 'ControlBefore' ? beginFault(injection) : concludeNegative(injection, signal);
    }
  }

  /** The ways are alive: what stands on the node now is what must not change. */
  async function beginFault(injection: Injection): Promise<Injection> {
    const { spec } = injection;
    const seen = await witnesses.observeNow(spec);
    if (seen.isGone) return endings.gone(injection);
    const baseline = baselineOf(spec.expectation, seen, isoFromMillis(clock.now()));
    return store.writeInjectionStatus(injection, { ...bare(injection), phase: 'Injecting', baseline });
  }

  /** Once more, because a condition may be written up to 15 s after it was found. */
  async function concludeNegative(injection: Injection, signal: AbortSignal): Promise<Injection> {
    const { spec } = injection;
    const late = await witnesses.lookOnce(spec, soughtFault(spec, baselineIn(injection)));
    if (late !== undefined) return negative.violated(injection, late, signal);
    return negative.concluded(injection, signal);
  }

  async function inject(injection: Injection, witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const attempts: Attempt[] = [];
    witness.seek(soughtFault(spec, baselineIn(injection)));
    // A negative drill watches from the last write on; what is awaited has the time to it in its window.
    const toLastMs = spec.expectation.kind === 'none' ? scheduledMs(spec.order) : 0;
    let receipt: Receipt;
    try {
      receipt = await ordering.give(spec, attempts, signal);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const waitMs = slotWaitMs(thrown);
      if (waitMs !== undefined) return waitForSlot(injection, thrown, waitMs, signal);
      if (isToRepeat(thrown)) throw thrown;
      signal.throwIfAborted();
      return endings.refused(injection, thrown, attempts, signal);
    }
    const orderedAt = isoFromMillis(attempts.at(-1)?.at ?? clock.now());
    return store.writeInjectionStatus(injection, {
      ...bare(injection),
      phase: 'Verifying',
      receipt,
      // An order that had been carried out when it was asked again: the baseline is the last time known before it.
      injectedAt: receipt.replayed ? (status?.baseline?.at ?? orderedAt) : orderedAt,
      waitUntil: isoFromMillis(clock.now() + toLastMs + spec.expectation.withinSeconds * 1000),
      timeline: [...(status?.timeline ?? []), ...orderEntries(spec, attempts), ...receiptEntries(receipt)],
    });
  }

  /** Nothing was written, so that after the wait everything begins anew, with a baseline of then. */
  async function waitForSlot(
    injection: Injection,
    refusal: Refusal,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Injection> {
    const { metadata, spec, status } = injection;
    const said = `${refusal.reason}: ${refusal.message}; nothing was written, the same order is given again`;
    const note = timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, said);
    const kept = status?.controls;
    const again = await store.writeInjectionStatus(injection, {
      ...(kept === undefined ? { phase: 'Selected' } : { phase: 'ControlBefore', controls: kept }),
      timeline: shortened([...(status?.timeline ?? []), note]),
    });
    // Should the deadline pass meanwhile, this is what kept it.
    troubles.set(metadata.name, refusal.message);
    log.info({ injection: metadata.name, waitMs }, 'waiting for the host engine to take another alert');
    await clock.sleep(waitMs, signal);
    return again;
  }

  async function verify(injection: Injection, witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const baseline = baselineIn(injection);
    const since = Date.parse(status?.injectedAt ?? baseline.at);
    const sought = soughtFault(spec, baseline);
    witness.seek(sought);
    const found =
      (await witnesses.waitForReaction(witness, Date.parse(status?.waitUntil ?? baseline.at), signal)) ??
      (await witnesses.lookOnce(spec, sought));
    const timeline = [
      ...(status?.timeline ?? []),
      ...unwatched(since, witness),
      ...witness.entriesSince(since),
      ...watcher.gapsSince(since),
    ];
    const told = { ...injection, status: { ...bare(injection), timeline } };
    if (spec.expectation.kind === 'none') return watched(told, found, witness, signal);
    // A reaction to the first part of a script does not cut off the rest of it.
    if (status?.receipt?.state === 'running' && !witness.isGone())
      await clock.sleep(since + scheduledMs(spec.order) + scriptMarginMs - clock.now(), signal);
    return found === undefined
      ? endings.unanswered(told, signal)
      : endings.passed(told, found, since, signal);
  }

  /** The watch of a negative drill is over. What lasts is ended before the control, which needs the way for itself. */
  async function watched(
    injection: Injection,
    found: Detection | undefined,
    witness: Witness,
    signal: AbortSignal,
  ): Promise<Injection> {
    if (found !== undefined) return negative.violated(injection, found, signal);
    if (witness.isGone()) return endings.unanswered(injection, signal);
    const settled = await stopping.settle(injection, signal);
    const event = ownEvent(settled.spec, baselineIn(settled), await witnesses.observeNow(settled.spec));
    const others = (settled.status?.timeline ?? []).filter(
      (entry) => event === undefined || !isSameSight(entry, event.entry),
    );
    return store.writeInjectionStatus(settled, {
      ...bare(settled),
      phase: 'ControlAfter',
      timeline: shortened([...others, ...(event === undefined ? [] : [event.entry])]),
    });
  }

  async function end(
    injection: Injection,
    verdict: Verdict,
    tell: TellEnd,
    signal: AbortSignal,
  ): Promise<Injection> {
    const settled = await stopping.settle(injection, signal);
    const ended = await endings.end(settled, verdict, tell(settled));
    troubles.delete(injection.metadata.name);
    return ended;
  }

  async function expire(injection: Injection, tell: TellEnd, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    if (status?.phase !== 'Verifying' || status.baseline === undefined)
      return end(injection, 'error', tell, signal);
    const found = await witnesses.lookOnce(spec, soughtFault(spec, status.baseline));
    if (found === undefined) return end(injection, 'error', tell, signal);
    const since = Date.parse(status.injectedAt ?? status.baseline.at);
    const ended =
      spec.expectation.kind === 'none'
        ? await negative.violated(injection, found, signal)
        : await endings.passed(injection, found, since, signal);
    troubles.delete(injection.metadata.name);
    return ended;
  }

  return {
    drive,
    end,
    expire,
    abandon: stopping.abandon,
    troubleWith: (name) => troubles.get(name),
  };
}

function baselineIn({
  metadata,
  status,
}: Injection): NonNullable<NonNullable<Injection['status']>['baseline']> {
  if (status?.baseline !== undefined) return status.baseline;
  throw new Refusal('internal', `injection ${metadata.name} is being worked on without a baseline`);
}
