import t from 'tap';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import type { LinkPast } from '../../../coordinator/drill/links.ts';
import { replacement, taint, termination } from '../../../coordinator/drill/repair-links.ts';
import type { ChainLink, LinkStatus } from '../../../coordinator/store/experiment.ts';
import type { NodeEvent, SeenNode } from '../../../coordinator/view/node.ts';

const at = '2026-03-04T05:16:07.000Z';
const orderedAt = '2026-03-04T05:06:07.000Z';

function past(over: Partial<LinkPast> = {}): LinkPast {
  return {
    at,
    orderedAt,
    baseline: { at: orderedAt, events: {} },
    isDue: false,
    earlier: [],
    others: [],
    ...over,
  };
}

function nodeOf(
  name: string,
  over: { uid?: string; made?: string; ready?: boolean; tainted?: boolean } = {},
): KubeObject {
  const { uid = `uid-${name}`, made = orderedAt, ready = true, tainted = false } = over;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, uid, creationTimestamp: made },
    spec: tainted ? { taints: [{ key: 'karpenter.sh/disrupted', effect: 'NoSchedule' }] } : {},
    status: { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

function seen(over: Partial<SeenNode> = {}): SeenNode {
  return { conditions: [], events: [], isGone: false, ...over };
}

const link = (name: string): ChainLink => ({ id: name, link: name, role: 'fault', expected: '' });
const known = (name: string, over: Partial<LinkStatus>): LinkStatus => ({
  id: name,
  link: name,
  state: 'reached',
  expected: '',
  evidence: [],
  ...over,
});

const expiring: NodeEvent = {
  uid: 'e1',
  node: 'g0',
  type: 'Warning',
  reason: 'TerminationGracePeriodExpiring',
  message: 'All pods will be deleted by 2026-03-04T05:16:00Z',
  count: 1,
  source: 'karpenter',
  firstTimestamp: '2026-03-04T05:16:00Z',
  lastTimestamp: '2026-03-04T05:16:00Z',
};

t.test('taint: on the node itself; of a node that is gone by Karpenter’s own event only', async (t) => {
  const find = (what: Partial<SeenNode>, over?: Partial<LinkPast>) =>
    taint.find(link('taint'), seen(what), past(over));
  t.equal(find({ node: nodeOf('g0') }), undefined);
  t.match(find({ node: nodeOf('g0') }, { isDue: true }), { state: 'missed', because: /no such taint/ });
  t.match(find({ node: nodeOf('g0', { tainted: true }) }), {
    state: 'reached',
    match: {
      entry: { at, clock: 'coordinator', kind: 'taint', text: 'taint karpenter.sh/disrupted:NoSchedule' },
    },
  });
  t.match(find({ isGone: true }), { state: 'unknown', because: /its taint was not seen/ });
  t.match(
    find({ isGone: true, node: nodeOf('g0', { uid: 'other', tainted: true }) }),
    { state: 'unknown' },
    'of another node',
  );
  t.match(find({ isGone: true, events: [expiring] }), {
    state: 'reached',
    match: { entry: { kind: 'event' } },
  });
  t.match(
    find({ isGone: true, events: [{ ...expiring, lastTimestamp: '2026-03-04T05:00:00Z' }] }),
    { state: 'unknown' },
    'an event from before the order is of something else',
  );
  t.match(
    find({ isGone: true, events: [{ ...expiring, source: 'kubelet' }] }),
    { state: 'unknown' },
    'not Karpenter',
  );
});

t.test('termination: Node and NodeClaim, by their uids', async (t) => {
  const find = (what: Partial<SeenNode>, over?: Partial<LinkPast>) =>
    termination.find(link('termination'), seen(what), past(over));
  const claim: KubeObject = {
    apiVersion: 'karpenter.sh/v1',
    kind: 'NodeClaim',
    metadata: { name: 'c0', uid: 'c' },
  };
  const owner = (nodeClaim: NonNullable<SeenNode['owner']>['nodeClaim']) => ({
    poolNodes: [],
    ...(nodeClaim === undefined ? {} : { nodeClaim }),
  });
  t.equal(find({ node: nodeOf('g0'), owner: owner('gone') }), undefined, 'the Node is there');
  t.equal(find({ isGone: true, owner: owner(claim) }), undefined, 'the NodeClaim is there');
  t.match(find({ isGone: true, owner: owner('gone') }), { state: 'reached', match: { how: 'no such Node' } });
  t.match(find({ isGone: true, node: nodeOf('g0', { uid: 'other' }), owner: owner('gone') }), {
    state: 'reached',
    match: { how: /another Node has its name/ },
  });
  t.match(find({ isGone: true, owner: owner(undefined) }), { state: 'reached' }, 'it came from no NodeClaim');
  t.match(find({ isGone: true, owner: owner({ unread: 'forbidden' }) }, { isDue: true }), {
    state: 'unknown',
    because: 'the Node is gone; forbidden',
  });
  t.match(find({ isGone: true, owner: owner(claim) }, { isDue: true }), {
    state: 'missed',
    because: /NodeClaim c0 is there, and nobody deletes it/,
  });
  const deleting = { ...nodeOf('g0'), metadata: { ...nodeOf('g0').metadata, deletionTimestamp: at } };
  t.match(find({ node: deleting }, { isDue: true }), {
    state: 'missed',
    because: /being deleted since 2026/,
  });
});

t.test('replacement: a Ready node of the pool that was made after the taint', async (t) => {
  const find = (poolNodes: readonly KubeObject[], over: Partial<LinkPast> = {}) =>
    replacement.find(
      link('replacement'),
      seen({ isGone: true, owner: { poolNodes } }),
      past({ earlier: [known('taint', { at: '2026-03-04T05:16:00.000Z' })], ...over }),
    );
  const late = { made: '2026-03-04T05:16:05Z' };
  t.equal(find([nodeOf('old')]), undefined, 'one that was there');
  t.equal(find([nodeOf('new', { ...late, ready: false })]), undefined, 'one that is not Ready');
  t.match(find([nodeOf('old'), nodeOf('new', late)]), {
    state: 'reached',
    match: { entry: { text: /node new \(uid uid-new\) is Ready/ } },
  });
  t.equal(
    find([nodeOf('scaled', { made: '2026-03-04T05:10:00Z' })]),
    undefined,
    'one that the pool gained for another reason, before the taint',
  );
  t.equal(
    find([nodeOf('new', late)], { earlier: [known('taint', { state: 'waiting' })] }),
    undefined,
    'not taken yet',
  );
  t.match(find([nodeOf('old')], { isDue: true }), {
    state: 'missed',
    because: /no Node that was made since/,
  });
  t.match(find([nodeOf('new', { ...late, ready: false })], { isDue: true }), {
    state: 'missed',
    because: 'new and not Ready: new',
  });
  // Its taint was not seen: the order is all that is known to be before.
  const unseen = [known('taint', { state: 'unknown', at })];
  t.match(find([nodeOf('new', { made: '2026-03-04T05:12:00Z' })], { earlier: unseen }), { state: 'reached' });
});
