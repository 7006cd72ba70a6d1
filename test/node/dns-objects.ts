import { network } from './network.ts';
import { imageNames } from './program-images.ts';

const meta = { name: 'coredns', namespace: 'kube-system' };
const labels = { app: 'coredns' };
const read = (apiGroups: readonly string[], resources: readonly string[]) => ({
  apiGroups,
  resources,
  verbs: ['list', 'watch'],
});

/** The cluster's DNS, at the address that kubelets give to pods. */
export const dnsObjects: readonly object[] = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: meta.name },
    rules: [read([''], ['services', 'pods', 'namespaces']), read(['discovery.k8s.io'], ['endpointslices'])],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: meta.name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: meta.name },
    subjects: [{ kind: 'ServiceAccount', ...meta }],
  },
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: meta,
    data: { Corefile: '.:53 {\n  ready\n  errors\n  kubernetes cluster.local\n}\n' },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...meta, name: 'kube-dns' },
    spec: {
      clusterIP: network.dns,
      selector: labels,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      ],
    },
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: meta,
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: meta.name,
          priorityClassName: 'system-cluster-critical',
          terminationGracePeriodSeconds: 1,
          tolerations: [{ operator: 'Exists' }],
          nodeSelector: { 'kubernetes.io/hostname': 'system-1' },
          dnsPolicy: 'Default',
          containers: [
            {
              name: meta.name,
              image: imageNames.dns,
              args: ['-conf', '/etc/coredns/Corefile'],
              readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 1 },
              volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
            },
          ],
          volumes: [{ name: 'config', configMap: { name: meta.name } }],
        },
      },
    },
  },
];
