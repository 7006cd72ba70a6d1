import { imageNames } from './program-images.ts';

/** Where the monitoring agent's add-on is installed. */
export const monitorNamespace = 'kube-system';

const labels = { 'app.kubernetes.io/name': 'eks-node-monitoring-agent' };
const meta = { name: 'eks-node-monitoring-agent', namespace: monitorNamespace, labels };

/**
 * The monitoring agent's objects, named, labelled and mounted as its chart has them (nma.md section 8.1), with the
 * rehearsal's process in them. Like the real one it writes with the kubelet's identity, which it finds below /host.
 */
export const monitorObjects: readonly object[] = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta },
  {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: meta,
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: meta.name,
          hostNetwork: true,
          hostPID: true,
          priorityClassName: 'system-node-critical',
          terminationGracePeriodSeconds: 1,
          tolerations: [{ operator: 'Exists' }],
          nodeSelector: { 'kubernetes.io/os': 'linux' },
          containers: [
            {
              name: meta.name,
              image: imageNames.monitor,
              args: [
                '--kubeconfig=/host/node/kubelet.kubeconfig',
                '--node=$(MY_NODE_NAME)',
                '--version=1.6.4',
                '--host-root=/host',
              ],
              env: [
                { name: 'HOST_ROOT', value: '/host' },
                { name: 'MY_NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
              ],
              securityContext: { privileged: true, capabilities: { add: ['NET_ADMIN'] } },
              volumeMounts: [{ name: 'host-root', mountPath: '/host' }],
            },
          ],
          volumes: [{ name: 'host-root', hostPath: { path: '/' } }],
        },
      },
    },
  },
];
