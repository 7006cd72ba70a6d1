import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Verdict } from '../../shared/schemas/expectation.ts';
import type { Explanation } from '../../shared/schemas/explanation.ts';
import type { Agents } from '../agents/port.ts';
import type { Cluster } from '../cluster/port.ts';
import { preflight } from '../diagnosis/explain.ts';
import type { Collector } from '../facts/collect.ts';
import { baselineOf } from '../reaction/judge.ts';
import type { Watcher } from '../reaction/watcher.ts';
import { bare, createEndings, drillFacts } from './ending.ts';
import { nextInjectionStep } from './machine.ts';
import { createOrdering, slotWaitMs } from './ordering.ts';
import type { Injection, Store } from './store.ts';
import { type Attempt, orderEntries, receiptEntries, shortened, timelineEntry } from './timeline.ts';
import { verdictOfBlocking } from './verdicts.ts';
import { createWitnesses, unwatched, type Witness } from './witness.ts';

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

export type InjectionDriver = {
  /** Takes one injection from where it stands to its verdict. Throws what the signal was aborted with. */
  drive(injection: Injection, signal: AbortSignal): Promise<void>;
  /** Ends an injection that will not be driven on. */
  end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection>;
  /** Ends an injection whose time is over; a reaction that is there by now counts all the same. */
  expire(injection: Injection, explanation: Explanation): Promise<Injection>;
  /** What kept an injection from going on, if anything did. */
  troubleWith(injection: string): string | undefined;
};

export function createInjectionDriver(deps: DriverDeps): InjectionDriver {
  const { store, watcher, collector, clock, log } = deps;
  const troubles = new Map<string, string>();
  const ordering = createOrdering(deps);
  const witnesses = createWitnesses(deps);
  const endings = createEndings(deps);

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

  const steps = { prepare, inject, verify };

  /** Baseline, then preflight: what blocks the reaction for sure is a verdict before anything is written. */
  async function prepare(injection: Injection, witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const seen = await witnesses.observeNow(spec);
    if (seen.isGone) return endings.gone(injection);
    const baseline = baselineOf(spec.expectation, seen, isoFromMillis(clock.now()));
    const facts = await collector.facts(spec.node, drillFacts(injection, baseline.condition), signal);
    signal.throwIfAborted();
    const { blocking } = preflight(facts);
    if (blocking !== undefined) {
      const note = `nothing was ordered: ${blocking.summary}`;
      const timeline = [...(status?.timeline ?? []), timelineEntry(clock.now(), 'note', 'preflight', note)];
      const told = { ...injection, status: { phase: 'Selected', baseline, timeline } as const };
      return endings.end(told, verdictOfBlocking(blocking), blocking);
    }
    witness.compareWith(baseline);
    return store.writeInjectionStatus(injection, { ...bare(injection), phase: 'Injecting', baseline });
  }

  async function inject(injection: Injection, _witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const attempts: Attempt[] = [];
    try {
      const receipt = await ordering.give(spec, attempts, signal);
      const orderedAt = isoFromMillis(attempts.at(-1)?.at ?? clock.now());
      return await store.writeInjectionStatus(injection, {
        ...bare(injection),
        phase: 'Verifying',
        receipt,
        // An order that had been carried out when it was asked again: the baseline is the last time known before it.
        injectedAt: receipt.replayed ? (status?.baseline?.at ?? orderedAt) : orderedAt,
        waitUntil: isoFromMillis(clock.now() + spec.expectation.withinSeconds * 1000),
        timeline: [...(status?.timeline ?? []), ...orderEntries(spec, attempts), ...receiptEntries(receipt)],
      });
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || isAboutCluster(thrown)) throw thrown;
      const waitMs = slotWaitMs(thrown);
      if (waitMs !== undefined) return waitForSlot(injection, thrown, waitMs, signal);
      signal.throwIfAborted();
      return endings.refused(injection, thrown, attempts, signal);
    }
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
    const again = await store.writeInjectionStatus(injection, {
      phase: 'Selected',
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
    const baseline = status?.baseline;
    if (status?.waitUntil === undefined || baseline === undefined) {
      throw new Refusal(
        'internal',
        `injection ${injection.metadata.name} is being verified without a baseline`,
      );
    }
    const since = Date.parse(status.injectedAt ?? baseline.at);
    witness.compareWith(baseline);
    const found =
      (await witnesses.waitForReaction(witness, Date.parse(status.waitUntil), signal)) ??
      (await witnesses.lookOnce(spec, baseline));
    const timeline = [
      ...(status.timeline ?? []),
      ...unwatched(since, witness),
      ...witness.entriesSince(since),
      ...watcher.gapsSince(since),
    ];
    const told = { ...injection, status: { ...status, timeline } };
    return found === undefined
      ? endings.unanswered(told, signal)
      : endings.passed(told, found, since, signal);
  }

  async function end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection> {
    const ended = await endings.end(injection, verdict, explanation);
    troubles.delete(injection.metadata.name);
    return ended;
  }

  async function expire(injection: Injection, explanation: Explanation): Promise<Injection> {
    const { spec, status } = injection;
    if (status?.phase === 'Verifying' && status.baseline !== undefined) {
      const found = await witnesses.lookOnce(spec, status.baseline);
      const since = Date.parse(status.injectedAt ?? status.baseline.at);
      if (found !== undefined) {
        const ended = await endings.passed(injection, found, since, new AbortController().signal);
        troubles.delete(injection.metadata.name);
        return ended;
      }
    }
    return end(injection, 'error', explanation);
  }

  return { drive, end, expire, troubleWith: (name) => troubles.get(name) };
}

/** The API server's own troubles pass: the step is made again. */
function isAboutCluster(refusal: Refusal): boolean {
  return refusal.reason.startsWith('cluster_') || refusal.reason.startsWith('object_');
}
