import { eventNamespace } from '../catalogue/nma/conditions.ts';
import type { KubeObject, ListQuery, ResourceName } from '../cluster/port.ts';
import {
  projectEvent,
  projectNode,
  projectNodeClaim,
  projectOwn,
  projectPod,
  projectWorkload,
} from './projections.ts';

/** Labels of the monitoring agent's chart (nma.md §8) and of Karpenter's. */
const nmaSelector = 'app.kubernetes.io/name=eks-node-monitoring-agent';
const dcgmServerSelector = 'k8s-app=dcgm-server';
const karpenterSelector = 'app.kubernetes.io/name=karpenter';

/** The labels of the agent's pods; the chart sets them. */
export const agentSelector = 'app.kubernetes.io/name=xidrill,app.kubernetes.io/component=agent';

/** A kind that the view keeps, and how much of each object. */
export type KindRow = {
  readonly resource: ResourceName;
  /** Reduces an object on arrival. */
  readonly project: (object: KubeObject) => KubeObject;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** `own`: the namespace that experiments live in. Absent: all namespaces. */
  readonly namespace?: 'own' | typeof eventNamespace;
  /** Objects per page of a list; absent: the client's default. */
  readonly pageSize?: number;
  /** Without it nothing can be drilled or judged, so that the view is not ready before its first list. */
  readonly isEssential: boolean;
  /** What it is, for messages. */
  readonly shown: string;
};

/** Every kind that the view holds, each with one list and one watch. A row is all that a new kind needs. */
export const kinds = {
  nodes: {
    resource: 'nodes',
    project: projectNode,
    // A page of 100 nodes of 21 KB is 2 MB; of the default 500 it would be 10.
    pageSize: 100,
    isEssential: true,
    shown: 'nodes',
  },
  events: {
    resource: 'events',
    project: projectEvent,
    namespace: eventNamespace,
    fieldSelector: 'involvedObject.kind=Node',
    isEssential: true,
    shown: 'events of nodes',
  },
  experiments: {
    resource: 'experiments',
    project: projectOwn,
    namespace: 'own',
    isEssential: true,
    shown: 'experiments',
  },
  injections: {
    resource: 'injections',
    project: projectOwn,
    namespace: 'own',
    isEssential: true,
    shown: 'injections',
  },
  agentPods: {
    resource: 'pods',
    project: projectPod,
    // Not anywhere: labels can be set by whoever may make a pod in some namespace.
    namespace: 'own',
    labelSelector: agentSelector,
    isEssential: false,
    shown: 'pods of our agents',
  },
  nmaPods: {
    resource: 'pods',
    project: projectPod,
    labelSelector: nmaSelector,
    isEssential: false,
    shown: 'pods of NMA',
  },
  dcgmServerPods: {
    resource: 'pods',
    project: projectPod,
    labelSelector: dcgmServerSelector,
    isEssential: false,
    shown: 'pods of dcgm-server',
  },
  nmaDaemonSets: {
    resource: 'daemonsets',
    project: projectWorkload,
    labelSelector: nmaSelector,
    isEssential: false,
    shown: 'DaemonSets of NMA',
  },
  dcgmServerDaemonSets: {
    resource: 'daemonsets',
    project: projectWorkload,
    labelSelector: dcgmServerSelector,
    isEssential: false,
    shown: 'DaemonSets of dcgm-server',
  },
  karpenterDeployments: {
    resource: 'deployments',
    project: projectWorkload,
    labelSelector: karpenterSelector,
    isEssential: false,
    shown: 'Deployments of Karpenter',
  },
  nodeClaims: {
    resource: 'nodeclaims',
    project: projectNodeClaim,
    isEssential: false,
    shown: 'NodeClaims of Karpenter',
  },
} as const satisfies Record<string, KindRow>;

/** A row of `kinds`; pods have one for each role. */
export type ViewKind = keyof typeof kinds;

/** In the order in which their reflectors start. */
export const viewKinds = Object.keys(kinds) as readonly ViewKind[];

/** What list and watch of a kind ask for. */
export function queryOf(row: KindRow, ownNamespace: string): ListQuery {
  const { project, labelSelector, fieldSelector, namespace, pageSize } = row;
  return {
    project,
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(namespace === undefined ? {} : { namespace: namespace === 'own' ? ownNamespace : namespace }),
    ...(pageSize === undefined ? {} : { pageSize }),
  };
}
