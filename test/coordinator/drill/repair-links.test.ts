import t from 'tap';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import { drain } from '../../../coordinator/drill/drain-link.ts';
import type { LinkPast } from '../../../coordinator/drill/links.ts';
import { reboot } from '../../../coordinator/drill/reboot-link.ts';
import { replacement, taint, termination } from '../../../coordinator/drill/repair-links.ts';
import type { ChainLink, LinkStatus } from '../../../coordinator/store/experiment.ts';
import type { NodeEvent, SeenNode } from '../../../coordinator/view/node.ts';
import type { SeenPod } from '../../../coordinator/view/pods-on-node.ts';

const at = '2026-03-04T05:16:07.000Z';
const orderedAt = '2026-03-04T05:06:07.000Z';

function past(over: Partial<LinkPast> = {}): LinkPast {
  return {
    at,
    orderedAt,
    baseline: { at: orderedAt, events: {} },
    isDue: false,
    chain: [],
    earlier: [],
    claimed: new Set(),
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
  t.match(find({ node: nodeOf('g0') }, { isDue: true }), {
    state: 'missed',
    because: /has no taint karpenter.sh/,
  });
  t.match(find({ node: nodeOf('g0', { tainted: true }) }), {
    state: 'reached',
    match: {
      entry: { at, clock: 'coordinator', kind: 'taint', text: 'taint karpenter.sh/disrupted:NoSchedule' },
    },
  });
  t.match(find({ isGone: true }), { state: 'unknown', because: /neither a taint nor an event/ });
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

t.test(
  'taint: a cordon counts in a managed node group only, and a reboot has a taint of its own',
  async (t) => {
    const tainted = (key: string, labels: Readonly<Record<string, string>>): KubeObject => {
      const node = nodeOf('g0');
      const taints = [{ key, effect: 'NoSchedule' }];
      return { ...node, metadata: { ...node.metadata, labels }, spec: { taints } };
    };
    const group = { 'eks.amazonaws.com/nodegroup': 'gpus' };
    const pool = { 'karpenter.sh/nodepool': 'gpu' };
    for (const [key, labels, chain, state] of [
      ['node.kubernetes.io/unschedulable', group, [], 'reached'],
      ['node.kubernetes.io/unschedulable', pool, [], 'missed'],
      ['karpenter.sh/disrupted', group, [], 'missed'],
      ['karpenter.sh/rebooting', pool, ['taint', 'reboot'], 'reached'],
      ['karpenter.sh/rebooting', pool, ['taint', 'termination'], 'missed'],
    ] as const) {
      const node = tainted(key, labels);
      const found = taint.find(link('taint'), seen({ node }), past({ isDue: true, chain }));
      t.match(found, { state }, `${key} ${JSON.stringify(labels)} ${chain.join()}`);
    }
  },
);

t.test('reboot: the same Node on another boot, and Ready', async (t) => {
  const baseline = { at: orderedAt, events: {}, bootId: 'one' };
  const find = (bootID: string | undefined, ready: boolean, over: Partial<LinkPast> = {}) => {
    const node = nodeOf('g0', { ready });
    const status = { ...(node.status as object), nodeInfo: bootID === undefined ? {} : { bootID } };
    return reboot.find(link('reboot'), seen({ node: { ...node, status } }), past({ baseline, ...over }));
  };
  const isDue = true;
  t.equal(find('one', true), undefined);
  t.match(find('two', true), { state: 'reached', match: { entry: { text: /boot id two; it was one/ } } });
  t.equal(find('two', false), undefined, 'it is coming up');
  t.match(find('two', false, { isDue }), { state: 'missed', cause: 'not-ready-again' });
  t.match(find('one', true, { isDue }), { state: 'missed', cause: 'not-rebooted' });
  t.match(find(undefined, true, { isDue }), { state: 'unknown' });
  const earlier = [known('taint', { state: 'waiting' })];
  t.equal(find('two', true, { earlier }), undefined, 'a boot before it is taken is no repair');
  t.match(reboot.find(link('reboot'), seen({ isGone: true }), past({ baseline })), {
    state: 'missed',
    cause: 'replaced-instead',
  });
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
    poolClaims: [],
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
      seen({ isGone: true, owner: { poolNodes, poolClaims: [] } }),
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

const claimOf = (over: Partial<KubeObject['metadata']>, conditions: readonly object[] = []): KubeObject => ({
  apiVersion: 'karpenter.sh/v1',
  kind: 'NodeClaim',
  metadata: { name: 'c1', uid: 'c1', creationTimestamp: '2026-03-04T05:16:03Z', ...over },
  status: { conditions },
});

t.test(
  'replacement: one new node does not stand for two, and its own stamps say when a node was taken',
  async (t) => {
    const earlier = [known('taint', { at: '2026-03-04T05:16:00.000Z' })];
    const poolNodes = [
      nodeOf('n1', { made: '2026-03-04T05:16:05Z' }),
      nodeOf('n2', { made: '2026-03-04T05:16:06Z' }),
    ];
    const find = (claimed: readonly string[]) =>
      replacement.find(
        link('replacement'),
        seen({ isGone: true, owner: { poolNodes, poolClaims: [] } }),
        past({ earlier, claimed: new Set(claimed) }),
      );
    t.match(find([]), { state: 'reached', claims: 'uid-n1' });
    t.match(find(['uid-n1']), { state: 'reached', claims: 'uid-n2' });
    t.equal(find(['uid-n1', 'uid-n2']), undefined);
    const disrupted = claimOf({ name: 'c0', uid: 'c' }, [
      {
        type: 'DisruptionReason',
        status: 'True',
        reason: 'Unhealthy',
        lastTransitionTime: '2026-03-04T05:15:00Z',
      },
    ]);
    const late = replacement.find(
      link('replacement'),
      seen({
        owner: {
          poolNodes: [nodeOf('n1', { made: '2026-03-04T05:15:02Z' })],
          poolClaims: [],
          nodeClaim: disrupted,
        },
      }),
      past({ earlier: [known('taint', { at: '2026-03-04T05:16:07.000Z' })] }),
    );
    t.match(late, { state: 'reached' }, 'the taint was seen a minute late');
  },
);

t.test('what keeps a replacement from coming, by the NodeClaim', async (t) => {
  const find = (
    poolClaims: NonNullable<SeenNode['owner']>['poolClaims'],
    poolNodes: readonly KubeObject[] = [],
  ) =>
    replacement.find(
      link('replacement'),
      seen({ isGone: true, owner: { poolNodes, poolClaims } }),
      past({ earlier: [known('taint', { at: '2026-03-04T05:16:00.000Z' })], isDue: true }),
    );
  const is = (type: string, status: string, message = '') => ({ type, status, reason: 'Why', message });
  const rows = [
    ['no-nodeclaim', find([]), /no NodeClaim either/],
    ['no-nodeclaim', find([claimOf({ creationTimestamp: '2026-03-04T05:00:00Z' })]), /no NodeClaim either/],
    ['no-capacity', find([claimOf({})]), /NodeClaim c1: no condition Launched so far/],
    [
      'no-capacity',
      find([claimOf({}, [is('Launched', 'False', 'no spot')])]),
      /Launched=False \(Why: no spot\)/,
    ],
    [
      'not-registered',
      find([claimOf({}, [is('Launched', 'True'), is('Registered', 'Unknown')])]),
      /Registered=Unknown/,
    ],
    [
      'not-initialized',
      find([claimOf({}, [is('Launched', 'True'), is('Registered', 'True'), is('Initialized', 'Unknown')])]),
      /Initialized=Unknown/,
    ],
    [
      'new-node-not-ready',
      find([], [nodeOf('n1', { made: '2026-03-04T05:16:05Z', ready: false })]),
      /not Ready: n1/,
    ],
  ] as const;
  for (const [cause, finding, because] of rows) t.match(finding, { state: 'missed', cause, because }, cause);
  t.match(find({ unread: 'forbidden' }), { state: 'missed', because: /forbidden/, cause: undefined });
});

t.test('taint: why the node was not taken, where the node shows it', async (t) => {
  const condition = {
    type: 'AcceleratedHardwareReady',
    status: 'False',
    reason: 'NvidiaXID79Error',
    message: '',
  };
  const entry = {
    at,
    clock: 'node',
    kind: 'condition',
    source: '',
    text: '',
    match: true,
    condition,
  } as const;
  const earlier = [known('detection', { entry })];
  const find = (what: Partial<SeenNode>) =>
    taint.find(link('taint'), seen({ node: nodeOf('g0'), ...what }), past({ earlier, isDue: true }));
  const now = { ...condition, lastHeartbeatTime: at, lastTransitionTime: at };
  t.match(find({ conditions: [now] }), { state: 'missed', cause: undefined });
  t.match(find({ conditions: [{ ...now, status: 'True' }] }), {
    state: 'missed',
    cause: 'condition-recovered',
  });
  const rebooting = {
    type: 'Rebooting',
    status: 'True',
    reason: 'RebootIssued',
    message: '',
    lastTransitionTime: at,
  };
  const owner = { poolNodes: [], poolClaims: [], nodeClaim: claimOf({}, [rebooting]) };
  t.match(find({ owner }), { state: 'missed', cause: 'rebooted-instead', because: /RebootIssued/ });
  t.match(find({ isGone: true }), { state: 'unknown', cause: 'removed-by-other' });
});

t.test('termination: what holds it', async (t) => {
  const find = (finalizers: readonly string[], conditions: readonly object[], deletionTimestamp?: string) => {
    const node = nodeOf('g0');
    const metadata = {
      ...node.metadata,
      finalizers,
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    };
    return termination.find(
      link('termination'),
      seen({
        node: { ...node, metadata },
        owner: { poolNodes: [], poolClaims: [], nodeClaim: claimOf({}, conditions) },
      }),
      past({ isDue: true }),
    );
  };
  t.match(find([], []), { state: 'missed', cause: 'repair-undone' });
  t.match(find(['example.com/keep', 'karpenter.sh/termination'], [], at), {
    cause: 'termination-held',
    because: /finalizers example.com\/keep$/,
  });
  t.match(
    find(
      ['karpenter.sh/termination'],
      [{ type: 'VolumesDetached', status: 'False', reason: 'Awaiting' }],
      at,
    ),
    {
      cause: 'termination-held',
      because: /VolumesDetached=False \(Awaiting\)/,
    },
  );
  t.match(find(['karpenter.sh/termination'], [{ type: 'Drained', status: 'True' }], at), {
    cause: 'instance-not-terminated',
  });
});

t.test('drain: each pod, how it left or what holds it', async (t) => {
  const pod = (name: string, over: Partial<SeenPod> = {}): SeenPod => ({
    namespace: 'work',
    name,
    uid: `uid-${name}`,
    labels: {},
    doNotDisrupt: false,
    finalizers: [],
    ...over,
  });
  const pods = ['a', 'b'].map((name) => ({ namespace: 'work', name, uid: `uid-${name}` }));
  const find = (
    what: Partial<SeenNode>,
    over: Partial<LinkPast> = {},
    displaced: typeof pods | null = pods,
  ) =>
    drain.find(
      link('drain'),
      seen(what),
      past({
        baseline: { at: orderedAt, events: {}, ...(displaced === null ? {} : { pods: displaced }) },
        earlier: [known('taint', { at })],
        ...over,
      }),
    );
  const due = { isDue: true };
  t.equal(
    find({ pods: { here: [], left: [] } }, { earlier: [known('taint', { state: 'waiting' })] }),
    undefined,
  );
  t.equal(find({ pods: { here: [pod('b')], left: [pod('a')] } }), undefined, 'one is there');
  t.equal(find({}), undefined, 'not listed so far');
  t.match(find({ pods: { here: [], left: [] } }, {}, []), { state: 'reached' }, 'nothing had to leave');
  const left = [
    pod('a', { disruption: 'EvictionByEvictionAPI', deletedAt: at }),
    pod('b', { deletedAt: at, graceSeconds: 1 }),
  ];
  t.match(find({ pods: { here: [pod('c')], left } }), {
    state: 'reached',
    match: { entry: { text: '2 pods left the node: work/a evicted; work/b deleted with a grace of 1 s' } },
  });
  t.match(find({ pods: { here: [], left: [] } }), {
    match: { entry: { text: /left while it was not watched/ } },
  });
  t.match(find({ isGone: true, pods: { here: [pod('a')], left: [] } }), {
    state: 'reached',
    match: { entry: { text: /work\/a is there, its node is gone/ } },
  });
  const nodeClaim = claimOf({
    annotations: { 'karpenter.sh/nodeclaim-termination-timestamp': '2026-03-04T05:21:00Z' },
  });
  const owner = { poolNodes: [], poolClaims: [], nodeClaim };
  const held = [pod('a', { budgets: ['keep'] }), pod('b', { doNotDisrupt: true, budgets: [] })];
  t.match(find({ owner, pods: { here: held, left: [] } }, due), {
    state: 'missed',
    cause: 'pods-held',
    because:
      '2 pods are still on the node: work/a is held by PodDisruptionBudget keep, which allows no disruption; work/b is held by annotation karpenter.sh/do-not-disrupt; by force at 2026-03-04T05:21:00Z',
  });
  const stuck = [pod('a', { deletedAt: at, graceSeconds: 5, finalizers: ['example.com/keep'] })];
  t.match(find({ pods: { here: stuck, left: [] } }, due), {
    cause: 'pods-terminating',
    because: /terminating, due at .*, grace 5 s, finalizers example.com\/keep; no time is set/,
  });
  t.match(find({ pods: { here: [pod('a', { budgets: { unread: 'no' } })], left: [] } }, due), {
    because: /PodDisruptionBudgets could not be read/,
  });
  t.match(find({ pods: { unread: 'forbidden' } }, due), { state: 'unknown', because: 'forbidden' });
  t.match(find({ isGone: true }), { state: 'unknown', because: /pods were not seen/ });
  t.match(find({ pods: { here: [], left: [] } }, due, null), { state: 'unknown' });
});
