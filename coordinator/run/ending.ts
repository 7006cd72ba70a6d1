import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal, rowOf } from '../../shared/errors.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { diagnose, explainPass } from '../diagnosis/explain.ts';
import { nodeGone, passOnGoneNode } from '../drill/gone.ts';
import { type Attempt, orderEntries, shortened, timelineEntry } from '../drill/timeline.ts';
import type { Verdict } from '../store/expectation.ts';
import type { InjectionStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Injection, Store } from '../store/store.ts';
import { isSameSight } from '../store/timeline-entries.ts';
import type { Collector } from '../view/collect.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';
import type { Stopping } from './stopping.ts';
import type { Detection } from './witness.ts';

/** How an injection ends: what lasts is ended first, then comes its last write. */
export type Endings = {
  /** The last write, and nothing before it. */
  end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection>;
  passed(injection: Injection, detection: Detection, since: number, signal: AbortSignal): Promise<Injection>;
  /** The wait is over, and nothing came. */
  unanswered(injection: Injection, signal: AbortSignal): Promise<Injection>;
  refused(
    injection: Injection,
    refusal: Refusal,
    attempts: readonly Attempt[],
    signal: AbortSignal,
  ): Promise<Injection>;
  /** The node is gone before the fault was ordered. */
  gone(injection: Injection): Promise<Injection>;
  /** undefined: the node is gone, and there is nothing left to ask. */
  factsOf(injection: Injection, signal: AbortSignal): Promise<Facts | undefined>;
};

export function createEndings(deps: {
  readonly store: Store;
  readonly collector: Collector;
  readonly stopping: Stopping;
  readonly clock: Clock;
  readonly onDetection: (fault: string, seconds: number) => void;
}): Endings {
  const { store, collector, stopping, clock } = deps;

  const goneNow = (injection: Injection) => nodeGone(injection, isoFromMillis(clock.now()));

  async function passed(
    start: Injection,
    { match, at, to }: Detection,
    since: number,
    signal: AbortSignal,
  ): Promise<Injection> {
    const injection = await stopping.settle(start, signal);
    const { spec, status } = injection;
    const seconds = Math.max(0, at - since) / 1000;
    const from = status?.receipt?.replayed
      ? 'before the order, which had been carried out when it was given again'
      : 'order given to the agent';
    const others = (status?.timeline ?? []).filter((entry) => !isSameSight(entry, match.entry));
    const timeline = [...others, match.entry];
    const told = {
      ...injection,
      status: { ...bare(injection), timeline, latency: { seconds, clock: 'coordinator', from, to } as const },
    };
    const facts = await factsOf(told, signal);
    const what = { text: `${match.entry.text}; ${match.how}`, latencySeconds: seconds, source: match.source };
    const ended = await end(
      told,
      'pass',
      facts === undefined ? passOnGoneNode(told, what) : explainPass(facts, what),
    );
    deps.onDetection(spec.fault, seconds);
    return ended;
  }

  async function unanswered(start: Injection, signal: AbortSignal): Promise<Injection> {
    const injection = await stopping.settle(start, signal);
    const facts = await factsOf(injection, signal);
    const { verdict, explanation } =
      facts === undefined
        ? ({ verdict: 'inconclusive', explanation: goneNow(injection) } as const)
        : diagnose(facts);
    return end(injection, withoutBlame(injection, verdict), explanation);
  }

  async function end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection> {
    const { timeline } = injection.status ?? {};
    const status: InjectionStatus = {
      ...bare(injection),
      phase: 'Completed',
      verdict,
      explanation,
      endedAt: isoFromMillis(clock.now()),
      ...(timeline === undefined ? {} : { timeline: shortened(timeline) }),
    };
    return store.writeInjectionStatus(injection, status);
  }

  async function factsOf(injection: Injection, signal: AbortSignal): Promise<Facts | undefined> {
    const { spec, status } = injection;
    try {
      return await collector.facts(spec.node, drillFacts(injection, status?.baseline?.condition), signal);
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.reason === 'node_unknown') return undefined;
      throw thrown;
    }
  }

  async function refused(
    injection: Injection,
    refusal: Refusal,
    attempts: readonly Attempt[],
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec } = injection;
    // The receipt has a place of its own.
    const { receipt: inDetails, ...details } = refusal.details;
    const receipt = inDetails as Receipt | undefined;
    const said = `${refusal.reason}: ${refusal.message}`;
    const status: InjectionStatus = {
      ...bare(injection),
      refusal: { reason: refusal.reason, message: refusal.message, details },
      ...(receipt === undefined ? {} : { receipt }),
      timeline: [
        ...(injection.status?.timeline ?? []),
        ...orderEntries(spec, attempts),
        timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, said),
      ],
    };
    const told = await stopping.settle({ ...injection, status }, signal);
    const facts = await factsOf(told, signal);
    const { verdict, explanation } =
      facts === undefined
        ? { verdict: rowOf(refusal.reason).verdict, explanation: goneNow(told) }
        : diagnose(facts);
    return end(told, withoutBlame(told, verdict), explanation);
  }

  return {
    end,
    passed,
    unanswered,
    refused,
    gone: (injection) => end(injection, 'error', goneNow(injection)),
    factsOf,
  };
}

/** A negative drill fails by a reaction only: a way that is broken keeps it from being decided. */
function withoutBlame({ spec }: Injection, verdict: Verdict): Verdict {
  return spec.expectation.kind === 'none' && verdict === 'fail' ? 'inconclusive' : verdict;
}

/** The status as it stands, to be written with changes. */
export function bare({ status }: Injection): InjectionStatus {
  return { ...status, phase: status?.phase ?? 'Selected' };
}

/** What a diagnosis has to know of the injection. */
export function drillFacts(
  { spec, status }: Injection,
  conditionBefore: DrillFacts['conditionBefore'],
): DrillFacts {
  return {
    fault: spec.fault,
    order: spec.order,
    expectation: spec.expectation,
    nodeUid: spec.nodeUid,
    receipt: status?.receipt,
    refusal: status?.refusal,
    conditionBefore,
    timeline: status?.timeline ?? [],
    waitedUntil:
      status?.phase === 'Verifying' || status?.phase === 'ControlAfter' ? status.waitUntil : undefined,
  };
}
