import { BlockList, isIPv6 } from 'node:net';

/**
 * What NetworkPolicies allow, as the API documents it (networking.k8s.io/v1, https://kubernetes.io/docs/concepts/services-networking/network-policies/).
 * Whatever these types do not have is refused: a field that the model does not know must not pass for one without effect.
 */
export type Labels = Readonly<Record<string, string>>;

type LabelSelector = {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
};

/** Who may be at the other end: pods by labels and namespace, or addresses. */
export type Peer = {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
};

type PolicyPort = {
  readonly port?: number | string;
  readonly endPort?: number;
  readonly protocol?: string;
};

type Rule = {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly PolicyPort[];
};

type Direction = 'Ingress' | 'Egress';

/** A NetworkPolicy as the chart renders it. */
export type Policy = {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly podSelector: LabelSelector;
    readonly policyTypes?: readonly Direction[];
    readonly ingress?: readonly Rule[];
    readonly egress?: readonly Rule[];
  };
};

/** One end of a connection. */
export type Endpoint = {
  /** For the table's sentences. */
  readonly name: string;
  readonly address: string;
  /** Absent: no pod, but a node, the API server or something outside the cluster. */
  readonly pod?: {
    readonly namespace: string;
    readonly namespaceLabels: Labels;
    readonly labels: Labels;
    /** Its containers' ports by name. */
    readonly ports: Readonly<Record<string, number>>;
    /** Address of the node on which it runs. */
    readonly nodeAddress: string;
  };
};

/** A connection that somebody opens. */
export type Flow = {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
};

/** Whether a flow comes about, and by which parts of rules on either side (names of `partsOf`); none where no policy selects. */
export type Judgement = Readonly<Record<Direction, readonly string[]>> & { readonly isAllowed: boolean };

/** Both ends have to allow a connection; a pod that no policy of that direction selects allows all. */
export function judge(policies: readonly Policy[], flow: Flow): Judgement {
  const { from, to } = flow;
  // "Traffic to and from the node where a pod is running is always allowed": the kubelet's probes.
  if (from.address === to.pod?.nodeAddress || to.address === from.pod?.nodeAddress)
    return { isAllowed: true, Egress: [], Ingress: [] };
  const egress = side(policies, 'Egress', from, to, flow);
  const ingress = side(policies, 'Ingress', to, from, flow);
  return {
    isAllowed: egress?.length !== 0 && ingress?.length !== 0,
    Egress: egress ?? [],
    Ingress: ingress ?? [],
  };
}

/** The parts that allow it on one end; undefined where no policy selects that end. */
function side(
  policies: readonly Policy[],
  direction: Direction,
  own: Endpoint,
  other: Endpoint,
  flow: Flow,
): readonly string[] | undefined {
  const { pod } = own;
  const selecting = policies.filter(
    (policy) =>
      pod !== undefined &&
      typesOf(policy).includes(direction) &&
      policy.metadata.namespace === pod.namespace &&
      selects(policy.spec.podSelector, pod.labels),
  );
  if (selecting.length === 0) return undefined;
  return selecting
    .flatMap((policy) => partsOf(policy))
    .filter(
      (part) =>
        part.direction === direction &&
        (part.peer === undefined || isPeer(part.peer, part.policy.metadata.namespace, other)) &&
        (part.port === undefined || isPort(part.port, flow)),
    )
    .map(({ name }) => name);
}

/** Egress counts without being listed only where it has rules. */
const typesOf = ({ spec }: Policy): readonly Direction[] =>
  spec.policyTypes ?? (spec.egress === undefined ? ['Ingress'] : ['Ingress', 'Egress']);

/** A rule taken apart: one peer and one port, either of which may be any. */
export type Part = {
  readonly name: string;
  readonly policy: Policy;
  readonly direction: Direction;
  readonly peer: Peer | undefined;
  readonly port: PolicyPort | undefined;
};

/** All that a policy allows; each part has to be needed by some flow. An empty list allows any, as an absent one does. */
export function partsOf(policy: Policy): readonly Part[] {
  known(policy.spec, ['podSelector', 'policyTypes', 'ingress', 'egress']);
  const directions = [
    ['Ingress', policy.spec.ingress, 'from'],
    ['Egress', policy.spec.egress, 'to'],
  ] as const;
  return directions.flatMap(([direction, rules, word]) =>
    (rules ?? []).flatMap((rule, index) => {
      known(rule, [word, 'ports']);
      const peers = rule[word]?.length ? rule[word] : [undefined];
      const ports = rule.ports?.length ? rule.ports : [undefined];
      return peers.flatMap((peer, peerIndex) =>
        ports.map((port) => ({
          name: `${policy.metadata.name} ${direction.toLowerCase()}[${index}] ${
            peer === undefined ? 'any' : `${word}[${peerIndex}]`
          } port ${port?.port ?? 'any'}`,
          policy,
          direction,
          peer,
          port,
        })),
      );
    }),
  );
}

function isPeer(peer: Peer, policyNamespace: string, { pod, address }: Endpoint): boolean {
  known(peer, ['podSelector', 'namespaceSelector', 'ipBlock']);
  if (peer.ipBlock !== undefined) {
    known(peer.ipBlock, ['cidr', 'except']);
    const { cidr, except = [] } = peer.ipBlock;
    return isIn(cidr, address) && !except.some((range) => isIn(range, address));
  }
  if (pod === undefined) return false;
  const isNamespace =
    peer.namespaceSelector === undefined
      ? pod.namespace === policyNamespace
      : selects(peer.namespaceSelector, pod.namespaceLabels);
  return isNamespace && (peer.podSelector === undefined || selects(peer.podSelector, pod.labels));
}

function isPort(wanted: PolicyPort, flow: Flow): boolean {
  known(wanted, ['port', 'endPort', 'protocol']);
  if ((wanted.protocol ?? 'TCP') !== flow.protocol) return false;
  if (wanted.port === undefined) return true;
  // A name is one of the pod that is connected to.
  const port = typeof wanted.port === 'string' ? flow.to.pod?.ports[wanted.port] : wanted.port;
  return port !== undefined && flow.port >= port && flow.port <= (wanted.endPort ?? port);
}

/** An empty selector selects all; all that it names has to hold. */
function selects(selector: LabelSelector, labels: Labels): boolean {
  known(selector, ['matchLabels', 'matchExpressions']);
  const has = (key: string) => Object.hasOwn(labels, key);
  return (
    Object.entries(selector.matchLabels ?? {}).every(([key, value]) => has(key) && labels[key] === value) &&
    (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const isOne = has(key) && values.includes(labels[key] ?? '');
      if (operator === 'In') return isOne;
      if (operator === 'NotIn') return !isOne;
      if (operator === 'Exists') return has(key);
      if (operator === 'DoesNotExist') return !has(key);
      throw new Error(`matchExpressions: ${operator} is no operator of a label selector`);
    })
  );
}

function isIn(cidr: string, address: string): boolean {
  const [net = '', bits = ''] = cidr.split('/');
  const family = isIPv6(net) ? 'ipv6' : 'ipv4';
  const range = new BlockList();
  range.addSubnet(net, Number(bits), family);
  return isIPv6(address) === isIPv6(net) && range.check(address, family);
}

function known(object: object, keys: readonly string[]): void {
  const unknown = Object.keys(object).filter((key) => !keys.includes(key));
  if (unknown.length > 0) throw new Error(`the model does not know ${unknown.join(', ')}`);
}
