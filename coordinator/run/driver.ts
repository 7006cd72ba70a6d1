import type { Clock } from '../../shared/clock.ts';
import { messageFromUnknown, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Places } from '../../shared/parallel.ts';
import type { Agents } from '../agents/port.ts';
import { nextLink, phaseOf, withFinding } from '../drill/chain.ts';
import { blockedBefore, drillFacts, type Ended, type Verdicted } from '../drill/conclude.ts';
import type { LinkRow } from '../drill/links.ts';
import { timelineEntry } from '../drill/timeline.ts';
import type { InjectionStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Injection, Store } from '../store/store.ts';
import type { Verdict } from '../store/timeline.ts';
import type { Collector } from '../view/collect.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';
import type { WatchPods } from '../view/pods-on-node.ts';
import type { ReadNode } from '../view/read-node.ts';
import type { Watcher } from '../view/watcher.ts';
import { createConclusions } from './conclusion.ts';
import { createObservers, expectedOf } from './observer.ts';
import { createDispatch, createSendStep } from './send.ts';
import { changed, expectAll, type Step, statusOf, withSeen } from './step.ts';
import { createStopping } from './stopping.ts';
import { createWatchStep, withProof } from './watch.ts';

/** What an injection is driven with. */
export type DriverDeps = {
  readonly store: Store;
  /** Reads one node from the API server. */
  readonly readNode: ReadNode;
  readonly watcher: Watcher;
  /** Follows the pods of a node that links ask for. */
  readonly watchPods: WatchPods;
  readonly agents: Agents;
  readonly collector: Collector;
  readonly clock: Clock;
  readonly log: Log;
  /** The rows of the chain's links. */
  readonly links: readonly LinkRow[];
  /** The causes that explain a drill. */
  readonly rules: Ended['rules'];
  /** How sure the expectation of a drill is, by the facts of its node before anything is ordered; stored with it. */
  readonly confidence: (drill: DrillFacts, facts: Facts) => NonNullable<InjectionStatus['confidence']>;
  /** Called with the fault's name and the seconds until the reaction was seen. */
  readonly onDetection: (fault: string, seconds: number) => void;
};

const retryPauseMs = 1_000;

/** Renders the end of an injection that is cut short, from what came of ending what was sustained. */
export type RenderEnd = (settled: Injection) => Explanation;

/** Takes injections through their chain; everything it needs to go on after a restart is in the stored object. */
export type InjectionDriver = {
  /**
   * Takes one injection from where it stands to its verdict. Throws what the signal was aborted with. `places` are for what begins
   * something on the node; what is only waited for, perhaps for half an hour, takes none, and a verdict does not wait for one.
   */
  drive(injection: Injection, signal: AbortSignal, places: Places): Promise<void>;
  /** Ends an injection that will not be driven on: first what is sustained, then with its verdict. */
  end(injection: Injection, verdict: Verdict, render: RenderEnd, signal: AbortSignal): Promise<Injection>;
  /** Ends an injection whose time is over; a link that is reached by now counts all the same. */
  expire(injection: Injection, render: RenderEnd, signal: AbortSignal): Promise<Injection>;
  /** Ends what is sustained of an experiment that was deleted. */
  abandon(experiment: string, signal: AbortSignal): Promise<void>;
  /** Learns what stands in a stored injection, whoever wrote it; nothing is done with it. */
  learn(injection: Injection): void;
  /** What kept an injection from going on, if anything did. */
  troubleWith(injection: string): string | undefined;
};

type Means = Pick<Step, 'observer' | 'signal'> & { readonly places: Places };

/** What has waited for its place is not begun where it was aborted meanwhile. */
function unlessAborted<S, T>(signal: AbortSignal, work: (step: S) => Promise<T>, step: S): () => Promise<T> {
  return async () => {
    signal.throwIfAborted();
    return work(step);
  };
}

function nameOf(next: ReturnType<typeof nextLink>): string {
  return next === 'conclude' ? next : next.link.id;
}

/** Carries chains out: one loop over the links, each step ends in a write, so that any coordinator can go on from there. */
export function createInjectionDriver(deps: DriverDeps): InjectionDriver {
  const { store, collector, clock, log, links } = deps;
  const troubles = new Map<string, string>();
  const observers = createObservers(deps);
  const stopping = createStopping(deps);
  const conclusions = createConclusions({ ...deps, stopping, observers });
  const stepDeps = { ...deps, observers, conclusions };
  const dispatch = createDispatch(deps);
  const send = createSendStep({ ...stepDeps, dispatch, onTrouble: troubles.set.bind(troubles) });
  const watch = createWatchStep({ ...stepDeps, stopping });

  async function drive(start: Injection, signal: AbortSignal, places: Places): Promise<void> {
    const { name } = start.metadata;
    const observer = observers.of(start);
    let injection: Injection | undefined = start;
    let isStale = false;
    try {
      while (injection !== undefined) {
        signal.throwIfAborted();
        try {
          if (isStale) injection = await places(() => store.readInjection(name));
          isStale = false;
          if (injection === undefined || injection.status?.phase === 'Completed') return;
          stopping.track(injection);
          injection = await advance(injection, { observer, signal, places });
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
  async function advance(injection: Injection, { observer, signal, places }: Means): Promise<Injection> {
    const next = nextLink(links, injection);
    log.debug({ injection: injection.metadata.name, link: nameOf(next) }, 'step');
    if (next === 'conclude') return conclusions.conclude(injection, [], signal);
    const step: Step = { injection, open: next, observer, signal };
    if (next.row.by === 'watch') return watch(step);
    return places(unlessAborted(signal, next.known?.baseline === undefined ? prepare : send, step));
  }

  /**
   * What stands on the node before an order. Before the first one also the preflight: what keeps the chain from being
   * reached for sure is a verdict before anything is written.
   */
  async function prepare({ injection, open, observer, signal }: Step): Promise<Injection> {
    const { spec } = injection;
    const seen = await observers.observeBefore(spec);
    if (seen.isGone) return conclusions.gone(injection);
    const prepared = withSeen(injection, open, seen, clock.now());
    if (spec.chain[0]?.id === open.link.id) {
      const drill = drillFacts(prepared);
      const facts = await collector.facts(spec.node, drill, signal);
      signal.throwIfAborted();
      const confidence = deps.confidence(drill, facts);
      const blocked = blockedBefore(prepared, facts, deps.rules);
      if (blocked !== undefined) return blockedEnd(changed(injection, { confidence }), blocked);
      return ready({ injection, open, observer, signal }, changed(prepared, { confidence }));
    }
    return ready({ injection, open, observer, signal }, prepared);
  }

  /** From here on the order may be on its way. */
  function ready({ injection, open, observer }: Step, prepared: Injection): Promise<Injection> {
    expectAll(links, prepared, open.link.id, observer);
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
      timeline: withProof(injection.status?.timeline ?? [], settled),
    });
    // What stands behind it has no time left.
    if (nextLink(links, after) !== 'conclude') return end(after, 'error', render, signal);
    const ended = await conclusions.conclude(after, [], signal);
    troubles.delete(injection.metadata.name);
    return ended;
  }

  const troubleWith = (name: string) => troubles.get(name);
  return { drive, end, expire, abandon: stopping.abandon, learn: observers.remember, troubleWith };
}
