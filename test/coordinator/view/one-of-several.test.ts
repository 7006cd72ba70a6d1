import t from 'tap';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import { createNmaFacts } from '../../../coordinator/view/nma-facts.ts';
import { runningDeployment } from '../../../coordinator/view/one-of-several.ts';
import { projectPod, projectWorkload } from '../../../coordinator/view/projections.ts';

const nma = 'eks-node-monitoring-agent';

/** A pod of NMA as the API server has it, then as the view keeps it. */
const pod = (name: string, over: { metadata?: object; spec?: object; status?: object } = {}) =>
  projectPod({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'kube-system',
      creationTimestamp: '2026-11-30T00:00:00Z',
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name: nma, uid: 'd', controller: true }],
      ...over.metadata,
    },
    spec: { nodeName: 'n1', containers: [{ name: nma, image: `x/${nma}:v1.7.2` }], ...over.spec },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], ...over.status },
  } as KubeObject);

const daemonSet = (name: string, tag: string, namespace = 'kube-system') =>
  projectWorkload({
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name, namespace },
    spec: { template: { spec: { containers: [{ name: nma, image: `x/${nma}:${tag}` }] } } },
  } as KubeObject);

async function factsOf(pods: readonly KubeObject[], daemonSets: readonly KubeObject[] = []) {
  const read = createNmaFacts({
    cluster: { read: async () => undefined, podLog: async () => undefined },
    view: {
      all: (kind) => (kind === 'nmaDaemonSets' ? daemonSets : []),
      podsOf: (kind) => (kind === 'nmaPods' ? pods : []),
      unread: () => undefined,
    },
    shared: (_key, answer) => answer(),
  });
  const node: KubeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } };
  return read(node, false);
}

const unready = { conditions: [{ type: 'Ready', status: 'False' }] };
const deleted = { deletionTimestamp: '2026-11-30T01:00:00Z' };

t.test(
  'of several pods of NMA on a node the one that serves counts, in whatever order they come',
  async (t) => {
    const rows: readonly (readonly [why: string, serves: KubeObject, others: readonly KubeObject[]])[] = [
      [
        'an evicted one stays as an object',
        pod('now'),
        [pod('evicted', { status: { phase: 'Failed', reason: 'Evicted', ...unready } })],
      ],
      [
        'an update: the old one still runs and is being deleted',
        pod('new', { status: { phase: 'Pending', ...unready } }),
        [pod('old', { metadata: deleted })],
      ],
      ['a second installation that is not ready', pod('ready'), [pod('other', { status: unready })]],
      [
        'both ready: the newer one',
        pod('b', { metadata: { creationTimestamp: '2026-11-30T02:00:00Z' } }),
        [pod('a')],
      ],
      [
        'none serves: the one that nobody deletes',
        pod('waits', { status: { phase: 'Pending', ...unready } }),
        [pod('done', { status: { phase: 'Succeeded', ...unready } }), pod('goes', { metadata: deleted })],
      ],
    ];
    for (const [why, serves, others] of rows)
      for (const pods of [
        [serves, ...others],
        [...others, serves],
      ])
        t.equal((await factsOf(pods)).pod?.name, serves.metadata.name, why);
    t.equal((await factsOf([])).pod, undefined);
  },
);

t.test('the DaemonSet is that of the pod, and the version that of its container', async (t) => {
  const owned = (name: string) => ({
    metadata: {
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'DaemonSet', name, uid: 'd', controller: true }],
    },
  });
  const both = [daemonSet('old-release', 'v1.4.3'), daemonSet('helm-nma', 'v1.6.4')];
  const facts = await factsOf([pod('p', owned('helm-nma'))], both);
  t.match(facts, { daemonSet: { name: 'helm-nma' }, version: { row: { version: '1.7.2' } } }, 'renamed');
  t.match(await factsOf([], both), { daemonSet: { name: 'old-release' } }, 'no pod: the first');
  const elsewhere = [daemonSet(nma, 'v1.4.3', 'other'), daemonSet(nma, 'v1.6.4')];
  t.match(await factsOf([pod('p')], elsewhere), { daemonSet: { namespace: 'kube-system' } });

  // A mesh puts its container first; the kubelet sorts the statuses by name.
  const meshed = await factsOf([
    pod('p', {
      spec: {
        containers: [
          { name: 'a-proxy', image: 'mesh:1.9.9' },
          { name: nma, image: `x/${nma}:v1.6.4` },
        ],
      },
      status: {
        containerStatuses: [
          { name: 'a-proxy', restartCount: 0, state: { running: { startedAt: '2026-11-30T00:00:00Z' } } },
          { name: nma, restartCount: 7, state: { waiting: { reason: 'CrashLoopBackOff' } } },
        ],
      },
    }),
  ]);
  t.match(meshed, {
    pod: { image: /v1\.6\.4$/, restarts: 7, reason: 'CrashLoopBackOff' },
    version: { row: { version: '1.6.4' } },
  });
});

t.test('of several Deployments one that runs', async (t) => {
  const deployment = (name: string, spec: object, status: object) =>
    ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec, status }) as KubeObject;
  const old = deployment('old', { replicas: 0 }, { readyReplicas: 0 });
  const runs = deployment('runs', { replicas: 2 }, { readyReplicas: 2 });
  const starts = deployment('starts', { replicas: 2 }, {});
  for (const [all, name] of [
    [[old, runs], 'runs'],
    [[runs, old], 'runs'],
    [[old, starts], 'starts'],
    [[starts, runs], 'runs'],
    [[old], 'old'],
    [[], undefined],
  ] as const)
    t.equal(runningDeployment(all)?.metadata.name, name);
});
