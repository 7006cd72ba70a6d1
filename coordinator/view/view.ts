import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import type { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Change } from '../cluster/object-cache.ts';
import type { Gap } from '../cluster/one-watch.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { createReflector, type Reflector } from '../cluster/reflector.ts';
import type { NodeOwner } from '../store/experiment.ts';
import { experimentLabel } from '../store/store.ts';
import type { Unread } from './facts.ts';
import { type KindRow, kinds, queryOf, type ViewKind, viewKinds } from './kinds.ts';
import type { Observation } from './node.ts';
import { conditionsOf, nodeEventFrom, ownerKey, ownerOf, text } from './node.ts';
import { createIndex, createPeerCounts, type Peers } from './peers.ts';

/** How far one kind of the view can be relied on. */
export type KindState = {
  readonly kind: ViewKind;
  /** When the API server last sent something of it, RFC 3339, coordinator's clock; null: never. Quiet kinds get old. */
  readonly seenAt: string | null;
  /** Set where it was never listed: nothing is known of it. */
  readonly unread?: Unread;
  /** Set while its watch is broken: what changed since then is not known. */
  readonly gap?: { readonly since: string; readonly because: string };
};

/**
 * One live picture of the cluster: a list and a watch per kind, reduced on arrival. Everything that selects, plans,
 * diagnoses or answers reads it, so that no request to the API server is made per target.
 */
export type View = {
  /** Begins, once; ends when the signal is aborted. */
  start(signal: AbortSignal): void;
  /** Resolves when nothing is open and nothing will be opened any more. */
  stop(): Promise<void>;
  /** The first lists of all that a drill needs have come, and of the other kinds too or were refused. */
  readonly ready: Promise<void>;
  /** What `ready` still waits for, with what the API server answered; undefined: nothing. */
  missing(): string | undefined;
  /** Reduced, each with what `project` of its kind leaves. In no order. */
  all(kind: ViewKind): readonly KubeObject[];
  node(name: string): KubeObject | undefined;
  /** Conditions and events of a node: what a reaction shows in. Empty for a node that is not there. */
  observe(node: string): Observation;
  /** The nodes of a NodePool or a managed node group, reduced. */
  nodesOfOwner(owner: NodeOwner): readonly KubeObject[];
  nodeClaim(name: string): KubeObject | undefined;
  /** Pods on a node, of a kind that is pods. */
  podsOf(kind: PodKind, node: string): readonly KubeObject[];
  experiment(name: string): KubeObject | undefined;
  injectionsOf(experiment: string): readonly KubeObject[];
  injectionsOn(node: string): readonly KubeObject[];
  peersOf(node: KubeObject): Peers;
  /**
   * Why a kind is not known, or no longer because its watch has been broken for more than a minute, with the remedy;
   * undefined: it is known. Throws `cluster_unreachable` where it was never listed for want of a connection alone,
   * which may pass.
   */
  unread(kind: ViewKind): Unread | undefined;
  /** Gaps that have ended, oldest first; last one that has been open for more than a minute, which may have lost something. */
  gaps(kind: ViewKind): readonly Gap[];
  /** The gap that is open now, in milliseconds of the clock; whether anything is lost in it shows when it ends. */
  blind(kind: ViewKind): { readonly since: number; readonly because: string } | undefined;
  /** Whether the kind is up to date as far as can be known: it was listed, and its watch is not broken. */
  isCurrent(kind: ViewKind): boolean;
  states(): readonly KindState[];
  /** Calls back after each change of a kind, when all indexes have it; returns the way to stop that. */
  onChange(kind: ViewKind, listener: (change: Change) => void): () => void;
  /** Takes over what the API server answered to our own write of an experiment or injection. */
  learn(kind: 'experiments' | 'injections', object: KubeObject): void;
};

/** Twice the longest pause before a watch is tried again: what is older than this is not the present. */
const longGapMs = 60_000;

/** The kinds of the view that are pods. */
export type PodKind = 'agentPods' | 'nmaPods' | 'dcgmServerPods';

/** The live view over a cluster, not started yet. */
export function createView(options: {
  readonly cluster: Cluster;
  /** Where experiments, injections and the agents' pods are. */
  readonly namespace: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): View {
  const { clock, log } = options;
  const listeners = new Map<ViewKind, Set<(change: Change) => void>>();
  const nodeOfPod = (pod: KubeObject) => text(pod, 'spec', 'nodeName');
  const whole = (object: KubeObject) => object;
  const events = createIndex((event) => text(event, 'involvedObject', 'name'), nodeEventFrom);
  const pods = {
    agentPods: createIndex(nodeOfPod, whole),
    nmaPods: createIndex(nodeOfPod, whole),
    dcgmServerPods: createIndex(nodeOfPod, whole),
  };
  const ofExperiment = createIndex(({ metadata }) => metadata.labels?.[experimentLabel], whole);
  const onNode = createIndex((injection) => text(injection, 'spec', 'node'), whole);
  const ofOwner = createIndex((node) => ownerKey(ownerOf(node) ?? {}), whole);
  const peers = createPeerCounts();
  const indexes: Partial<Record<ViewKind, readonly { apply(change: Change): void }[]>> = {
    nodes: [peers, ofOwner],
    events: [events],
    injections: [ofExperiment, onNode],
    agentPods: [pods.agentPods],
    nmaPods: [pods.nmaPods],
    dcgmServerPods: [pods.dcgmServerPods],
  };

  function changed(kind: ViewKind, change: Change): void {
    for (const index of indexes[kind] ?? []) index.apply(change);
    for (const listener of [...(listeners.get(kind) ?? [])]) {
      try {
        listener(change);
      } catch (thrown) {
        log.error({ err: thrown, kind }, 'a listener of the view failed');
      }
    }
  }

  const reflectors = Object.fromEntries(
    viewKinds.map((kind) => {
      const row: KindRow = kinds[kind];
      const query = queryOf(row, options.namespace);
      const onChange = (change: Change) => changed(kind, change);
      return [kind, createReflector({ ...options, resource: row.resource, query, onChange })];
    }),
  ) as Record<ViewKind, Reflector>;
  const every = Object.values(reflectors);
  const ready = Promise.all(
    viewKinds.map((kind) => (kinds[kind].isEssential ? reflectors[kind].ready : reflectors[kind].settled)),
  ).then(() => undefined);
  // Who does not wait for it must not be killed by it.
  ready.catch(() => undefined);

  function longGap(kind: ViewKind) {
    const gap = reflectors[kind].blind();
    return gap !== undefined && clock.now() - gap.since > longGapMs ? gap : undefined;
  }

  function unread(kind: ViewKind): Unread | undefined {
    const refusal = reflectors[kind].unread();
    if (refusal === undefined) {
      const gap = longGap(kind);
      if (gap === undefined) return undefined;
      const since = isoFromMillis(gap.since);
      return { unread: `${kinds[kind].shown} have not been seen since ${since}: ${gap.because}` };
    }
    if (refusal.reason === 'cluster_unreachable') throw refusal;
    return unreadOf(kind, refusal);
  }

  return {
    start: (signal) => {
      for (const reflector of every) reflector.start(signal);
    },
    stop: async () => {
      await Promise.all(every.map((reflector) => reflector.stop()));
    },
    ready,
    missing: () => missingOf(reflectors),
    all: (kind) => reflectors[kind].store.list(),
    node: (name) => reflectors.nodes.store.get({ name }),
    observe(name) {
      const node = reflectors.nodes.store.get({ name });
      if (node === undefined) return { conditions: [], events: events.of(name) };
      return { node, conditions: conditionsOf(node), events: events.of(name) };
    },
    nodesOfOwner: (owner) => ofOwner.of(ownerKey(owner) ?? ''),
    nodeClaim: (name) => reflectors.nodeClaims.store.get({ name }),
    podsOf: (kind, node) => pods[kind].of(node),
    experiment: (name) => reflectors.experiments.store.get({ name, namespace: options.namespace }),
    injectionsOf: ofExperiment.of,
    injectionsOn: onNode.of,
    peersOf: peers.of,
    unread,
    gaps(kind) {
      const { gaps } = reflectors[kind];
      const open = longGap(kind);
      if (open === undefined) return gaps;
      return [...gaps, { from: open.since, until: clock.now(), because: open.because, lost: true }];
    },
    blind: (kind) => reflectors[kind].blind(),
    isCurrent: (kind) => reflectors[kind].unread() === undefined && reflectors[kind].blind() === undefined,
    states: () => viewKinds.map((kind) => stateOf(kind, reflectors[kind])),
    onChange(kind, listener) {
      const own = listeners.get(kind) ?? new Set();
      listeners.set(kind, own.add(listener));
      return () => own.delete(listener);
    },
    learn: (kind, object) => reflectors[kind].learn(object),
  };
}

/** The kinds that `ready` still waits for, with what the API server answered; undefined: none. */
function missingOf(reflectors: Readonly<Record<ViewKind, Reflector>>): string | undefined {
  const waiting = viewKinds.filter((kind) => {
    const isListed = reflectors[kind].statistics().lastSeenAt !== undefined;
    return !isListed && (kinds[kind].isEssential || reflectors[kind].unread() === undefined);
  });
  if (waiting.length === 0) return undefined;
  const shown = waiting.map((kind) => {
    const refusal = reflectors[kind].unread();
    return `${kinds[kind].shown}${refusal === undefined ? '' : ` (${refusal.message})`}`;
  });
  return `not listed so far: ${shown.join(', ')}`;
}

function stateOf(kind: ViewKind, reflector: Reflector): KindState {
  const { lastSeenAt } = reflector.statistics();
  const refusal = reflector.unread();
  const gap = reflector.blind();
  return {
    kind,
    seenAt: lastSeenAt === undefined ? null : isoFromMillis(lastSeenAt),
    ...(refusal === undefined ? {} : { unread: unreadOf(kind, refusal) }),
    ...(gap === undefined ? {} : { gap: { ...gap, since: isoFromMillis(gap.since) } }),
  };
}

function unreadOf(kind: ViewKind, refusal: Refusal): Unread {
  const { shown, resource } = kinds[kind];
  const asked = `${shown} cannot be read: ${refusal.message}`;
  if (refusal.reason !== 'cluster_refused') return { unread: asked };
  return { unread: asked, remedy: `grant the coordinator list and watch of ${resource} (its chart does)` };
}
