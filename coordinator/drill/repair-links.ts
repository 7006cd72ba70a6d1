import { isoFromMillis } from '../../shared/clock.ts';
import type { KubeObject } from '../cluster/port.ts';
import { isUnread } from '../view/facts.ts';
import {
  conditionsOf,
  groupOf,
  isReady,
  list,
  type NodeEvent,
  poolOf,
  type SeenNode,
  type SeenOwner,
  text,
} from '../view/node.ts';
import { isOlder } from './judge.ts';
import type { Finding, LinkPast, LinkRow } from './links.ts';
import { onRequest, reached, watched } from './watched.ts';

/** What follows detection where Karpenter or a managed node group owns the node: it is taken, goes, and another one comes. */

/** Karpenter's taint on a node that it takes out of service, in all versions (karpenter.md §4). It never cordons. */
export const disruptedTaint = 'karpenter.sh/disrupted';

/** A managed node group cordons; the node lifecycle controller makes this taint of it (pkg/controller/nodelifecycle). */
const cordonTaint = 'node.kubernetes.io/unschedulable';

/** While it reboots a node, from 1.15 on (karpenter.md §4). */
const rebootingTaint = 'karpenter.sh/rebooting';

/** Karpenter's own, on its Nodes and NodeClaims (karpenter pkg/apis/v1/labels.go). */
const terminationFinalizer = 'karpenter.sh/termination';

/** Karpenter's events on a Node that it has begun to terminate: up to 1.14 the first, from 1.15 on both (karpenter.md §4). */
const takingReasons: readonly string[] = ['TerminationGracePeriodExpiring', 'DisruptionTerminating'];

/** The API server stamps objects, and the coordinator's clock may differ from its by so much. */
const skewMs = 30_000;

/** 30 min is Karpenter's longest wait for a condition of NMA, and 1.15 looks every 10 s (karpenter.md §2). */
const longestTaintSeconds = 35 * 60;
/** The longest bound of a drain is 10 min, and then the instance has to be terminated (karpenter.md §2, §4). */
const longestTerminationSeconds = 20 * 60;
/** Karpenter gives a node up that has not registered within 15 min (karpenter.md §4). */
const longestReplacementSeconds = 15 * 60;

/** The controller takes the node out of service. */
export const taint: LinkRow = {
  ...watched,
  name: 'taint',
  title: 'the repair controller takes the node out of service',
  usualSeconds: longestTaintSeconds,
  endsSustained: true,
  plan: onRequest('taint', `the node has the taint of its controller: ${disruptedTaint}, or ${cordonTaint}`),
  find(_link, seen, past) {
    const { node, isGone } = seen;
    const found = isGone
      ? undefined
      : list(node, 'spec', 'taints').find((one) => takingTaints(seen, past).includes(text(one, 'key') ?? ''));
    if (found !== undefined) {
      const shown = `taint ${text(found, 'key') ?? ''}:${text(found, 'effect') ?? ''}`;
      return reached(past, { kind: 'taint', source: 'spec.taints', text: shown }, 'a new taint on the node');
    }
    if (!isGone) return past.isDue ? untainted(seen, past) : undefined;
    const event = takingEvent(seen, past);
    if (event === undefined)
      return {
        state: 'unknown',
        because: 'the node is gone, and neither a taint nor an event of its controller on it was seen',
        cause: 'removed-by-other',
      };
    return reached(
      past,
      {
        kind: 'event',
        source: `events/default involvedObject=Node/${event.node} reason=${event.reason}`,
        text: `${event.reason} "${event.message}" at ${event.lastTimestamp ?? 'an unknown time'}`,
      },
      'Karpenter’s event on the node, which is gone: its taint itself was not seen',
    );
  },
};

/** Taints by which a controller takes such a node, the first one that which is usual. */
function takingTaints({ node }: SeenNode, { chain }: Pick<LinkPast, 'chain'>): readonly string[] {
  if (node !== undefined && poolOf(node) === undefined && groupOf(node) !== undefined) return [cordonTaint];
  return chain.includes('reboot') ? [disruptedTaint, rebootingTaint] : [disruptedTaint];
}

/** Why the node was not taken, where the node itself shows it; otherwise the rules on the controller say it. */
function untainted(seen: SeenNode, past: LinkPast): Finding {
  const { conditions, owner, node } = seen;
  const { earlier, orderedAt } = past;
  const [usual] = takingTaints(seen, past);
  const missed = { state: 'missed', because: `the node has no taint ${usual}` } as const;
  const claim = owner?.nodeClaim;
  const rebooting =
    typeof claim === 'object' && !isUnread(claim)
      ? conditionsOf(claim).find(
          ({ type, lastTransitionTime }) => type === 'Rebooting' && !isOlder(lastTransitionTime, orderedAt),
        )
      : undefined;
  if (
    rebooting !== undefined ||
    list(node, 'spec', 'taints').some((one) => text(one, 'key') === rebootingTaint)
  ) {
    const shown = `Rebooting=${rebooting?.status ?? 'True'}, ${rebooting?.reason ?? ''}: ${rebooting?.message ?? ''}`;
    return { ...missed, because: `Karpenter reboots the node instead: ${shown}`, cause: 'rebooted-instead' };
  }
  const turned = earlier.find(({ entry }) => entry?.condition !== undefined)?.entry?.condition?.type;
  const now = conditions.find(({ type }) => type === turned);
  if (now?.status !== 'True') return missed;
  const since = `${now.type} is True again since ${now.lastTransitionTime ?? 'an unknown time'}`;
  return { ...missed, because: `${since}, before the repair was due`, cause: 'condition-recovered' };
}

function takingEvent({ events }: SeenNode, { orderedAt }: LinkPast): NodeEvent | undefined {
  return events.find(
    ({ source, reason, lastTimestamp }) =>
      source === 'karpenter' && takingReasons.includes(reason) && !isOlder(lastTimestamp ?? '', orderedAt),
  );
}

/** The Node is gone, and its NodeClaim: the instance is terminated. That the node vanishes fulfils it. */
export const termination: LinkRow = {
  ...watched,
  name: 'termination',
  title: 'the node and its NodeClaim go',
  usualSeconds: longestTerminationSeconds,
  plan: onRequest('termination', 'the Node (by its uid) is gone, and its NodeClaim where it has one'),
  find(_link, { isGone, node, owner }, past) {
    const nodeClaim = owner?.nodeClaim;
    if (isGone && (nodeClaim === undefined || nodeClaim === 'gone')) {
      const shown = nodeClaim === undefined ? 'the Node is gone' : 'the Node and its NodeClaim are gone';
      const how = node === undefined ? 'no such Node' : 'another Node has its name, with another uid';
      return reached(past, { kind: 'node', source: 'metadata.uid', text: shown }, how);
    }
    if (!past.isDue) return undefined;
    if (!isGone) return remaining('the Node', node, nodeClaim);
    if (typeof nodeClaim !== 'object') return { state: 'missed' };
    return isUnread(nodeClaim)
      ? { state: 'unknown', because: `the Node is gone; ${nodeClaim.unread}` }
      : remaining(`the Node is gone, its NodeClaim ${nodeClaim.metadata.name}`, nodeClaim, nodeClaim);
  },
};

/** Why what should be gone is there. */
function remaining(what: string, object: KubeObject | undefined, nodeClaim: SeenOwner['nodeClaim']): Finding {
  const since = object?.metadata.deletionTimestamp;
  if (since === undefined)
    return { state: 'missed', because: `${what} is there, and nobody deletes it`, cause: 'repair-undone' };
  const there = `${what} is there, being deleted since ${since}`;
  const finalizers = list(object?.metadata, 'finalizers').map(String);
  const foreign = finalizers.filter((one) => one !== terminationFinalizer);
  if (foreign.length > 0)
    return {
      state: 'missed',
      because: `${there}; finalizers ${foreign.join(', ')}`,
      cause: 'termination-held',
    };
  const claim = typeof nodeClaim === 'object' && !isUnread(nodeClaim) ? nodeClaim : undefined;
  const shown =
    claim === undefined ? [] : openConditions(claim, ['Drained', 'VolumesDetached', 'InstanceTerminating']);
  const [first] = shown;
  return {
    state: 'missed',
    because: first === undefined ? there : `${there}; ${shown.join('; ')}`,
    cause: first === undefined ? 'instance-not-terminated' : 'termination-held',
  };
}

/** Conditions of a NodeClaim that are there and not True, in the order of a life (karpenter.md §4). */
function openConditions(claim: KubeObject, types: readonly string[]): readonly string[] {
  const conditions = conditionsOf(claim);
  return types.flatMap((wanted) => {
    const found = conditions.find(({ type }) => type === wanted);
    return found === undefined || found.status === 'True'
      ? []
      : [`${wanted}=${found.status} (${found.reason}${found.message === '' ? '' : `: ${found.message}`})`];
  });
}

/**
 * A Node of the same pool that was made after the drilled one was taken, and is Ready. No field links it to the old one
 * (karpenter.md §6), so that each new Node stands for one drilled node only.
 */
export const replacement: LinkRow = {
  ...watched,
  name: 'replacement',
  title: 'a new node of the same pool is Ready',
  usualSeconds: longestReplacementSeconds,
  plan: onRequest('replacement', 'a new Node of the same NodePool or node group is Ready'),
  find(_link, seen, past) {
    const { owner } = seen;
    const taken = past.earlier.find(({ link }) => link === 'taint');
    // A node that comes before is not for this one.
    if (taken?.state === 'waiting') return undefined;
    const takenAt = takenMs(seen, past, taken?.state === 'reached' ? taken.at : undefined);
    // Compared as text, as the API server writes it: a pool has a thousand nodes, and each of its changes is looked at for each drill.
    const from = Number.isNaN(takenAt) ? undefined : isoFromMillis(takenAt - skewMs);
    const isNew = (object: KubeObject) => from !== undefined && creation(object) >= from;
    const made = (owner?.poolNodes ?? []).filter(
      (node) => isNew(node) && !past.claimed.has(node.metadata.uid ?? ''),
    );
    const ready = made
      .filter((node) => isReady(node) && node.metadata.deletionTimestamp === undefined)
      .toSorted((left, right) => creation(left).localeCompare(creation(right)))[0];
    if (ready !== undefined) {
      const { name, uid = '' } = ready.metadata;
      const shown = `node ${name} (uid ${uid}) is Ready, made at ${creation(ready)}`;
      const finding = reached(
        past,
        { kind: 'node', source: `nodes/${name}`, text: shown },
        'a new node of the pool',
      );
      return { ...finding, claims: uid };
    }
    return past.isDue ? notReplaced(owner, made, isNew) : undefined;
  },
};

/**
 * When Karpenter took the node: by its own stamps where they are seen, for the taint itself has none and may be seen late, as
 * after a restart. NaN: not known.
 */
function takenMs(seen: SeenNode, past: LinkPast, seenAt: string | undefined): number {
  const claim = seen.owner?.nodeClaim;
  const disruption =
    typeof claim === 'object' && !isUnread(claim)
      ? conditionsOf(claim).find(({ type, status }) => type === 'DisruptionReason' && status === 'True')
      : undefined;
  const stamps = [disruption?.lastTransitionTime, takingEvent(seen, past)?.firstTimestamp, seenAt]
    .map((stamp) => Date.parse(stamp ?? ''))
    .filter((time) => !Number.isNaN(time) && time >= Date.parse(past.orderedAt ?? '') - skewMs);
  return stamps.length === 0 ? Date.parse(past.orderedAt ?? '') : Math.min(...stamps);
}

function creation({ metadata }: KubeObject): string {
  return metadata.creationTimestamp ?? '';
}

/** How far the replacement came: no NodeClaim, none launched, registered, initialized, or Ready. */
function notReplaced(
  owner: SeenOwner | undefined,
  made: readonly KubeObject[],
  isNew: (object: KubeObject) => boolean,
): Finding {
  if (made.length > 0) {
    const names = made.map(({ metadata }) => metadata.name).join(', ');
    return { state: 'missed', because: `new and not Ready: ${names}`, cause: 'new-node-not-ready' };
  }
  const none = 'the pool has no Node that was made since';
  const claims = owner?.poolClaims ?? [];
  if (isUnread(claims)) return { state: 'missed', because: `${none}; ${claims.unread}` };
  const [claim] = claims.filter(isNew);
  if (claim === undefined)
    return { state: 'missed', because: `${none}, and no NodeClaim either`, cause: 'no-nodeclaim' };
  for (const [type, cause] of claimSteps) {
    const [open] = openConditions(claim, [type]);
    const isThere = conditionsOf(claim).some((condition) => condition.type === type);
    if (open === undefined && isThere) continue;
    const because = `${none}; NodeClaim ${claim.metadata.name}: ${open ?? `no condition ${type} so far`}`;
    return { state: 'missed', because, cause };
  }
  return { state: 'missed', because: none };
}

/** A NodeClaim's conditions in the order of its life (karpenter pkg/apis/v1/nodeclaim_status.go). */
const claimSteps = [
  ['Launched', 'no-capacity'],
  ['Registered', 'not-registered'],
  ['Initialized', 'not-initialized'],
] as const;
