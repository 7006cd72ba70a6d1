import { at } from '../charts/render.ts';
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
              env: [
                { name: 'HOST_ROOT', value: '/host' },
                { name: 'KUBECONFIG', value: '/host/node/kubelet.kubeconfig' },
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

const engineLabels = { 'k8s-app': 'dcgm-server', version: 'v1' };

/** The monitoring agent's host engine (nma.md section 8.3), played by the stand-in, on the nodes with GPUs. */
const enginesOf = (command: readonly string[]): object => ({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'dcgm-server', namespace: monitorNamespace, labels: engineLabels },
  spec: {
    updateStrategy: { type: 'RollingUpdate' },
    selector: { matchLabels: engineLabels },
    template: {
      metadata: { labels: engineLabels },
      spec: {
        terminationGracePeriodSeconds: 1,
        nodeSelector: { 'nvidia.com/gpu.present': 'true' },
        containers: [
          {
            name: 'eks-node-monitoring-agent-dcgm',
            image: imageNames.dcgm,
            command,
            env: [{ name: 'STUB_SECONDS', value: '3600' }],
            ports: [{ containerPort: 5555, hostPort: 5555 }],
            securityContext: { privileged: true },
          },
        ],
      },
    },
  },
});

/** A merge patch to such objects of their DaemonSet, whose pods become so only when somebody deletes them. */
export const whenDeleted = ([object]: readonly object[]): object => ({
  spec: {
    updateStrategy: { type: 'OnDelete', rollingUpdate: null },
    template: at(object, 'spec.template'),
  },
});

const engine = ['nv-hostengine', '-n', '-b', 'ALL'];

/** As the add-on has them: with a dcgmi of their own. */
export const engineObjects: readonly object[] = [enginesOf(engine)];

/** Without it, as an engine that is a process of the host is for an agent in a pod. */
export const enginesWithoutDcgmi: readonly object[] = [
  enginesOf(['sh', '-c', `rm /usr/bin/dcgmi && exec ${engine.join(' ')}`]),
];
