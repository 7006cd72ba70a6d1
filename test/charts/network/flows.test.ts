import t from 'tap';
import { findHelm } from '../helm.ts';
import { at, objectsIn, only, type Rendered, release, template } from '../render.ts';
import { type Endpoint, type Flow, judge, type Labels, type Policy, partsOf } from './policy-model.ts';

/** `coordinator → agent:9475`, TCP unless it ends in /UDP. */
type Arrow = `${string} → ${string}:${number}` | `${string} → ${string}:${number}/UDP`;

/** One way to install, and what may then connect to what. */
type Row = {
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** What the product needs there. Every part of every rule has to be needed by one of them. */
  readonly needed: readonly Arrow[];
  /** What is open without being needed, and why it is not closed. */
  readonly open?: Readonly<Record<Arrow, string>>;
  readonly denied: readonly Arrow[];
};

const needed: readonly Arrow[] = [
  'coordinator → agent:9475',
  'coordinator → API server:443',
  'coordinator → API server:6443',
  'agent → API server:443',
  'agent → API server:6443',
  'node of agent → agent:9475',
  'node of coordinator → coordinator:8475',
];
/** Who may reach the coordinator where no peers are named: whoever shows a token. */
const callers: readonly Arrow[] = [
  'test → coordinator:8475',
  'Prometheus → coordinator:8475',
  'ingress controller → coordinator:8475',
  'API server → coordinator:8475',
];
const addressUnknown = 'the address of the API server is not known';
const open: Row['open'] = {
  'agent → internet:443': addressUnknown,
  'coordinator → internet:443': addressUnknown,
  'coordinator → stranger:443': addressUnknown,
};
const denied: readonly Arrow[] = [
  'stranger → agent:9475',
  'impostor → agent:9475',
  'coordinator of another release → agent:9475',
  'ingress controller → agent:9475',
  'test → agent:9475',
  'other agent → agent:9475',
  'node of coordinator → agent:9475',
  'API server → agent:9475',
  'internet → agent:9475',
  'coordinator → agent:22',
  'coordinator → agent:5555',
  'stranger → coordinator:22',
  'agent → internet:80',
  'agent → metadata:80',
  'agent → coordinator:8475',
  'agent → other agent:9475',
  'agent → DNS:53/UDP',
  'agent → stranger:8080',
  'coordinator → internet:80',
  'coordinator → metadata:80',
  'coordinator → stranger:8080',
  'coordinator → stranger:9475',
  'coordinator → impostor agent:9475',
  'coordinator → DNS:53/UDP',
  'coordinator → DNS:53',
];
const scrape: Arrow = 'Prometheus → agent:9475';
const ranges = { 'networkPolicy.apiServer.cidrs': ['10.0.0.0/24'] };
const monitoring = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } };
const ingress = {
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress-nginx' } },
  podSelector: { matchLabels: { app: 'ingress' } },
};
const dns = {
  to: [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }],
  ports: [
    { port: 53, protocol: 'UDP' },
    { port: 53, protocol: 'TCP' },
  ],
};
const without = (list: readonly Arrow[], ...out: readonly Arrow[]) =>
  list.filter((arrow) => !out.includes(arrow));

const rows: readonly Row[] = [
  {
    name: 'the defaults',
    values: {},
    needed: [...needed, ...callers],
    open: {
      ...open,
      'stranger → coordinator:8475': 'callers are not named',
      'internet → coordinator:8475': 'callers are not named',
    },
    denied: [...denied, scrape],
  },
  {
    name: 'the ranges of the API server are named',
    values: ranges,
    needed: [...needed, ...callers],
    denied: [
      ...denied,
      'agent → internet:443',
      'agent → stranger:443',
      'agent → metadata:443',
      'coordinator → internet:443',
      'coordinator → stranger:443',
      'coordinator → metadata:443',
    ],
  },
  {
    name: 'Prometheus, an ingress controller and the API server’s proxy are named',
    values: {
      ...ranges,
      'agent.podMonitor.enabled': true,
      'agent.networkPolicy.extraFrom': [monitoring],
      'coordinator.serviceMonitor.enabled': true,
      'coordinator.networkPolicy.from': [monitoring, ingress, { ipBlock: { cidr: '10.0.0.0/24' } }],
    },
    needed: [...needed, ...callers, scrape],
    denied: [
      ...denied,
      'stranger → coordinator:8475',
      'impostor → coordinator:8475',
      'internet → coordinator:8475',
      'agent → internet:443',
    ],
  },
  {
    name: 'callers are named, and there is no helm test',
    values: { ...ranges, 'tests.enabled': false, 'coordinator.networkPolicy.from': [monitoring] },
    needed: [...needed, 'Prometheus → coordinator:8475'],
    denied: [
      ...denied,
      'test → coordinator:8475',
      'stranger → coordinator:8475',
      'API server → coordinator:8475',
      'ingress controller → coordinator:8475',
    ],
  },
  {
    name: 'names are resolved',
    values: {
      ...ranges,
      'agent.networkPolicy.extraEgress': [dns],
      'coordinator.networkPolicy.extraEgress': [dns],
    },
    needed: [
      ...needed,
      ...callers,
      'agent → DNS:53/UDP',
      'agent → DNS:53',
      'coordinator → DNS:53/UDP',
      'coordinator → DNS:53',
    ],
    denied: [
      ...without(denied, 'agent → DNS:53/UDP', 'coordinator → DNS:53/UDP', 'coordinator → DNS:53'),
      'agent → internet:53/UDP',
      'coordinator → stranger:53/UDP',
    ],
  },
  {
    name: 'other ports',
    values: {
      ...ranges,
      'agent.port': 10475,
      'coordinator.port': 8000,
      'networkPolicy.apiServer.ports': [8443],
    },
    needed: [
      'coordinator → agent:10475',
      'coordinator → API server:8443',
      'agent → API server:8443',
      'test → coordinator:8000',
    ],
    denied: [
      ...denied,
      'coordinator → agent:9475',
      'coordinator → API server:443',
      'agent → API server:6443',
      'stranger → agent:10475',
      'test → coordinator:8475',
    ],
  },
  {
    name: 'an API server of IPv6',
    values: { 'networkPolicy.apiServer.cidrs': ['fd00:10::/64'], 'networkPolicy.apiServer.ports': [443] },
    needed: [
      'coordinator → agent:9475',
      'coordinator → API server of IPv6:443',
      'agent → API server of IPv6:443',
      'test → coordinator:8475',
    ],
    denied: [...denied, 'coordinator → API server:443', 'agent → internet:443'],
  },
  {
    name: 'the agents alone are closed',
    values: { ...ranges, 'coordinator.networkPolicy.enabled': false },
    needed: without(needed, 'node of coordinator → coordinator:8475'),
    open: { 'coordinator → internet:443': 'switched off', 'stranger → coordinator:8475': 'switched off' },
    denied: denied.filter((arrow) => arrow.endsWith('→ agent:9475') || arrow.startsWith('agent →')),
  },
  {
    name: 'all is open',
    values: { 'agent.networkPolicy.enabled': false, 'coordinator.networkPolicy.enabled': false },
    needed: [...needed, ...callers, scrape],
    open: { 'stranger → agent:9475': 'switched off', 'agent → internet:443': 'switched off' },
    denied: [],
  },
];

const namespaceLabels = (name: string): Labels => ({ 'kubernetes.io/metadata.name': name });

/** Everything of the table by its name; ours as the chart renders them. */
function worldOf(objects: readonly Rendered[]): ReadonlyMap<string, Endpoint> {
  const agent = only(objects, 'DaemonSet');
  const coordinator = only(objects, 'Deployment');
  const labelsOf = (object: Rendered, path = 'spec.template.metadata.labels') => at(object, path) as Labels;
  const portsOf = (object: Rendered) =>
    Object.fromEntries(
      (at(object, 'spec.template.spec.containers.0.ports') as { name: string; containerPort: number }[]).map(
        ({ name, containerPort }) => [name, containerPort],
      ),
    );
  const pod = (
    name: string,
    address: string,
    labels: Labels,
    { namespace = release.namespace, nodeAddress = '10.0.9.10', ports = {} } = {},
  ): Endpoint => ({
    name,
    address,
    pod: { namespace, namespaceLabels: namespaceLabels(namespace), labels, ports, nodeAddress },
  });
  const test = objects.find(({ kind }) => kind === 'Pod');
  const testLabels = { ...labelsOf(coordinator), 'app.kubernetes.io/component': 'test' };
  return new Map(
    [
      pod('agent', '10.0.1.20', labelsOf(agent), { nodeAddress: '10.0.1.10', ports: portsOf(agent) }),
      pod('other agent', '10.0.3.20', labelsOf(agent), { nodeAddress: '10.0.3.10', ports: portsOf(agent) }),
      pod('coordinator', '10.0.2.20', labelsOf(coordinator), {
        nodeAddress: '10.0.2.10',
        ports: portsOf(coordinator),
      }),
      pod('test', '10.0.9.21', test === undefined ? testLabels : labelsOf(test, 'metadata.labels')),
      pod('stranger', '10.0.9.22', { app: 'stranger' }),
      pod('impostor', '10.0.9.23', labelsOf(coordinator), { namespace: 'elsewhere' }),
      pod('impostor agent', '10.0.9.24', labelsOf(agent), { namespace: 'elsewhere', ports: portsOf(agent) }),
      pod('coordinator of another release', '10.0.9.25', {
        ...labelsOf(coordinator),
        'app.kubernetes.io/instance': 'other',
      }),
      pod('Prometheus', '10.0.9.26', { app: 'prometheus' }, { namespace: 'monitoring' }),
      pod('ingress controller', '10.0.9.27', { app: 'ingress' }, { namespace: 'ingress-nginx' }),
      pod('DNS', '10.0.9.28', { 'k8s-app': 'kube-dns' }, { namespace: 'kube-system' }),
      { name: 'node of agent', address: '10.0.1.10' },
      { name: 'node of coordinator', address: '10.0.2.10' },
      { name: 'API server', address: '10.0.0.5' },
      { name: 'API server of IPv6', address: 'fd00:10::5' },
      { name: 'metadata', address: '169.254.169.254' },
      { name: 'internet', address: '203.0.113.7' },
    ].map((endpoint) => [endpoint.name, endpoint]),
  );
}

function flowOf(arrow: Arrow, world: ReadonlyMap<string, Endpoint>): Flow {
  const [, left = '', right = '', port, udp] = /^(.+) → (.+):(\d+)(\/UDP)?$/.exec(arrow) ?? [];
  const [from, to] = [world.get(left), world.get(right)];
  if (from === undefined || to === undefined) throw new Error(`${arrow}: the world has no such thing`);
  return { from, to, port: Number(port), protocol: udp === undefined ? 'TCP' : 'UDP' };
}

const helm = findHelm();
if ('because' in helm) t.pass('', { skip: helm.because });
else
  for (const row of rows)
    t.test(row.name, async (t) => {
      const { code, stdout, stderr } = await template(helm, row.values);
      t.equal(code, 0, stderr);
      const objects = objectsIn(stdout);
      const policies = objects.filter(
        ({ kind }) => kind === 'NetworkPolicy',
      ) as readonly unknown[] as Policy[];
      const world = worldOf(objects);
      const ask = (arrow: Arrow) => judge(policies, flowOf(arrow, world));

      for (const arrow of row.needed) t.ok(ask(arrow).isAllowed, `needed: ${arrow}`);
      for (const [arrow, because] of Object.entries(row.open ?? {}))
        t.ok(ask(arrow as Arrow).isAllowed, `open: ${arrow}, ${because}`);
      for (const arrow of row.denied) t.notOk(ask(arrow).isAllowed, `denied: ${arrow}`);

      // Needed is a part without which a flow of the product would fail.
      const used = new Set(
        row.needed
          .map(ask)
          .flatMap(({ Egress, Ingress }) =>
            [Egress, Ingress].filter((through) => through.length === 1).flat(),
          ),
      );
      const unneeded = policies.flatMap(partsOf).filter(({ name }) => !used.has(name));
      t.strictSame(
        unneeded.map(({ name }) => name),
        [],
        'no rule allows what nothing needs',
      );
    });
