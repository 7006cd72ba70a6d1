import type { KubeObject } from '../cluster/port.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import { isUnread } from '../view/facts.ts';
import { isReady, list, type NodeEvent, type SeenNode, text } from '../view/node.ts';
import { isOlder, type Match } from './judge.ts';
import type { Finding, LinkPast, LinkPlanInput, LinkRow } from './links.ts';

/** What follows detection where Karpenter owns the node (karpenter.md §4): it is taken, goes, and another one comes. */

/** Karpenter's taint on a node that it takes out of service, in all versions (karpenter.md §4). It never cordons. */
export const disruptedTaint = 'karpenter.sh/disrupted';

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

type Planned = ReturnType<LinkRow['plan']>;

function onRequest(name: string, expected: string): (input: LinkPlanInput) => Planned {
  return ({ asked }) =>
    asked.repair === 'expect' || asked.then?.some(({ link }) => link === name) === true
      ? [{ id: name, expected }]
      : [];
}

const watched = { phase: 'Repairing', by: 'watch', onRequest: true, endsWithNode: false } as const;

/** The controller takes the node out of service. */
export const taint: LinkRow = {
  ...watched,
  name: 'taint',
  title: 'the repair controller takes the node out of service',
  usualSeconds: longestTaintSeconds,
  plan: onRequest('taint', `the node has taint ${disruptedTaint}`),
  find(_link, seen, past) {
    const { node, isGone } = seen;
    const found = isGone
      ? undefined
      : list(node, 'spec', 'taints').find((one) => text(one, 'key') === disruptedTaint);
    if (found !== undefined) {
      const shown = `taint ${disruptedTaint}:${text(found, 'effect') ?? ''}`;
      return reached(past, { kind: 'taint', source: 'spec.taints', text: shown }, 'a new taint on the node');
    }
    if (!isGone) return past.isDue ? { state: 'missed', because: 'the node has no such taint' } : undefined;
    const event = takingEvent(seen, past);
    if (event === undefined)
      return { state: 'unknown', because: 'the node is gone, and its taint was not seen' };
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
  plan: onRequest('termination', 'the Node (by its uid) and its NodeClaim are gone'),
  find(_link, { isGone, node, owner }, past) {
    const nodeClaim = owner?.nodeClaim;
    if (isGone && (nodeClaim === undefined || nodeClaim === 'gone')) {
      const shown = nodeClaim === undefined ? 'the Node is gone' : 'the Node and its NodeClaim are gone';
      const how = node === undefined ? 'no such Node' : 'another Node has its name, with another uid';
      return reached(past, { kind: 'node', source: 'metadata.uid', text: shown }, how);
    }
    if (!past.isDue) return undefined;
    if (!isGone) return { state: 'missed', because: `the Node is there${deletion(node)}` };
    if (typeof nodeClaim !== 'object') return { state: 'missed' };
    return isUnread(nodeClaim)
      ? { state: 'unknown', because: `the Node is gone; ${nodeClaim.unread}` }
      : {
          state: 'missed',
          because: `the Node is gone, its NodeClaim ${nodeClaim.metadata.name} is there${deletion(nodeClaim)}`,
        };
  },
};

function deletion(object: KubeObject | undefined): string {
  const since = object?.metadata.deletionTimestamp;
  return since === undefined ? ', and nobody deletes it' : `, being deleted since ${since}`;
}

/**
 * A Node of the same pool that was made after the drilled one was taken, and is Ready. No field links it to the old one
 * (karpenter.md §6), so that in a drill of several nodes of a pool one new Node may stand for two.
 */
export const replacement: LinkRow = {
  ...watched,
  name: 'replacement',
  title: 'a new node of the same pool is Ready',
  usualSeconds: longestReplacementSeconds,
  plan: onRequest('replacement', 'a new Node of the same NodePool is Ready'),
  find(_link, { owner }, past) {
    const taken = past.earlier.find(({ link }) => link === 'taint');
    // A node that comes before is not for this one.
    if (taken?.state === 'waiting') return undefined;
    const takenAt = Date.parse((taken?.state === 'reached' ? taken.at : past.orderedAt) ?? '');
    const made = (owner?.poolNodes ?? []).filter(
      ({ metadata }) => Date.parse(metadata.creationTimestamp ?? '') >= takenAt - skewMs,
    );
    const ready = made.find((node) => isReady(node) && node.metadata.deletionTimestamp === undefined);
    if (ready !== undefined) {
      const { name, uid = '', creationTimestamp = '' } = ready.metadata;
      const shown = `node ${name} (uid ${uid}) is Ready, made at ${creationTimestamp}`;
      return reached(past, { kind: 'node', source: `nodes/${name}`, text: shown }, 'a new node of the pool');
    }
    if (!past.isDue) return undefined;
    const names = made.map(({ metadata }) => metadata.name);
    const because =
      names.length === 0
        ? 'the pool has no Node that was made since'
        : `new and not Ready: ${names.join(', ')}`;
    return { state: 'missed', because };
  },
};

function reached(
  { at }: LinkPast,
  shown: Pick<TimelineEntry, 'kind' | 'source' | 'text'>,
  how: string,
): Finding {
  const entry: TimelineEntry = { at, clock: 'coordinator', match: true, ...shown };
  const match: Match = { entry, source: shown.source, how };
  return { state: 'reached', match };
}
