import { type Clock, isoFromMillis } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import { findKarpenterVersion } from '../../catalogue/repair/karpenter.ts';
import type { Cluster, KubeObject } from '../../cluster/port.ts';
import { createReflector } from '../../cluster/reflector.ts';
import { poolOf } from '../../view/node.ts';
import { secondsFromMillis } from '../nma/events.ts';
import type { KarpenterRow } from './objects.ts';
import { createReplace, isOwned, type Report } from './replace.ts';
import { boundSeconds, budgetOf, dueMs, isBreakerOpen, isDisrupted } from './rules.ts';

/** A Karpenter that repairs nodes by the rules of its version (karpenter.md §2 to §4): a model, not its code. */
export type Karpenter = { stop(): Promise<void> };

/** 1.15 looks again after this long; 1.14 looks at each change and when something is due (karpenter.md §2). */
const pollMs = 10_000;
/** 1.14 tries a node that the breaker held again after this long (karpenter.md §3). */
const breakerRetryMs = 300_000;
/** 1.15 repeats the breaker's event no sooner (karpenter.md §3). */
const repeatMs = 900_000;

/** Starts it; with the gate off it does nothing, as the real one. */
export function startKarpenter(deps: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  readonly row: KarpenterRow;
  readonly onGone: (node: string) => Promise<void>;
  readonly log: Log;
}): Karpenter {
  const { cluster, clock, row, log } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const { engine, policies } = behaviourOf(row);
  if (!row.nodeRepair || engine === 'none') return { stop: async () => undefined };
  const acting = engine;
  const busy = new Set<string>();
  const heldUntil = new Map<string, number>();
  const work = new Set<Promise<void>>();
  let wake = Promise.withResolvers<void>();
  const nodes = createReflector({ ...deps, resource: 'nodes', onChange: () => wake.resolve() });

  const report = createReport(deps);
  const replace = createReplace({ ...deps, signal }, report);

  function begin(node: KubeObject): void {
    const { name } = node.metadata;
    busy.add(name);
    const bound = boundSeconds(node, policies);
    const done = (acting === 'forced' ? replace.forced(node) : replace.voluntary(node, bound))
      .catch((thrown) => {
        if (!signal.aborted) log.error({ err: thrown, node: name }, 'the simulated Karpenter failed');
      })
      .finally(() => {
        busy.delete(name);
        work.delete(done);
      });
    work.add(done);
  }

  /** Owned nodes that no repair is at work on, each with when it is due. */
  function candidates(): readonly { readonly node: KubeObject; readonly due: number }[] {
    return nodes.store
      .list()
      .filter((node) => isOwned(node) && !isDisrupted(node) && !busy.has(node.metadata.name))
      .flatMap((node) => {
        const due = dueMs(node, policies, acting);
        return due === undefined ? [] : [{ node, due }];
      })
      .toSorted((left, right) => left.due - right.due);
  }

  async function isHeldByBreaker(node: KubeObject): Promise<boolean> {
    const pool = poolOf(node);
    const peers = nodes.store.list().filter((other) => poolOf(other) === pool);
    if (!isBreakerOpen(peers, policies)) return false;
    const { name } = node.metadata;
    const shown = heldUntil.get(name) ?? 0;
    if (clock.now() < shown) return true;
    const forced = acting === 'forced';
    heldUntil.set(name, clock.now() + (forced ? breakerRetryMs : repeatMs));
    const message = forced
      ? 'more than 20% nodes are unhealthy in the nodepool'
      : `more than 20% of nodes in nodepool "${pool}" are unhealthy`;
    await report(node, { type: 'Warning', reason: 'NodeRepairBlocked', message });
    return true;
  }

  /** All due nodes at once; budgets and annotations do not matter. */
  async function forcedPass(): Promise<number> {
    const all = candidates();
    for (const { node, due } of all) {
      if (due > clock.now() || (heldUntil.get(node.metadata.name) ?? 0) > clock.now()) continue;
      if (!(await isHeldByBreaker(node))) begin(node);
    }
    const next = candidates().map(({ node, due }) => Math.max(due, heldUntil.get(node.metadata.name) ?? 0));
    return Math.max(1_000, Math.min(breakerRetryMs, ...next.map((at) => at - clock.now())));
  }

  /** One command per pass, within the budgets. */
  async function voluntaryPass(): Promise<number> {
    for (const { node, due } of candidates()) {
      if (due > clock.now()) break;
      if (node.metadata.annotations?.['karpenter.sh/do-not-repair'] === 'true') continue;
      const pool = poolOf(node) ?? '';
      const peers = nodes.store.list().filter((other) => poolOf(other) === pool);
      const inFlight = peers.filter((other) => isDisrupted(other) || busy.has(other.metadata.name)).length;
      const nodePool = await cluster.read('nodepools', { name: pool });
      if (inFlight >= budgetOf(nodePool, peers.length) || (await isHeldByBreaker(node))) continue;
      begin(node);
      break;
    }
    return pollMs;
  }

  async function run(): Promise<void> {
    nodes.start(signal);
    await nodes.ready;
    while (!signal.aborted) {
      wake = Promise.withResolvers();
      const pauseMs = acting === 'forced' ? await forcedPass() : await voluntaryPass();
      log.debug({ at: isoFromMillis(clock.now()), pauseMs }, 'the simulated Karpenter waits');
      const woken = acting === 'forced' ? wake.promise : new Promise<never>(() => undefined);
      const over = new AbortController();
      await Promise.race([clock.sleep(pauseMs, AbortSignal.any([signal, over.signal])), woken]);
      over.abort();
    }
  }

  const running = run().catch((thrown) => {
    if (!signal.aborted) log.error({ err: thrown }, 'the simulated Karpenter stopped');
  });
  return {
    async stop() {
      stopping.abort(new Error('Karpenter ends'));
      await nodes.stop();
      await running;
      await Promise.all(work);
    },
  };
}

function behaviourOf({ version, policies }: KarpenterRow) {
  const found = findKarpenterVersion(`karpenter:${version}`).row;
  return { engine: found?.engine ?? 'none', policies: policies ?? found?.policies ?? [] };
}

/** Events of Karpenter, each text once. */
function createReport({
  cluster,
  clock,
  newId,
}: Pick<Parameters<typeof startKarpenter>[0], 'cluster' | 'clock' | 'newId'>): Report {
  return async ({ kind, metadata }, { type, reason, message }) => {
    const now = secondsFromMillis(clock.now());
    await cluster.create('events', {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${metadata.name}.${newId()}`, namespace: 'default' },
      involvedObject: { kind, name: metadata.name, uid: metadata.uid },
      type,
      reason,
      message,
      count: 1,
      source: { component: 'karpenter' },
      firstTimestamp: now,
      lastTimestamp: now,
    });
  };
}
