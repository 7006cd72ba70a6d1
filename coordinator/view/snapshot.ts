import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { KubeObject, ObjectKey, ResourceName } from '../cluster/port.ts';
import { resources } from '../cluster/resources.ts';
import type { KnownObjects, ReadCluster } from './collect.ts';
import type { Unread } from './facts.ts';
import { type KindRow, kinds, queryOf, type ViewKind } from './kinds.ts';
import { text } from './node.ts';
import { createIndex, createPeerCounts } from './peers.ts';
import type { KindState, PodKind } from './view.ts';

/** A read that the API server refused for want of a right. */
export type MissingRight = {
  readonly verb: 'get' | 'list';
  /** With its group, as kubectl takes it: `daemonsets.apps`. */
  readonly resource: string;
  /** Absent: all namespaces, or a kind without any. */
  readonly namespace?: string;
  /** `log` of a pod. */
  readonly subresource?: string;
  /** The API server's words. */
  readonly because: string;
};

/** The cluster as it was at one moment: a list of each kind that a diagnosis without a drill needs, and no watch. */
export type Snapshot = {
  readonly known: KnownObjects;
  /** For what the lists do not hold; nodes and node pools are answered from lists. */
  readonly cluster: ReadCluster;
  /** What was refused so far, each once. */
  readonly missing: () => readonly MissingRight[];
};

/** Nothing else is judged where no drill runs: events, experiments and NodeClaims are left out. */
const listed = [
  'nodes',
  'agentPods',
  'nmaPods',
  'dcgmServerPods',
  'nmaDaemonSets',
  'dcgmServerDaemonSets',
  'karpenterDeployments',
] as const satisfies readonly ViewKind[];

/** The command that shows whether the caller has a right, to copy. */
export function canICommand({ verb, resource, namespace, subresource }: MissingRight): string {
  const where = namespace === undefined ? '--all-namespaces' : `-n ${namespace}`;
  return `kubectl auth can-i ${verb} ${resource}${subresource === undefined ? '' : ` --subresource=${subresource}`} ${where}`;
}

/**
 * Lists everything once. What may not be read is unread, with the right that is missing. Throws `cluster_refused` where the
 * credentials are not accepted at all, and `cluster_unreachable`.
 */
export async function takeSnapshot(options: {
  readonly cluster: ReadCluster;
  /** Where our agents' pods are. */
  readonly namespace: string;
  readonly clock: Clock;
}): Promise<Snapshot> {
  const { namespace, clock } = options;
  const { cluster, missing, rightOf } = recording(options.cluster);
  const found = new Map<ViewKind, readonly KubeObject[] | Unread>();
  await Promise.all(
    listed.map(async (kind) => {
      const row: KindRow = kinds[kind];
      try {
        found.set(kind, (await cluster.list(row.resource, queryOf(row, namespace))).items);
      } catch (thrown) {
        const right = rightOf(thrown);
        if (right === undefined) throw thrown;
        found.set(kind, {
          unread: `${row.shown} cannot be read: ${right.because}`,
          reason: 'cluster_refused',
          remedy: canICommand(right),
        });
      }
    }),
  );
  const at = clock.now();
  const known = knownFrom(found, at);
  return { known, missing, cluster: answeredFromLists(cluster, known) };
}

function knownFrom(found: ReadonlyMap<ViewKind, readonly KubeObject[] | Unread>, at: number): KnownObjects {
  const all = (kind: ViewKind): readonly KubeObject[] => {
    const items = found.get(kind) ?? [];
    return 'unread' in items ? [] : items;
  };
  const unread = (kind: ViewKind): Unread | undefined => {
    const items = found.get(kind) ?? [];
    return 'unread' in items ? items : undefined;
  };
  const peers = createPeerCounts();
  for (const object of all('nodes')) peers.apply({ type: 'added', object, at });
  const nodes = new Map(all('nodes').map((node) => [node.metadata.name, node]));
  const pods = Object.fromEntries(
    (['agentPods', 'nmaPods', 'dcgmServerPods'] as const).map((kind) => {
      const index = createIndex(
        (pod) => text(pod, 'spec', 'nodeName'),
        (pod) => pod,
      );
      for (const object of all(kind)) index.apply({ type: 'added', object, at });
      return [kind, index];
    }),
  ) as Record<PodKind, ReturnType<typeof createIndex<KubeObject>>>;
  return {
    all,
    unread,
    node: (name) => nodes.get(name),
    podsOf: (kind, node) => pods[kind].of(node),
    peersOf: peers.of,
    isCurrent: (kind) => unread(kind) === undefined,
    states: () =>
      listed.map((kind): KindState => {
        const reason = unread(kind);
        const seenAt = reason === undefined ? isoFromMillis(at) : null;
        return { kind, seenAt, ...(reason === undefined ? {} : { unread: reason }) };
      }),
  };
}

/** A node is as the list has it, and one list of node pools serves all of their nodes. */
function answeredFromLists(cluster: ReadCluster, known: KnownObjects): ReadCluster {
  let pools: Promise<readonly KubeObject[]> | undefined;
  async function read(resource: ResourceName, key: ObjectKey): Promise<KubeObject | undefined> {
    if (resource === 'nodes') return known.node(key.name);
    if (resource !== 'nodepools') return cluster.read(resource, key);
    pools ??= cluster.list('nodepools').then(({ items }) => items);
    return (await pools).find(({ metadata }) => metadata.name === key.name);
  }
  return { ...cluster, read };
}

/** Notes each refusal for want of a right; one for want of credentials is no missing right. */
function recording(cluster: ReadCluster) {
  const found = new Map<string, MissingRight>();
  const rights = new WeakMap<object, MissingRight>();

  async function noting<T>(right: Omit<MissingRight, 'because'>, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (thrown) {
      if (
        thrown instanceof Refusal &&
        thrown.reason === 'cluster_refused' &&
        thrown.details.httpStatus === 403
      ) {
        const missing = { ...right, because: thrown.message };
        const remedy = canICommand(missing);
        found.set(remedy, missing);
        const refusal = new Refusal(thrown.reason, thrown.message, { ...thrown.details, remedy }, thrown);
        rights.set(refusal, missing);
        throw refusal;
      }
      throw thrown;
    }
  }

  const placed = (namespace: string | undefined) => (namespace === undefined ? {} : { namespace });
  const noted: ReadCluster = {
    list: (resource, query = {}) =>
      noting(
        { verb: 'list', resource: nameOf(resource), ...placed(query.namespace) },
        cluster.list(resource, query),
      ),
    read: (resource, key) =>
      noting(
        { verb: 'get', resource: nameOf(resource), ...placed(key.namespace) },
        cluster.read(resource, key),
      ),
    podLog: (key, of) =>
      noting(
        { verb: 'get', resource: 'pods', subresource: 'log', ...placed(key.namespace) },
        cluster.podLog(key, of),
      ),
  };
  return {
    cluster: noted,
    missing: () => [...found.values()],
    rightOf: (thrown: unknown) =>
      typeof thrown === 'object' && thrown !== null ? rights.get(thrown) : undefined,
  };
}

/** As kubectl names a kind: with its group, where it has one. */
function nameOf(resource: ResourceName): string {
  const { apiVersion, plural } = resources[resource];
  const [group, version] = apiVersion.split('/');
  return version === undefined ? plural : `${plural}.${group}`;
}
