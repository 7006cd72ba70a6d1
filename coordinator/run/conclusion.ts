import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import {
  closedLinks,
  faultOf,
  isNegative,
  knownOf,
  outlivesNode,
  rowOf,
  withFinding,
} from '../drill/chain.ts';
import { concludeDrill, drillFacts, type Ended } from '../drill/conclude.ts';
import { nodeGone } from '../drill/gone.ts';
import type { LinkRow } from '../drill/links.ts';
import { inTimeOrder, shortened, withMatch } from '../drill/timeline.ts';
import type { InjectionStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Injection, Store } from '../store/store.ts';
import type { TimelineEntry, Verdict } from '../store/timeline.ts';
import type { Collector } from '../view/collect.ts';
import type { Facts } from '../view/facts.ts';
import { expectedOf, type Observers } from './observer.ts';
import type { Stopping } from './stopping.ts';

/** How an injection ends: what is sustained is ended first, then comes its last write. */
export type Conclusions = {
  /** The last write, and nothing before it. */
  end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection>;
  /** Judges a chain that has come to its end; `recent` is what came since its last link was reached. */
  conclude(injection: Injection, recent: readonly TimelineEntry[], signal: AbortSignal): Promise<Injection>;
  /** The node is gone before anything was ordered. */
  gone(injection: Injection): Promise<Injection>;
};

/** Ends injections: judges, explains and stores the verdict. */
export function createConclusions(deps: {
  readonly store: Store;
  readonly collector: Collector;
  readonly stopping: Stopping;
  readonly observers: Observers;
  readonly clock: Clock;
  readonly links: readonly LinkRow[];
  readonly rules: Ended['rules'];
  readonly onDetection: (fault: string, seconds: number) => void;
}): Conclusions {
  const { store, collector, stopping, clock } = deps;

  async function end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection> {
    const { status } = injection;
    const ended: InjectionStatus = {
      ...status,
      phase: 'Completed',
      verdict,
      explanation,
      endedAt: isoFromMillis(clock.now()),
      links: closedLinks(injection),
      ...(status?.timeline === undefined ? {} : { timeline: shortened(inTimeOrder(status.timeline)) }),
    };
    return store.writeInjectionStatus(injection, ended);
  }

  async function factsOf(injection: Injection, signal: AbortSignal): Promise<Facts | undefined> {
    try {
      const facts = await collector.facts(injection.spec.node, drillFacts(injection), signal);
      // What stands on another node that has its name by now says nothing about a drill that was to outlive it.
      const isOther = facts.node.uid !== injection.spec.nodeUid;
      return isOther && outlivesNode(deps.links, injection.spec.chain) ? undefined : facts;
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.reason === 'node_missing') return undefined;
      throw thrown;
    }
  }

  /** Silence is looked at once more at the end: a condition may be written up to 15 s after its cause was found. */
  async function lookAgain(injection: Injection): Promise<Injection> {
    const { spec, status } = injection;
    const { detectionLink } = faultOf(spec);
    const known = knownOf(injection, detectionLink);
    const isWatchedToTheEnd = known?.state === 'reached' && spec.chain.at(-1)?.id !== detectionLink.id;
    if (!isNegative(spec) || !isWatchedToTheEnd) return injection;
    const expected = expectedOf(injection, detectionLink, rowOf(deps.links, detectionLink));
    const late = expected && (await deps.observers.lookOnce(injection, expected));
    if (late?.finding.match === undefined || late.finding.state !== 'missed') return injection;
    return {
      ...injection,
      status: {
        phase: 'Verifying',
        ...status,
        links: withFinding(injection, detectionLink.id, late),
        timeline: withMatch(status?.timeline ?? [], late.finding.match.entry),
      },
    };
  }

  async function conclude(
    start: Injection,
    recent: readonly TimelineEntry[],
    signal: AbortSignal,
  ): Promise<Injection> {
    const injection = await lookAgain(await stopping.settle(start, signal));
    const facts = await factsOf(injection, signal);
    const at = isoFromMillis(clock.now());
    const { verdict, explanation } = concludeDrill({ injection, facts, recent, at, rules: deps.rules });
    const first = knownOf(injection, faultOf(injection.spec).detectionLink);
    const isDetected = verdict === 'pass' && !isNegative(injection.spec) && first?.seconds !== undefined;
    const ended = await end(isDetected ? withLatency(injection) : injection, verdict, explanation);
    if (isDetected) deps.onDetection(injection.spec.fault, first.seconds ?? 0);
    return ended;
  }

  return {
    end,
    conclude,
    gone: (injection) => end(injection, 'error', nodeGone(injection, isoFromMillis(clock.now()))),
  };
}

/** Seconds to the expected reaction, as people ask for them. */
function withLatency(injection: Injection): Injection {
  const { orderLink, detectionLink } = faultOf(injection.spec);
  const { seconds = 0, seen = '' } = knownOf(injection, detectionLink) ?? {};
  const isReplayed = knownOf(injection, orderLink)?.receipt?.replayed === true;
  const latency = {
    seconds,
    clock: 'coordinator',
    from: isReplayed
      ? 'before the order, which had been carried out when it was sent again'
      : 'order sent to the agent',
    to: `reaction ${seen}`,
  } as const;
  return { ...injection, status: { phase: 'Verifying', ...injection.status, latency } };
}
