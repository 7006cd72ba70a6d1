import t from 'tap';
import { type Endpoint, judge, type Policy } from './policy-model.ts';

const pod = (name: string, namespace: string, labels: Record<string, string>, address: string): Endpoint => ({
  name,
  address,
  pod: {
    namespace,
    namespaceLabels: { 'kubernetes.io/metadata.name': namespace },
    labels,
    ports: { web: 80 },
    nodeAddress: '10.0.0.1',
  },
});
const server = pod('server', 'a', { app: 'server' }, '10.1.0.1');
const client = pod('client', 'a', { app: 'client', tier: 'x' }, '10.1.0.2');
const foreign = pod('foreign', 'b', { app: 'client' }, '10.2.0.2');
const outside: Endpoint = { name: 'outside', address: '203.0.113.7' };
const node: Endpoint = { name: 'node', address: '10.0.0.1' };
const six: Endpoint = { name: 'six', address: 'fd00::7' };

const policy = (spec: object): Policy => ({
  metadata: { name: 'p', namespace: 'a' },
  spec: { podSelector: {}, ...spec } as Policy['spec'],
});
const into = (rule: object, more: object = {}) =>
  policy({
    podSelector: { matchLabels: { app: 'server' } },
    policyTypes: ['Ingress'],
    ingress: [rule],
    ...more,
  });

/** The semantics of the API's documentation, one line each. */
const rows: readonly (readonly [
  string,
  readonly Policy[],
  Endpoint,
  Endpoint,
  boolean,
  { readonly port?: number; readonly protocol?: 'UDP' }?,
])[] = [
  ['without a policy all is allowed', [], foreign, server, true],
  [
    'a policy of another namespace selects nothing',
    [{ ...into({}), metadata: { name: 'p', namespace: 'b' } }],
    outside,
    server,
    true,
  ],
  [
    'a selected pod without rules takes nothing',
    [policy({ policyTypes: ['Ingress'] })],
    client,
    server,
    false,
  ],
  ['and may still connect', [policy({ policyTypes: ['Ingress'] })], server, outside, true],
  ['without policyTypes ingress counts', [policy({})], client, server, false],
  ['and egress does not', [policy({})], server, outside, true],
  ['but where it has rules', [policy({ egress: [] })], server, outside, false],
  ['an empty rule allows all', [into({})], outside, server, true],
  ['an empty list of peers allows all', [into({ from: [] })], outside, server, true],
  ['policies add up', [policy({ policyTypes: ['Ingress'] }), into({})], outside, server, true],
  [
    'the node of the pod is always allowed',
    [policy({ policyTypes: ['Ingress', 'Egress'] })],
    node,
    server,
    true,
  ],
  ['in both directions', [policy({ policyTypes: ['Ingress', 'Egress'] })], server, node, true],
  ['pods are those of the policy’s namespace', [into({ from: [{ podSelector: {} }] })], client, server, true],
  ['and of no other', [into({ from: [{ podSelector: {} }] })], foreign, server, false],
  ['an address is no pod', [into({ from: [{ podSelector: {} }] })], outside, server, false],
  ['all namespaces', [into({ from: [{ namespaceSelector: {} }] })], foreign, server, true],
  [
    'both selectors in one peer have to match',
    [
      into({
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'b' } },
            podSelector: { matchLabels: { tier: 'x' } },
          },
        ],
      }),
    ],
    foreign,
    server,
    false,
  ],
  [
    'in two peers either',
    [
      into({
        from: [
          { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'b' } } },
          { podSelector: { matchLabels: { tier: 'x' } } },
        ],
      }),
    ],
    foreign,
    server,
    true,
  ],
  [
    'addresses in a range',
    [into({ from: [{ ipBlock: { cidr: '203.0.113.0/24' } }] })],
    outside,
    server,
    true,
  ],
  [
    'but for exceptions',
    [into({ from: [{ ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.0/28'] } }] })],
    outside,
    server,
    false,
  ],
  [
    'IPv4 ranges have no IPv6 addresses',
    [into({ from: [{ ipBlock: { cidr: '0.0.0.0/0' } }] })],
    six,
    server,
    false,
  ],
  ['IPv6 ranges do', [into({ from: [{ ipBlock: { cidr: 'fd00::/8' } }] })], six, server, true],
  ['a port by number', [into({ ports: [{ port: 80 }] })], client, server, true],
  ['another port', [into({ ports: [{ port: 81 }] })], client, server, false],
  [
    'a port is TCP unless it says more',
    [into({ ports: [{ port: 80 }] })],
    client,
    server,
    false,
    { protocol: 'UDP' },
  ],
  ['a port by name', [into({ ports: [{ port: 'web', protocol: 'TCP' }] })], client, server, true],
  ['a name that the pod does not have', [into({ ports: [{ port: 'other' }] })], client, server, false],
  ['ports in a range', [into({ ports: [{ port: 70, endPort: 90 }] })], client, server, true],
  ['and outside of it', [into({ ports: [{ port: 70, endPort: 79 }] })], client, server, false],
  [
    'a protocol without a port',
    [into({ ports: [{ protocol: 'UDP' }] })],
    client,
    server,
    true,
    { port: 9, protocol: 'UDP' },
  ],
  [
    'the sender’s side counts as well',
    [
      policy({
        podSelector: { matchLabels: { app: 'client' } },
        policyTypes: ['Egress'],
        egress: [{ to: [{ ipBlock: { cidr: '203.0.113.0/24' } }] }],
      }),
    ],
    client,
    server,
    false,
  ],
  ...(
    [
      ['In', ['client'], true],
      ['In', ['other'], false],
      ['NotIn', ['client'], false],
      ['NotIn', ['other'], true],
      ['Exists', undefined, true],
      ['DoesNotExist', undefined, false],
    ] as const
  ).map(
    ([operator, values, isAllowed]) =>
      [
        `${operator} ${values ?? ''}`,
        [into({ from: [{ podSelector: { matchExpressions: [{ key: 'app', operator, values }] } }] })],
        client,
        server,
        isAllowed,
      ] as const,
  ),
  [
    'labels are own properties',
    [into({ from: [{ podSelector: { matchExpressions: [{ key: 'constructor', operator: 'Exists' }] } }] })],
    client,
    server,
    false,
  ],
];

for (const [name, policies, from, to, isAllowed, flow] of rows)
  t.test(name, async (t) => {
    t.equal(judge(policies, { from, to, port: 80, protocol: 'TCP', ...flow }).isAllowed, isAllowed);
  });

t.test('what the model does not know is no permission', async (t) => {
  const flow = { from: client, to: server, port: 80, protocol: 'TCP' } as const;
  for (const [rule, says] of [
    [{ fromm: [] }, /does not know fromm/],
    [{ from: [{ serviceSelector: {} }] }, /does not know serviceSelector/],
    [{ from: [{ podSelector: { matchLabel: {} } }] }, /does not know matchLabel/],
    [{ ports: [{ portName: 'web' }] }, /does not know portName/],
    [
      { from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'Gt', values: ['1'] }] } }] },
      /Gt is no operator/,
    ],
  ] as const)
    t.throws(() => judge([into(rule)], flow), { message: says });
});
