import type { Clock } from '../../shared/clock.ts';
import { eventNamespace } from '../catalogue/nma/conditions.ts';
import type { Cluster } from '../cluster/port.ts';
import { findReaction, type Match, type Observation } from '../drill/judge.ts';
import { judgeNone } from '../drill/none.ts';
import type { TimelineEntry } from '../store/expectation.ts';
import type { Baseline, Control, InjectionSpec } from '../store/experiment.ts';
import type { Injection } from '../store/store.ts';
import { gapEntry } from '../store/timeline-entries.ts';
import { conditionsOf, nodeEventFrom } from '../view/node.ts';
import type { Seen, Watcher } from '../view/watcher.ts';

export type Detection = { readonly match: Match; readonly at: number; readonly to: string };

/** `isGone`: there is no such node, or another one of the same name. */
type SeenNode = Observation & { readonly isGone: boolean };

/** What is looked for; `id` tells one baseline from another. */
export type Sought = { readonly id: string; find(seen: SeenNode): Match | undefined };

/** Sees one node from before the order on, so that nothing is missed while the receipt is on its way. */
export type Witness = {
  /** When it began to watch. */
  readonly since: number;
  entriesSince(from: number): readonly TimelineEntry[];
  /** What was found by another baseline does not count any more. */
  seek(sought: Sought): void;
  /** Keeps the first that is found; `to` says how. */
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
  lookOnce(spec: InjectionSpec, sought: Sought): Promise<Detection | undefined>;
};

export function createWitnesses(deps: {
  readonly cluster: Cluster;
  readonly watcher: Watcher;
  readonly clock: Clock;
}): Witnesses {
  const { cluster, watcher, clock } = deps;

  function of({ spec }: Injection): Witness {
    const seen: Seen[] = [];
    let sought: Sought | undefined;
    let found: Detection | undefined;
    let wake: () => void = () => undefined;
    const isGone = () => watcher.node(spec.node)?.metadata.uid !== spec.nodeUid;
    const look = (at: number, to: string) => {
      if (sought === undefined || found !== undefined) return;
      const match = sought.find({ ...watcher.observe(spec.node), isGone: isGone() });
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
      seek: (next) => {
        if (next.id !== sought?.id) found = undefined;
        sought = next;
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

  async function lookOnce(spec: InjectionSpec, sought: Sought): Promise<Detection | undefined> {
    const match = sought.find(await observeNow(spec));
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

/** The expected reaction; of a negative drill, the one that must not come. */
export function soughtFault(spec: InjectionSpec, baseline: Baseline): Sought {
  const find = (seen: SeenNode) => {
    if (spec.expectation.kind !== 'none') return findReaction(spec.expectation, baseline, ours(seen));
    const judged = judgeNone(spec.expectation, baseline, ours(seen), ownOf(spec));
    return judged.is === 'violated' ? judged.match : undefined;
  };
  return { id: `${spec.order.orderId} ${baseline.at}`, find };
}

export function soughtControl({ order, expectation }: Control, baseline: Baseline): Sought {
  return {
    id: `${order.orderId} ${baseline.at}`,
    find: (seen) => findReaction(expectation, baseline, ours(seen)),
  };
}

/** The fault's own event, where a negative drill may or must see it. */
export function ownEvent(spec: InjectionSpec, baseline: Baseline, seen: Observation): Match | undefined {
  const judged = judgeNone(spec.expectation, baseline, seen, ownOf(spec));
  return judged.is === 'quiet' ? judged.event : undefined;
}

function ownOf({ controls = [] }: InjectionSpec) {
  return controls.map(({ expectation }) => expectation);
}

/** What stands on another node of the same name is no reaction; the events are still those of the one that went. */
function ours(seen: SeenNode): Observation {
  return seen.isGone ? { ...seen, conditions: [] } : seen;
}

/** From the order until this coordinator began to watch, when another one gave the order. */
export function unwatched(since: number, witness: Witness): readonly TimelineEntry[] {
  if (witness.since <= since) return [];
  const because = 'the coordinator was started again';
  return [gapEntry({ from: since, until: witness.since, lost: true, because }, 'coordinator')];
}
