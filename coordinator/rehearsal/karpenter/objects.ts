import type { RepairPolicy } from '../../catalogue/repair/policies.ts';
import type { JsonObject, KubeObject } from '../../cluster/port.ts';

/** What a rehearsal's Karpenter is installed with. */
export type KarpenterRow = {
  /** Of its image; it decides how nodes are repaired. */
  readonly version: string;
  /** Feature gate NodeRepair; off by default, as in the chart. */
  readonly nodeRepair: boolean;
  /** What it repairs and after which wait; the coordinator knows the same. Absent: the policies of the AWS provider. */
  readonly policies?: readonly RepairPolicy[];
  /** `spec.disruption.budgets` of every NodePool; absent: the default of the definition, 10 %. */
  readonly budgets?: readonly JsonObject[];
  /** From the NodeClaim to the Ready Node, seconds. Default 40. */
  readonly launchSeconds?: number;
  /** From the drained node until its instance is gone, seconds. Default 20. */
  readonly terminateSeconds?: number;
};

/** Karpenter's finalizer on its Nodes and NodeClaims (karpenter pkg/apis/v1/labels.go). */
export const terminationFinalizer = 'karpenter.sh/termination';

const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** Karpenter's definitions, without its schemas: the stand-in takes what the real one would check. */
export function karpenterDefinitions(): readonly KubeObject[] {
  return (['NodeClaim', 'NodePool'] as const).map((kind) => {
    const plural = `${kind.toLowerCase()}s`;
    return {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${plural}.karpenter.sh` },
      spec: {
        group: 'karpenter.sh',
        scope: 'Cluster',
        names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            subresources: { status: {} },
            schema: { openAPIV3Schema: { type: 'object', properties: { spec: open, status: open } } },
          },
        ],
      },
    };
  });
}

/** A pool whose nodes Karpenter repairs within these budgets. */
export function nodePoolObject(name: string, budgets: readonly JsonObject[] | undefined): KubeObject {
  return {
    apiVersion: 'karpenter.sh/v1',
    kind: 'NodePool',
    metadata: { name },
    spec: budgets === undefined ? {} : { disruption: { budgets } },
  };
}

/** A NodeClaim of a pool, before its instance is launched. */
export function nodeClaimObject(name: string, pool: string): KubeObject {
  return {
    apiVersion: 'karpenter.sh/v1',
    kind: 'NodeClaim',
    metadata: { name, labels: { 'karpenter.sh/nodepool': pool }, finalizers: [terminationFinalizer] },
    spec: {},
  };
}

/** What ties a Node to the NodeClaim that it was made from. */
export function madeFrom(node: KubeObject, claim: KubeObject): KubeObject {
  const { apiVersion, kind, metadata } = claim;
  const { name, uid = '' } = metadata;
  return {
    ...node,
    metadata: {
      ...node.metadata,
      finalizers: [terminationFinalizer],
      ownerReferences: [{ apiVersion, kind, name, uid }],
    },
  };
}

/** Karpenter's Deployment as its chart renders it: every gate is named (karpenter.md §1). */
export function karpenterDeployment({ version, nodeRepair }: KarpenterRow, namespace: string): KubeObject {
  const labels = { 'app.kubernetes.io/name': 'karpenter' };
  const env = [{ name: 'FEATURE_GATES', value: `NodeRepair=${nodeRepair},StaticCapacity=false` }];
  const image = `public.ecr.aws/karpenter/controller:${version}`;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'karpenter', namespace, labels },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'controller', image, env }] } },
    },
  };
}
