import { parsePolicies } from '../../coordinator/catalogue/repair/given-policies.ts';
import { at, only, type Rendered } from './render.ts';

/** What somebody may install with, and what must then stand in the objects. */
export type ValueSet = {
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Pairs of what was found and what is wanted. */
  readonly shows: (objects: readonly Rendered[]) => readonly (readonly [unknown, unknown])[];
};

const agentPod = 'spec.template.spec';
const agentOf = (objects: readonly Rendered[]) => at(only(objects, 'DaemonSet'), agentPod);
const coordinatorOf = (objects: readonly Rendered[]) => at(only(objects, 'Deployment'), agentPod);
const argsOf = (pod: unknown) => at(pod, 'containers.0.args') as readonly string[];
/** Which containers mount a volume, and whether read-only. */
const mountsOf = (pod: unknown, volume: string) =>
  ['containers', 'initContainers'].flatMap((list) =>
    ((at(pod, list) ?? []) as readonly Rendered[]).flatMap((container) =>
      ((at(container, 'volumeMounts') ?? []) as readonly { name: string; readOnly?: boolean }[])
        .filter(({ name }) => name === volume)
        .map(({ readOnly }) => [at(container, 'name'), readOnly]),
    ),
  );
/** The Secrets that a pod mounts. */
const secretsOf = (pod: unknown) =>
  [...JSON.stringify(at(pod, 'volumes')).matchAll(/"secret(?:Name)?":(?:\{"name":)?"([^"]+)"/g)].map(
    ([, name]) => name,
  );
/** A key with a dot is no path. */
const policiesIn = (objects: readonly Rendered[]) =>
  (at(only(objects, 'ConfigMap'), 'data') as Readonly<Record<string, string>>)['policies.json'] ?? '';
const karpenterPolicy = {
  type: 'AcceleratedHardwareReady',
  status: 'False',
  reason: '.*XID(79|109).*',
  waitSeconds: 90,
  action: 'replace',
  drainSeconds: 60,
};
const kindsOf = (objects: readonly Rendered[]) => new Set(objects.map(({ kind }) => kind));

const monitoring = ['PodMonitor', 'ServiceMonitor', 'PrometheusRule'] as const;

export const valueSets: readonly ValueSet[] = [
  {
    name: 'the defaults are disarmed',
    values: {},
    shows: (objects) => [
      [argsOf(agentOf(objects)).includes('--arm'), false],
      [at(agentOf(objects), 'hostPID'), true],
      [at(agentOf(objects), 'hostNetwork'), undefined],
      [at(agentOf(objects), 'automountServiceAccountToken'), false],
      [at(agentOf(objects), 'tolerations'), [{ operator: 'Exists' }]],
      [at(agentOf(objects), 'volumes.0.hostPath'), { path: '/dev/kmsg', type: 'CharDevice' }],
      [at(agentOf(objects), 'containers.length'), 1],
      [
        String(at(agentOf(objects), 'initContainers.0.image')).replace(/:.*/, ''),
        'nvcr.io/nvidia/cloud-native/dcgm',
      ],
      [at(coordinatorOf(objects), 'securityContext.runAsNonRoot'), true],
      [at(coordinatorOf(objects), 'containers.0.securityContext.readOnlyRootFilesystem'), true],
      [at(only(objects, 'Deployment'), 'spec.replicas'), 2],
      [at(only(objects, 'PodDisruptionBudget'), 'spec.maxUnavailable'), 1],
      ...monitoring.map((kind) => [kindsOf(objects).has(kind), false] as const),
      [kindsOf(objects).has('ConfigMap'), false],
    ],
  },
  {
    name: 'identities and certificates by default',
    values: {},
    shows: (objects) => [
      [argsOf(agentOf(objects)).includes('--audience=xidrill-agent'), true],
      [argsOf(coordinatorOf(objects)).includes('--audience=xidrill'), true],
      [JSON.stringify(objects).includes('--token-file'), false],
      [
        at(coordinatorOf(objects), 'volumes.0.projected.sources.0.serviceAccountToken.audience'),
        'xidrill-agent',
      ],
      [at(agentOf(objects), 'volumes.2.projected.sources.0.serviceAccountToken.audience'), undefined],
      [secretsOf(agentOf(objects)), ['drills-xidrill-agent-tls', 'drills-xidrill-coordinator-tls']],
      [
        at(agentOf(objects), 'volumes.3.projected.sources.1.secret.items'),
        [{ key: 'ca.crt', path: 'client-ca.crt' }],
      ],
      [
        argsOf(agentOf(objects)).filter((arg) => arg.startsWith('--client')),
        [
          '--client-ca-file=/etc/xidrill/tls/client-ca.crt',
          '--client-name=drills-xidrill-coordinator.gpu-drills.svc',
          '--client-user=system:serviceaccount:gpu-drills:drills-xidrill-coordinator',
        ],
      ],
      [secretsOf(coordinatorOf(objects)), ['drills-xidrill-agent-tls', 'drills-xidrill-coordinator-tls']],
      [
        at(coordinatorOf(objects), 'volumes.0.projected.sources.1.secret.items'),
        [{ key: 'ca.crt', path: 'ca.crt' }],
      ],
      [at(agentOf(objects), 'containers.0.livenessProbe.httpGet.scheme'), 'HTTPS'],
      [
        at(only(objects, 'Pod'), 'spec.containers.0.env.0.value'),
        'https://drills-xidrill-coordinator.gpu-drills.svc:8475',
      ],
    ],
  },
  {
    name: 'only the coordinator injects by default',
    values: {},
    shows: (objects) => [
      [
        argsOf(agentOf(objects)).filter((arg) => /^--(coordinator-user|policy|opt-in)/.test(arg)),
        ['--coordinator-user=system:serviceaccount:gpu-drills:drills-xidrill-coordinator'],
      ],
    ],
  },
  {
    name: 'what direct callers may do, and the consent of the node',
    values: {
      'agent.optIn': '/etc/xidrill/armed',
      'agent.direct': [{ methods: ['WriteKernelMessage'], surfaces: ['kernel-log'] }],
    },
    shows: (objects) => [
      [
        argsOf(agentOf(objects)).filter((arg) => /^--(policy|opt-in)/.test(arg)),
        ['--policy-file=/etc/xidrill/policy/policy.json', '--opt-in-file=/etc/xidrill/armed'],
      ],
      [
        JSON.parse(String((only(objects, 'ConfigMap').data as Record<string, string>)['policy.json'])),
        { direct: [{ methods: ['WriteKernelMessage'], surfaces: ['kernel-log'] }] },
      ],
      [mountsOf(agentOf(objects), 'policy'), [['agent', true]]],
    ],
  },
  {
    name: 'the names by which callers address both programs',
    values: { 'coordinator.hosts': ['drills.example.com'], 'agent.hosts': ['agents.example.com'] },
    shows: (objects) => [
      [
        argsOf(coordinatorOf(objects)).filter((arg) => arg.startsWith('--host=')),
        [
          '--host=drills-xidrill-coordinator',
          '--host=drills-xidrill-coordinator.gpu-drills',
          '--host=drills-xidrill-coordinator.gpu-drills.svc',
          '--host=drills-xidrill-coordinator.gpu-drills.svc.cluster.local',
          '--host=drills.example.com',
        ],
      ],
      [
        argsOf(agentOf(objects)).filter((arg) => arg.startsWith('--host=')),
        ['--host=xidrill-agent', '--host=agents.example.com'],
      ],
    ],
  },
  {
    name: 'certificates of cert-manager',
    values: {
      'tls.source': 'cert-manager',
      'tls.certManager.issuerRef': { name: 'ours', kind: 'ClusterIssuer' },
    },
    shows: (objects) => [
      [kindsOf(objects).has('Secret'), false],
      [
        at(only(objects, 'Certificate', 'drills-xidrill-agent-tls'), 'spec.issuerRef'),
        { name: 'ours', kind: 'ClusterIssuer', group: 'cert-manager.io' },
      ],
      [at(only(objects, 'Certificate', 'drills-xidrill-agent-tls'), 'spec.dnsNames'), ['xidrill-agent']],
      [
        at(only(objects, 'Certificate', 'drills-xidrill-coordinator-tls'), 'spec.dnsNames.2'),
        'drills-xidrill-coordinator.gpu-drills.svc',
      ],
      [at(only(objects, 'Certificate', 'drills-xidrill-agent-tls'), 'spec.usages'), ['server auth']],
      [
        at(only(objects, 'Certificate', 'drills-xidrill-coordinator-tls'), 'spec.usages'),
        ['server auth', 'client auth'],
      ],
    ],
  },
  {
    name: 'people and coordinator by their tokens alone',
    values: { 'tls.mutual': false },
    shows: (objects) => [
      [/client-/.test(JSON.stringify([agentOf(objects), coordinatorOf(objects)])), false],
      [secretsOf(agentOf(objects)), ['drills-xidrill-agent-tls']],
    ],
  },
  {
    name: 'plain HTTP, other audiences',
    values: {
      'tls.source': 'none',
      'auth.audience': 'a',
      'auth.agentAudience': 'b',
      'agent.podMonitor.enabled': true,
    },
    shows: (objects) => [
      [kindsOf(objects).has('Secret'), false],
      [/tls|https|ca-file/i.test(JSON.stringify([agentOf(objects), coordinatorOf(objects)])), false],
      [argsOf(agentOf(objects)).includes('--audience=b'), true],
      [argsOf(coordinatorOf(objects)).includes('--audience=a'), true],
      [at(only(objects, 'PodMonitor'), 'spec.podMetricsEndpoints.0.scheme'), 'http'],
      [at(only(objects, 'PodMonitor'), 'spec.podMetricsEndpoints.0.tlsConfig'), undefined],
    ],
  },
  {
    name: 'armed',
    values: { 'agent.armed': true },
    shows: (objects) => [[argsOf(agentOf(objects)).includes('--arm'), true]],
  },
  {
    name: 'an agent on every node',
    values: { 'agent.nodes.all': true },
    shows: (objects) => [
      [
        at(
          agentOf(objects),
          'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms',
        ),
        [
          {
            matchExpressions: [
              { key: 'eks.amazonaws.com/compute-type', operator: 'NotIn', values: ['fargate'] },
            ],
          },
        ],
      ],
      [at(agentOf(objects), 'nodeSelector'), { 'kubernetes.io/os': 'linux' }],
    ],
  },
  {
    name: 'GPUs by instance type only',
    values: { 'agent.nodes.labels': null, 'agent.nodes.instanceTypes': ['p5.48xlarge', 'x9.large'] },
    shows: (objects) => {
      const required = 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution';
      const key = 'node.kubernetes.io/instance-type';
      const types = ['p5.48xlarge', 'x9.large'];
      return [
        [
          at(agentOf(objects), `${required}.nodeSelectorTerms`),
          [{ matchExpressions: [{ key, operator: 'In', values: types }] }],
        ],
        [
          at(coordinatorOf(objects), `${required}.nodeSelectorTerms.0.matchExpressions`),
          [
            { key: 'xidrill.dev/drill', operator: 'NotIn', values: ['allowed'] },
            { key, operator: 'NotIn', values: types },
          ],
        ],
      ];
    },
  },
  {
    name: 'a runtime class and a library of its own',
    values: { 'agent.gpu.runtimeClassName': 'nvidia', 'agent.gpu.library': '/opt/libnvidia-ml.so.1' },
    shows: (objects) => [
      [at(agentOf(objects), 'runtimeClassName'), 'nvidia'],
      [argsOf(agentOf(objects)).includes('--nvml=/opt/libnvidia-ml.so.1'), true],
    ],
  },
  {
    name: 'H4 an init container copies dcgmi, without capabilities, and the agent cannot write to it',
    values: { 'agent.dcgm.sidecar.image.tag': '4.5.2' },
    shows: (objects) => [
      [at(agentOf(objects), 'containers.length'), 1],
      [at(agentOf(objects), 'initContainers.length'), 1],
      // With it the container would go on running (Kubernetes, sidecar containers).
      [at(agentOf(objects), 'initContainers.0.restartPolicy'), undefined],
      [at(agentOf(objects), 'initContainers.0.image'), 'nvcr.io/nvidia/cloud-native/dcgm:4.5.2'],
      [at(agentOf(objects), 'initContainers.0.env.1'), { name: 'NVIDIA_VISIBLE_DEVICES', value: 'void' }],
      [
        at(agentOf(objects), 'initContainers.0.securityContext'),
        {
          runAsUser: 0,
          runAsGroup: 0,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        },
      ],
      [
        mountsOf(agentOf(objects), 'dcgm'),
        [
          ['agent', true],
          ['dcgm', undefined],
        ],
      ],
    ],
  },
  {
    name: 'M14 whose host engines count',
    values: { 'agent.dcgm.engines': { namespaces: ['kube-system', 'gpu-operator'], uids: [1000700000] } },
    shows: (objects) => [
      [
        argsOf(agentOf(objects)).filter((arg) => arg.startsWith('--engine-')),
        ['--engine-namespace=kube-system', '--engine-namespace=gpu-operator', '--engine-uid=1000700000'],
      ],
    ],
  },
  {
    name: 'no DCGM image',
    values: { 'agent.dcgm.sidecar.enabled': false },
    shows: (objects) => [
      [at(agentOf(objects), 'containers.length'), 1],
      [at(agentOf(objects), 'initContainers'), undefined],
      [/opt\/nvidia\/dcgm/.test(JSON.stringify(agentOf(objects))), false],
    ],
  },
  {
    name: 'H4 an engine of the DCGM image has no part in what the agent runs',
    values: {
      'agent.dcgm.sidecar.engine': { enabled: true, port: 5557 },
      'agent.dcgm.dcgmi': '/usr/bin/dcgmi',
    },
    shows: (objects) => [
      [at(agentOf(objects), 'containers.1.securityContext'), { privileged: true }],
      [at(agentOf(objects), 'containers.1.volumeMounts'), undefined],
      [at(agentOf(objects), 'containers.1.command.5'), '5557'],
      [argsOf(agentOf(objects)).includes('--dcgmi=/usr/bin/dcgmi'), true],
    ],
  },
  {
    name: 'words that YAML would read as something else',
    values: {
      imagePullSecrets: ['123', { name: 'true' }],
      commonLabels: { team: '1', both: 'all' },
      'agent.podLabels': { both: 'agent' },
      'agent.gpu.runtimeClassName': '1e3',
      'auth.agentAudience': 'true',
      'coordinator.serviceAccount.name': '0x1',
    },
    shows: (objects) => [
      [at(agentOf(objects), 'imagePullSecrets'), [{ name: '123' }, { name: 'true' }]],
      [at(only(objects, 'DaemonSet'), 'spec.template.metadata.labels.both'), 'agent'],
      [at(only(objects, 'DaemonSet'), 'metadata.labels.both'), 'all'],
      [at(agentOf(objects), 'runtimeClassName'), '1e3'],
      [at(coordinatorOf(objects), 'serviceAccountName'), '0x1'],
      [at(coordinatorOf(objects), 'volumes.0.projected.sources.0.serviceAccountToken.audience'), 'true'],
    ],
  },
  {
    name: 'one replica has no budget',
    values: {
      'coordinator.replicas': 1,
      'coordinator.leaseSeconds': 5,
      'coordinator.logLevel': 'debug',
      'coordinator.keepEnded': '36h',
      'coordinator.keepEndedCount': 20,
    },
    shows: (objects) => [
      [kindsOf(objects).has('PodDisruptionBudget'), false],
      [argsOf(coordinatorOf(objects)).includes('--lease-seconds=5'), true],
      [argsOf(coordinatorOf(objects)).includes('--log-level=debug'), true],
      [argsOf(coordinatorOf(objects)).includes('--keep-ended=36h'), true],
      [argsOf(coordinatorOf(objects)).includes('--keep-ended-count=20'), true],
    ],
  },
  {
    name: 'nodes are not restored: no right to delete a pod',
    values: {},
    shows: (objects) => [
      [argsOf(coordinatorOf(objects)).includes('--restore'), false],
      [objects.some((object) => deletesPods(object)), false],
    ],
  },
  {
    name: 'EKS is asked for the settings of node groups, with a role by IRSA',
    values: {
      'repair.eks': {
        cluster: 'gpu-1',
        region: 'ap-northeast-2',
        roleArn: 'arn:aws:iam::111122223333:role/drills',
      },
      'coordinator.serviceAccount.annotations': { team: 'gpu' },
    },
    shows: (objects) => [
      [
        argsOf(coordinatorOf(objects)).filter((arg) => arg.startsWith('--eks')),
        ['--eks-cluster=gpu-1', '--eks-region=ap-northeast-2'],
      ],
      [
        at(only(objects, 'ServiceAccount', 'drills-xidrill-coordinator'), 'metadata.annotations'),
        { team: 'gpu', 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/drills' },
      ],
      [at(only(objects, 'ServiceAccount', 'drills-xidrill-agent'), 'metadata.annotations'), undefined],
      [
        JSON.stringify(only(objects, 'NetworkPolicy', 'drills-xidrill-coordinator')).includes(
          '169.254.170.23',
        ),
        true,
      ],
      [
        JSON.stringify(only(objects, 'NetworkPolicy', 'drills-xidrill-agent')).includes('169.254.170.23'),
        false,
      ],
    ],
  },
  {
    name: 'the policies of another Karpenter are mounted as the file that the coordinator reads',
    values: { 'repair.karpenterPolicies': [karpenterPolicy] },
    shows: (objects) => [
      [
        argsOf(coordinatorOf(objects)).includes(
          '--karpenter-policies-file=/etc/xidrill/repair/policies.json',
        ),
        true,
      ],
      [mountsOf(coordinatorOf(objects), 'repair'), [['coordinator', true]]],
      [
        parsePolicies(policiesIn(objects)).map((one) => ({ ...one, reason: one.reason?.source })),
        [karpenterPolicy],
      ],
    ],
  },
  {
    name: 'nodes are restored: pods are deleted in the namespace of the monitoring agent, and nowhere else',
    values: { 'restore.enabled': true, 'nma.namespace': 'monitoring' },
    shows: (objects) => [
      [argsOf(coordinatorOf(objects)).includes('--restore'), true],
      [
        objects
          .filter((object) => deletesPods(object))
          .map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}`),
        ['Role monitoring'],
      ],
    ],
  },
  {
    name: 'Secrets, accounts and roles are somebody else’s',
    values: {
      'tls.source': 'secret',
      'tls.agent': { existingSecret: 'ours', serverName: 'agents.example' },
      'tls.coordinator.existingSecret': 'theirs',
      'agent.serviceAccount': { create: false },
      'coordinator.serviceAccount': { create: false, name: 'driller' },
      'rbac.create': false,
    },
    shows: (objects) => [
      ...['Secret', 'ServiceAccount', 'Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding'].map(
        (kind) => [kindsOf(objects).has(kind), false] as const,
      ),
      [at(agentOf(objects), 'serviceAccountName'), 'default'],
      [at(coordinatorOf(objects), 'serviceAccountName'), 'driller'],
      [secretsOf(agentOf(objects)), ['ours', 'theirs']],
      [secretsOf(coordinatorOf(objects)), ['ours', 'theirs']],
      [argsOf(coordinatorOf(objects)).includes('--agent-server-name=agents.example'), true],
    ],
  },
  {
    name: 'a cluster of IPv6, other ports',
    values: {
      'agent.listenHost': '[::]',
      'agent.port': 9999,
      'coordinator.listenHost': '[::]',
      'coordinator.port': 8999,
      'coordinator.service': { type: 'LoadBalancer', port: 80, annotations: { a: 'b' } },
    },
    shows: (objects) => [
      [argsOf(agentOf(objects))[0], '--listen=[::]:9999'],
      [argsOf(coordinatorOf(objects))[0], '--listen=[::]:8999'],
      [at(agentOf(objects), 'containers.0.ports.0'), { name: 'agent', containerPort: 9999, protocol: 'TCP' }],
      [at(only(objects, 'Service'), 'spec.ports.0.port'), 80],
    ],
  },
  {
    name: 'images by digest from a private registry',
    values: {
      imagePullSecrets: ['registry'],
      'agent.image': { repository: 'r.example/agent', digest: `sha256:${'a'.repeat(64)}` },
      'coordinator.image': { repository: 'r.example/coordinator', tag: 'v9', pullPolicy: 'Always' },
    },
    shows: (objects) => [
      [at(agentOf(objects), 'containers.0.image'), `r.example/agent@sha256:${'a'.repeat(64)}`],
      [at(coordinatorOf(objects), 'containers.0.image'), 'r.example/coordinator:v9'],
      [at(agentOf(objects), 'imagePullSecrets'), [{ name: 'registry' }]],
      [at(coordinatorOf(objects), 'imagePullSecrets'), [{ name: 'registry' }]],
    ],
  },
  {
    name: 'metrics, alerts and a dashboard',
    values: {
      'agent.podMonitor': { enabled: true, interval: '15s', labels: { release: 'prometheus' } },
      'coordinator.serviceMonitor': { enabled: true },
      'prometheusRule.enabled': true,
      'dashboard.enabled': true,
    },
    shows: (objects) => [
      [at(only(objects, 'PodMonitor'), 'metadata.labels.release'), 'prometheus'],
      [at(only(objects, 'PodMonitor'), 'spec.podMetricsEndpoints.0.interval'), '15s'],
      [at(only(objects, 'ServiceMonitor'), 'spec.endpoints.0.port'), 'http'],
      [
        at(only(objects, 'ServiceMonitor'), 'spec.endpoints.0.tlsConfig'),
        {
          serverName: 'drills-xidrill-coordinator.gpu-drills.svc',
          ca: { secret: { name: 'drills-xidrill-coordinator-tls', key: 'ca.crt' } },
        },
      ],
      [at(only(objects, 'PrometheusRule'), 'spec.groups.0.name'), 'xidrill'],
      [at(only(objects, 'ConfigMap'), 'metadata.labels.grafana_dashboard'), '1'],
    ],
  },
  {
    name: 'networks narrowed',
    values: {
      'agent.networkPolicy.extraFrom': [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }],
      'agent.networkPolicy.extraEgress': [{ ports: [{ port: 53, protocol: 'UDP' }] }],
      'coordinator.networkPolicy.from': [{ ipBlock: { cidr: '10.0.0.0/16' } }],
      'coordinator.networkPolicy.extraEgress': [{ to: [{ podSelector: {} }], ports: [{ port: 53 }] }],
      'networkPolicy.apiServer.cidrs': ['10.0.0.0/24', 'fd00::/64'],
      'networkPolicy.apiServer.ports': [8443],
    },
    shows: (objects) => {
      const agent = only(objects, 'NetworkPolicy', 'drills-xidrill-agent');
      const coordinator = only(objects, 'NetworkPolicy', 'drills-xidrill-coordinator');
      return [
        [at(agent, 'spec.ingress.0.from.length'), 2],
        ...[agent, coordinator].map(
          (policy, index) =>
            [
              at(policy, `spec.egress.${index}`),
              {
                ports: [{ port: 8443, protocol: 'TCP' }],
                to: [{ ipBlock: { cidr: '10.0.0.0/24' } }, { ipBlock: { cidr: 'fd00::/64' } }],
              },
            ] as const,
        ),
        [at(coordinator, 'spec.ingress.0.from.0.ipBlock.cidr'), '10.0.0.0/16'],
      ];
    },
  },
  {
    name: 'networks open',
    values: { 'agent.networkPolicy.enabled': false, 'coordinator.networkPolicy.enabled': false },
    shows: (objects) => [[kindsOf(objects).has('NetworkPolicy'), false]],
  },
  {
    name: 'placed by hand',
    values: {
      'agent.affinity': { nodeAffinity: {} },
      'agent.tolerations': [],
      'agent.nodeSelector': { pool: 'gpu' },
      'agent.updateStrategy.type': 'OnDelete',
      'agent.priorityClassName': '',
      'coordinator.avoidGpuNodes': 'preferred',
      'coordinator.tolerations': [{ key: 'system', operator: 'Exists', effect: 'NoSchedule' }],
      'coordinator.nodeSelector': { pool: 'system' },
      'coordinator.priorityClassName': 'high',
    },
    shows: (objects) => [
      [at(agentOf(objects), 'affinity'), { nodeAffinity: {} }],
      [at(agentOf(objects), 'nodeSelector.pool'), 'gpu'],
      [at(agentOf(objects), 'tolerations'), undefined],
      [at(agentOf(objects), 'priorityClassName'), undefined],
      [at(only(objects, 'DaemonSet'), 'spec.updateStrategy'), { type: 'OnDelete' }],
      [
        at(
          coordinatorOf(objects),
          'affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.weight',
        ),
        100,
      ],
      [at(coordinatorOf(objects), 'priorityClassName'), 'high'],
    ],
  },
  {
    name: 'names, labels, environment and objects besides',
    values: {
      fullnameOverride: 'fire',
      commonLabels: { team: 'gpu' },
      'coordinator.avoidGpuNodes': 'none',
      'coordinator.extraEnv': [{ name: 'NODE_EXTRA_CA_CERTS', value: '/ca.pem' }],
      'agent.podAnnotations': { note: 'x' },
      'agent.podLabels': { cost: 'y' },
      'nma.namespace': 'monitoring',
      'tests.enabled': false,
      extraObjects: [
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: '{{ .Release.Name }}-more' },
          data: { a: 'b' },
        },
      ],
    },
    shows: (objects) => [
      [only(objects, 'DaemonSet').metadata.name, 'fire-agent'],
      [at(only(objects, 'DaemonSet'), 'metadata.labels.team'), 'gpu'],
      [at(only(objects, 'DaemonSet'), 'spec.selector.matchLabels.team'), undefined],
      [at(coordinatorOf(objects), 'affinity.nodeAffinity'), undefined],
      [at(coordinatorOf(objects), 'containers.0.env.1.name'), 'NODE_EXTRA_CA_CERTS'],
      [only(objects, 'ConfigMap').metadata.name, 'drills-more'],
      [at(only(objects, 'Role', 'gpu-drills-fire-coordinator-monitor'), 'metadata.namespace'), 'monitoring'],
      [kindsOf(objects).has('Pod'), false],
    ],
  },
];

/** Whether a role lets somebody delete pods. */
function deletesPods(object: Rendered): boolean {
  const rules = (object.rules ?? []) as readonly {
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
  return rules.some(({ resources, verbs }) => resources.includes('pods') && verbs.includes('delete'));
}
