import { type Clock, isoFromMillis, leftOf } from '../../shared/clock.ts';
import { earlierOf, knownOf, orderBefore, othersOf, type Settled } from '../drill/chain.ts';
import type { Finding, LinkPast, LinkRow } from '../drill/links.ts';
import type { Baseline, ChainLink, InjectionSpec } from '../store/experiment.ts';
import type { Injection } from '../store/store.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import type { SeenNode } from '../view/node.ts';
import type { PodWatch, WatchPods } from '../view/pods-on-node.ts';
import type { ReadNode } from '../view/read-node.ts';
import { gapEntry, type Seen, type Watcher } from '../view/watcher.ts';

/** A link that is looked for, with what it is compared with. `key` tells one baseline from another. */
export type Expected = {
  readonly key: string;
  readonly row: LinkRow;
  readonly link: ChainLink;
  readonly past: Omit<LinkPast, 'isDue' | 'at' | 'claimed'>;
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
  readonly observeBefore: (spec: InjectionSpec) => Promise<SeenNode>;
  /** Fresh from the API server. */
  readonly observeNow: (spec: InjectionSpec) => Promise<SeenNode>;
  /** The new Nodes that this stored injection was reached by count for no other: another coordinator may have found them. */
  remember(injection: Injection): void;
  /** Whether a link has come to its end by now, by the API server's own word. */
  lookOnce(injection: Injection, expected: Expected): Promise<Settled | undefined>;
};

const foundAtTheEnd = 'found by reading the API server at the end';

/** What observers work with. */
type ObserverDeps = {
  /** Reads one node from the API server. */
  readonly readNode: ReadNode;
  readonly watcher: Watcher;
  /** Follows the pods of a node that links ask for. */
  readonly watchPods: WatchPods;
  /** The rows of the chains' links. */
  readonly links: readonly LinkRow[];
  readonly clock: Clock;
};

/** Over the watcher, with a fresh read where a watch may lag. */
export function createObservers(deps: ObserverDeps): Observers {
  const { readNode, watcher, links, clock } = deps;
  const needsPods = (chain: readonly ChainLink[]) =>
    chain.some(({ link }) => links.some(({ name, needs }) => name === link && needs === 'pods'));
  const observeNow: Observers['observeNow'] = (spec) => readNode({ ...spec, pods: needsPods(spec.chain) });

  const observeBefore: Observers['observeBefore'] = async (spec) => {
    const { node, nodeUid, chain } = spec;
    const known = watcher.node(node);
    // A baseline has nothing of the owner, whose nodes may be a thousand.
    if (known?.metadata.uid !== nodeUid || !watcher.isCurrent() || needsPods(chain))
      return readNode({ node, nodeUid, pods: needsPods(chain) });
    return { ...watcher.observe(node), isGone: false };
  };
  const at = () => isoFromMillis(clock.now());
  const claims = createClaims();

  async function lookOnce(
    { spec, metadata: { name } }: Injection,
    { row, link, past }: Expected,
  ): Promise<Settled | undefined> {
    const now = { ...past, claimed: claims.ofOthers(name), isDue: false, at: at() };
    const finding = row.find(link, await observeNow(spec), now);
    claims.take(name, finding);
    return finding && { finding, at: clock.now(), how: foundAtTheEnd };
  }

  const of = (injection: Injection) =>
    observe(injection, { ...deps, claims, observeNow, needsPods: needsPods(injection.spec.chain) });

  return { of, observeBefore, observeNow, lookOnce, remember: claims.remember };
}

/** One node from now on, by the watcher and, at the end of a wait, by the API server's own word. */
function observe(
  injection: Injection,
  deps: Pick<ObserverDeps, 'watcher' | 'watchPods' | 'clock'> &
    Pick<Observers, 'observeNow'> & { readonly claims: Claims; readonly needsPods: boolean },
): Observer {
  const { watcher, watchPods, clock, claims, observeNow, needsPods } = deps;
  const at = () => isoFromMillis(clock.now());
  const { spec } = injection;
  const { name } = injection.metadata;
  const seen: Seen[] = [];
  const found = new Map<string, Settled>();
  const since = clock.now();
  let expected: readonly Expected[] = [];
  let wake: () => void = () => undefined;
  let committed = 0;
  let committedAt = Number.NEGATIVE_INFINITY;
  const isGone = () => watcher.node(spec.node)?.metadata.uid !== spec.nodeUid;

  function findNow({ row, link, past }: Expected): Finding | undefined {
    const now = seenNow(deps, spec, pods);
    const finding = row.find(link, now, {
      ...past,
      claimed: claims.ofOthers(name),
      isDue: false,
      at: at(),
    });
    claims.take(name, finding);
    return finding;
  }

  function look(at: number, how: string): void {
    for (const one of expected) {
      if (found.has(one.key)) continue;
      const finding = findNow(one);
      if (finding !== undefined) found.set(one.key, { finding, at, how });
    }
  }

  const onNews = (at: number) => {
    look(at, 'seen in a watch');
    wake();
  };
  const pods = needsPods ? watchPods(spec.node, onNews) : undefined;
  const unsubscribe = watcher.subscribe(
    spec.node,
    (news) => {
      seen.push(news);
      onNews(news.at);
    },
    spec.owner,
  );

  return {
    since,
    isGone,
    close: () => {
      unsubscribe();
      pods?.close();
    },
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
      const past = { ...one.past, claimed: claims.ofOthers(name), at: at() };
      const late = one.row.find(one.link, now, { ...past, isDue: false });
      claims.take(name, late);
      if (late !== undefined) return { finding: late, at: clock.now(), how: foundAtTheEnd };
      if (one.row.endsWithNode && (now.isGone || isGone())) return undefined;
      const last: Finding = one.row.find(one.link, now, { ...past, isDue: true }) ?? {
        state: 'missed',
      };
      return { finding: last, at: clock.now(), how: `not seen until ${isoFromMillis(time.until)}` };
    },
  };
}

/** The node as the watches show it. */
function seenNow(
  { watcher }: Pick<ObserverDeps, 'watcher'>,
  { node, nodeUid, owner }: InjectionSpec,
  pods: PodWatch | undefined,
): SeenNode {
  const onNode = pods?.seen();
  return {
    ...watcher.observe(node),
    isGone: watcher.node(node)?.metadata.uid !== nodeUid,
    ...(owner === undefined ? {} : { owner: watcher.observeOwner(owner) }),
    ...(onNode === undefined ? {} : { pods: onNode }),
  };
}

type Claims = ReturnType<typeof createClaims>;

/** Which new Node stands for which drilled one: no field of Karpenter's links the two (karpenter.md §6). */
function createClaims() {
  const claimedBy = new Map<string, string>();
  return {
    remember({ metadata, status }: Injection): void {
      for (const { claims } of status?.links ?? [])
        if (claims !== undefined) claimedBy.set(claims, metadata.name);
    },
    take(injection: string, finding: Finding | undefined): void {
      if (finding?.claims !== undefined) claimedBy.set(finding.claims, injection);
    },
    ofOthers: (injection: string): ReadonlySet<string> =>
      new Set([...claimedBy].flatMap(([uid, by]) => (by === injection ? [] : [uid]))),
  };
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
      chain: chain.filter(({ role }) => role === 'fault').map((one) => one.link),
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
