import { type Clock, isoFromMillis, leftOf } from '../../shared/clock.ts';
import { earlierOf, knownOf, orderBefore, othersOf, type Settled } from '../drill/chain.ts';
import type { Finding, LinkPast, LinkRow } from '../drill/links.ts';
import type { Baseline, ChainLink } from '../store/experiment.ts';
import type { Injection } from '../store/store.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import type { ReadNode } from '../view/read-node.ts';
import { gapEntry, type Seen, type Watcher } from '../view/watcher.ts';

/** A link that is looked for, with what it is compared with. `key` tells one baseline from another. */
export type Expected = {
  readonly key: string;
  readonly row: LinkRow;
  readonly link: ChainLink;
  readonly past: Omit<LinkPast, 'isDue' | 'at'>;
};

/** What came since the last commit, for the timeline; `commit` once it is stored. */
export type News = { readonly entries: readonly TimelineEntry[]; readonly commit: () => void };

/** From when to when a link is waited for, milliseconds of the coordinator's wall clock as they are stored. */
type Time = { readonly from: number; readonly until: number };

/** Observes one node from before its first order on, so that nothing is missed while a receipt is on its way. */
export type Observer = {
  /** When it began to observe, milliseconds of the coordinator's clock. */
  readonly since: number;
  /** Looks for these links at every change on the node, and keeps the first finding of each. */
  expect(expected: readonly Expected[]): void;
  /** What was seen since `from`, and for which times nothing could be. */
  news(from: number): News;
  /** Until the link is settled, or its time is over; undefined: the node is gone and there is nothing to wait for. */
  settle(expected: Expected, time: Time, signal: AbortSignal): Promise<Settled | undefined>;
  isGone(): boolean;
  close(): void;
};

/** How links are observed on the nodes of injections. Observing never writes. */
export type Observers = {
  of(injection: Injection): Observer;
  /** What stands on a node before an order: from the view, or fresh from the API server where the view cannot see. */
  readonly observeBefore: ReadNode;
  /** Fresh from the API server. */
  readonly observeNow: ReadNode;
  /** Whether a link has come to its end by now, by the API server's own word. */
  lookOnce(injection: Injection, expected: Expected): Promise<Settled | undefined>;
};

const foundAtTheEnd = 'found by reading the API server at the end';

/** Over the watcher, with a fresh read where a watch may lag. */
export function createObservers(deps: {
  /** Reads one node from the API server. */
  readonly readNode: ReadNode;
  readonly watcher: Watcher;
  readonly clock: Clock;
}): Observers {
  const { readNode: observeNow, watcher, clock } = deps;

  const observeBefore: ReadNode = async (target) => {
    const { node, nodeUid } = target;
    const known = watcher.node(node);
    if (known?.metadata.uid !== nodeUid || !watcher.isCurrent()) return observeNow(target);
    return { ...watcher.observe(node), isGone: false };
  };
  const at = () => isoFromMillis(clock.now());

  async function lookOnce({ spec }: Injection, { row, link, past }: Expected): Promise<Settled | undefined> {
    const finding = row.find(link, await observeNow(spec), { ...past, isDue: false, at: at() });
    return finding && { finding, at: clock.now(), how: foundAtTheEnd };
  }

  function of(injection: Injection): Observer {
    const { spec } = injection;
    const seen: Seen[] = [];
    const found = new Map<string, Settled>();
    const since = clock.now();
    let expected: readonly Expected[] = [];
    let wake: () => void = () => undefined;
    let committed = 0;
    let committedAt = Number.NEGATIVE_INFINITY;
    const isGone = () => watcher.node(spec.node)?.metadata.uid !== spec.nodeUid;

    function findNow({ row, link, past }: Expected): Finding | undefined {
      const owner = spec.owner && { owner: watcher.observeOwner(spec.owner) };
      const now = { ...watcher.observe(spec.node), isGone: isGone(), ...owner };
      return row.find(link, now, { ...past, isDue: false, at: at() });
    }

    function look(at: number, how: string): void {
      for (const one of expected) {
        if (found.has(one.key)) continue;
        const finding = findNow(one);
        if (finding !== undefined) found.set(one.key, { finding, at, how });
      }
    }

    const unsubscribe = watcher.subscribe(
      spec.node,
      (news) => {
        seen.push(news);
        look(news.at, 'seen in a watch');
        wake();
      },
      spec.owner,
    );

    return {
      since,
      isGone,
      close: unsubscribe,
      expect(next) {
        const kept = keptFindings({ before: expected, next, found }, findNow);
        expected = next;
        found.clear();
        for (const [key, settled] of kept) found.set(key, settled);
      },
      news(from) {
        const upTo = seen.length;
        const now = clock.now();
        const isFirst = committedAt === Number.NEGATIVE_INFINITY;
        return {
          entries: [
            ...(isFirst ? unobserved(from, since) : []),
            ...seen
              .slice(committed)
              .filter(({ at }) => at >= from)
              .map(({ entry }) => entry),
            ...watcher.gapsSince(Math.max(from, committedAt)),
          ],
          commit: () => {
            committed = upTo;
            committedAt = now;
          },
        };
      },
      async settle(one, time, signal) {
        look(clock.now(), 'found when the coordinator looked');
        const over = new AbortController();
        const isOver = () => {
          if (found.has(one.key) || (one.row.endsWithNode && isGone())) over.abort();
        };
        wake = isOver;
        isOver();
        try {
          await clock.sleep(leftOf(time, clock.now()), AbortSignal.any([signal, over.signal]));
        } catch (thrown) {
          if (!over.signal.aborted) throw thrown;
        } finally {
          wake = () => undefined;
        }
        const settled = found.get(one.key);
        if (settled !== undefined) return settled;
        // A watch may be silent or behind without knowing it, so that the last word is the API server's own.
        const now = await observeNow(spec);
        const late = one.row.find(one.link, now, { ...one.past, isDue: false, at: at() });
        if (late !== undefined) return { finding: late, at: clock.now(), how: foundAtTheEnd };
        if (one.row.endsWithNode && (now.isGone || isGone())) return undefined;
        const last: Finding = one.row.find(one.link, now, { ...one.past, isDue: true, at: at() }) ?? {
          state: 'missed',
        };
        return { finding: last, at: clock.now(), how: `not seen until ${isoFromMillis(time.until)}` };
      },
    };
  }

  return { of, observeBefore, observeNow, lookOnce };
}

/**
 * What stays found when other links, or the same with more known, are looked for: not what was found by another baseline, nor
 * what proves to be older than the order. Compared with the same as before it stays as it is: what showed it may be gone with
 * the node.
 */
function keptFindings(
  {
    before,
    next,
    found,
  }: {
    readonly before: readonly Expected[];
    readonly next: readonly Expected[];
    readonly found: ReadonlyMap<string, Settled>;
  },
  findNow: (expected: Expected) => Finding | undefined,
): Map<string, Settled> {
  const asked = new Map(before.map(({ key, past }) => [key, past.orderedAt]));
  return new Map(
    next.flatMap((one) => {
      const known = found.get(one.key);
      if (known === undefined) return [];
      const finding = asked.get(one.key) === one.past.orderedAt ? known.finding : findNow(one);
      return finding === undefined ? [] : [[one.key, { ...known, finding }] as const];
    }),
  );
}

/** A link of an injection as it is looked for; undefined where its order has no baseline yet. */
export function expectedOf(injection: Injection, link: ChainLink, row: LinkRow): Expected | undefined {
  const { chain } = injection.spec;
  const sent = orderBefore(chain, link.id);
  const known = knownOf(injection, sent);
  const baseline: Baseline | undefined = known?.baseline;
  if (baseline === undefined) return undefined;
  return {
    key: `${link.id} ${baseline.at}`,
    row,
    link,
    past: {
      baseline,
      orderedAt: known?.receipt?.acceptedAt,
      others: othersOf(chain, link.id),
      earlier: earlierOf(injection, link),
    },
  };
}

/** From the order until this coordinator began to observe, when another one had sent the order. */
function unobserved(from: number, since: number): readonly TimelineEntry[] {
  if (since <= from) return [];
  const because = 'the coordinator was started again';
  return [gapEntry({ from, until: since, lost: true, because }, 'coordinator')];
}
