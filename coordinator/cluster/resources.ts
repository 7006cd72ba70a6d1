/** The kinds that we touch. A row is all that a new kind needs. */
export const resources = {
  nodes: { apiVersion: 'v1', kind: 'Node', plural: 'nodes', namespaced: false },
  pods: { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true },
  events: { apiVersion: 'v1', kind: 'Event', plural: 'events', namespaced: true },
  namespaces: { apiVersion: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false },
  serviceaccounts: { apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts', namespaced: true },
  configmaps: { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', namespaced: true },
  daemonsets: { apiVersion: 'apps/v1', kind: 'DaemonSet', plural: 'daemonsets', namespaced: true },
  deployments: { apiVersion: 'apps/v1', kind: 'Deployment', plural: 'deployments', namespaced: true },
  poddisruptionbudgets: {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    plural: 'poddisruptionbudgets',
    namespaced: true,
  },
  leases: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases', namespaced: true },
  customresourcedefinitions: {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    plural: 'customresourcedefinitions',
    namespaced: false,
  },
  experiments: {
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Experiment',
    plural: 'experiments',
    namespaced: true,
  },
  injections: {
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Injection',
    plural: 'injections',
    namespaced: true,
  },
  nodepools: { apiVersion: 'karpenter.sh/v1', kind: 'NodePool', plural: 'nodepools', namespaced: false },
  nodeclaims: { apiVersion: 'karpenter.sh/v1', kind: 'NodeClaim', plural: 'nodeclaims', namespaced: false },
} as const satisfies Record<string, ResourceRow>;

/** How a kind is addressed: API version, kind, and plural as in the URL. */
export type ResourceRow = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** False: cluster-wide. */
  readonly namespaced: boolean;
};
