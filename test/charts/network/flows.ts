import { at, only, type Rendered, release } from '../render.ts';
import type { Labels } from './policy-model.ts';

/** `coordinator → agent:9475`, TCP unless it ends in /UDP. */
export type Arrow = `${string} → ${string}:${number}` | `${string} → ${string}:${number}/UDP`;

/** One way to install, and what may then connect to what. */
export type Row = {
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

/** The ways to install; `apiServer` is a range with the API server's address (CIDR). */
export const flowRows = (apiServer: string): readonly Row[] => {
  const ranges = { 'networkPolicy.apiServer.cidrs': [apiServer] };
  return [
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
        'coordinator.networkPolicy.from': [monitoring, ingress, { ipBlock: { cidr: apiServer } }],
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
};

/** A pod of the table, by what NetworkPolicies see of it. */
export type TablePod = {
  readonly namespace: string;
  readonly labels: Labels;
  /** Its container's ports by name. */
  readonly ports: Readonly<Record<string, number>>;
};

/** Every pod of the table by its name; ours as the chart renders them. */
export function podsOf(objects: readonly Rendered[]): Readonly<Record<string, TablePod>> {
  const agent = only(objects, 'DaemonSet');
  const coordinator = only(objects, 'Deployment');
  const labelsOf = (object: Rendered, path = 'spec.template.metadata.labels') => at(object, path) as Labels;
  const portsOf = (object: Rendered) =>
    Object.fromEntries(
      (at(object, 'spec.template.spec.containers.0.ports') as { name: string; containerPort: number }[]).map(
        ({ name, containerPort }) => [name, containerPort],
      ),
    );
  const pod = (labels: Labels, { namespace = release.namespace, ports = {} } = {}): TablePod => ({
    namespace,
    labels,
    ports,
  });
  const test = objects.find(({ kind }) => kind === 'Pod');
  const testLabels = { ...labelsOf(coordinator), 'app.kubernetes.io/component': 'test' };
  const ofAgent = { ports: portsOf(agent) };
  return {
    agent: pod(labelsOf(agent), ofAgent),
    'other agent': pod(labelsOf(agent), ofAgent),
    coordinator: pod(labelsOf(coordinator), { ports: portsOf(coordinator) }),
    test: pod(test === undefined ? testLabels : labelsOf(test, 'metadata.labels')),
    stranger: pod({ app: 'stranger' }),
    impostor: pod(labelsOf(coordinator), { namespace: 'elsewhere' }),
    'impostor agent': pod(labelsOf(agent), { namespace: 'elsewhere', ...ofAgent }),
    'coordinator of another release': pod({
      ...labelsOf(coordinator),
      'app.kubernetes.io/instance': 'other',
    }),
    Prometheus: pod({ app: 'prometheus' }, { namespace: 'monitoring' }),
    'ingress controller': pod({ app: 'ingress' }, { namespace: 'ingress-nginx' }),
    DNS: pod({ 'k8s-app': 'kube-dns' }, { namespace: 'kube-system' }),
  };
}

/** Who connects to what: the two names, and the port with its protocol. */
export function partsOfArrow(arrow: Arrow): {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
} {
  const [, from = '', to = '', port, udp] = /^(.+) → (.+):(\d+)(\/UDP)?$/.exec(arrow) ?? [];
  return { from, to, port: Number(port), protocol: udp === undefined ? 'TCP' : 'UDP' };
}
