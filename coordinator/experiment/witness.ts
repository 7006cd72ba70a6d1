import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { eventNamespace } from '../../shared/nma/conditions.ts';
import type { TimelineEntry } from '../../shared/schemas/expectation.ts';
import type { Baseline, InjectionSpec } from '../../shared/schemas/experiment.ts';
import { conditionsOf, nodeEventFrom } from '../cluster/node-view.ts';
import type { Cluster } from '../cluster/port.ts';
import { findReaction, type Match, type Observation } from '../reaction/judge.ts';
import type { Seen, Watcher } from '../reaction/watcher.ts';
import type { Injection } from './store.ts';
import { timelineEntry } from './timeline.ts';

export type Detection = { readonly match: Match; readonly at: number; readonly to: string };

/** `isGone`: there is no such node, or another one of the same name. */
type SeenNode = Observation & { readonly isGone: boolean };

/** Sees one node from before the order on, so that nothing is missed while the receipt is on its way. */
export type Witness = {
  /** When it began to watch. */
  readonly since: number;
  entriesSince(from: number): readonly TimelineEntry[];
  /** What was found by another baseline does not count any more. */
  compareWith(baseline: Baseline): void;
  /** Keeps the first reaction; `to` says how it was found. */
  look(at: number, to: string): void;
  found(): Detection | undefined;
  isGone(): boolean;
  onNews(listener: () => void): void;
  close(): void;
};

export type Witnesses = {
  of(injection: Injection): Witness;
  /** Fresh from the API server, not from a watch that may lag: what is missed here would count as a reaction later. */
  observeNow(spec: InjectionSpec): Promise<SeenNode>;
  /** Looks at once, then after each change on the node, until the reaction is there, the node is gone or the time is up. */
  waitForReaction(witness: Witness, until: number, signal: AbortSignal): Promise<Detection | undefined>;
  /** A watch may be silent or behind without knowing it, so that the last word is the API server's own. */
  lookOnce(spec: InjectionSpec, baseline: Baseline): Promise<Detection | undefined>;
};

export function createWitnesses(deps: {
  readonly cluster: Cluster;
  readonly watcher: Watcher;
  readonly clock: Clock;
}): Witnesses {
  const { cluster, watcher, clock } = deps;

  function of({ spec, status }: Injection): Witness {
    const seen: Seen[] = [];
    let baseline = status?.baseline;
    let found: Detection | undefined;
    let wake: () => void = () => undefined;
    const isGone = () => watcher.node(spec.node)?.metadata.uid !== spec.nodeUid;
    const look = (at: number, to: string) => {
      if (baseline === undefined || found !== undefined) return;
      const match = reactionIn({ ...watcher.observe(spec.node), isGone: isGone() }, spec, baseline);
      if (match !== undefined) found = { match, at, to };
    };
    const unsubscribe = watcher.subscribe(spec.node, (news) => {
      seen.push(news);
      look(news.at, 'reaction seen in a watch');
      wake();
    });
    return {
      since: clock.now(),
      entriesSince: (from) => seen.filter(({ at }) => at >= from).map(({ entry }) => entry),
      compareWith: (taken) => {
        if (taken.at !== baseline?.at) found = undefined;
        baseline = taken;
      },
      look,
      found: () => found,
      isGone,
      onNews: (listener) => {
        wake = listener;
      },
      close: unsubscribe,
    };
  }

  async function waitForReaction(
    witness: Witness,
    until: number,
    signal: AbortSignal,
  ): Promise<Detection | undefined> {
    witness.look(clock.now(), 'reaction found when the coordinator looked');
    const over = new AbortController();
    const isOver = () => {
      if (witness.found() !== undefined || witness.isGone()) over.abort();
    };
    witness.onNews(isOver);
    isOver();
    try {
      await clock.sleep(until - clock.now(), AbortSignal.any([signal, over.signal]));
    } catch (thrown) {
      if (!over.signal.aborted) throw thrown;
    } finally {
      witness.onNews(() => undefined);
    }
    return witness.found();
  }

  async function lookOnce(spec: InjectionSpec, baseline: Baseline): Promise<Detection | undefined> {
    const match = reactionIn(await observeNow(spec), spec, baseline);
    return match && { match, at: clock.now(), to: 'reaction found by reading the API server at the end' };
  }

  async function observeNow({ node: name, nodeUid }: InjectionSpec): Promise<SeenNode> {
    const [node, events] = await Promise.all([
      cluster.read('nodes', { name }),
      cluster.list('events', {
        namespace: eventNamespace,
        fieldSelector: `involvedObject.kind=Node,involvedObject.name=${name}`,
      }),
    ]);
    return {
      isGone: node?.metadata.uid !== nodeUid,
      conditions: node === undefined ? [] : conditionsOf(node),
      events: events.items.map(nodeEventFrom),
    };
  }

  return { of, observeNow, waitForReaction, lookOnce };
}

/** What stands on another node of the same name is no reaction; the events are still those of the one that went. */
function reactionIn(seen: SeenNode, spec: InjectionSpec, baseline: Baseline): Match | undefined {
  const ours = seen.isGone ? { ...seen, conditions: [] } : seen;
  return findReaction(spec.expectation, baseline, ours);
}

/** From the order until this coordinator began to watch, when another one gave the order. */
export function unwatched(since: number, witness: Witness): readonly TimelineEntry[] {
  if (witness.since <= since) return [];
  const until = isoFromMillis(witness.since);
  const text = `not watching until ${until}: the coordinator was started again; what came and went in between is lost`;
  return [timelineEntry(since, 'gap', 'coordinator', text)];
}
