/** Who would repair the node. */
export type RepairController =
  | 'EKS managed node group auto repair'
  | 'EKS Auto Mode'
  | 'Karpenter'
  | 'SageMaker HyperPod';

/** One kind of owner, found by a label of its nodes. */
export type OwnerRow = {
  /** Node label. */
  readonly label: string;
  /** Absent: whatever its value. */
  readonly value?: string;
  /** undefined: nothing in the cluster repairs such a node. */
  readonly controller: RepairController | undefined;
  /** What the owner is called; the label's value follows it where the row has none. */
  readonly shown: string;
  /** Where the label is documented. */
  readonly source: string;
};

const userGuide = 'https://docs.aws.amazon.com/eks/latest/userguide';

/**
 * The narrowest first: nodes of HyperPod and Auto Mode carry labels of Karpenter or of a group besides. A node that
 * none fits belongs to nobody that is known.
 */
export const ownerRows: readonly OwnerRow[] = [
  {
    label: 'sagemaker.amazonaws.com/compute-type',
    value: 'hyperpod',
    controller: 'SageMaker HyperPod',
    shown: 'SageMaker HyperPod',
    // NMA's chart leaves these nodes out by the same label.
    source: 'aws/eks-node-monitoring-agent charts, affinity of the DaemonSets',
  },
  {
    label: 'eks.amazonaws.com/compute-type',
    value: 'auto',
    controller: 'EKS Auto Mode',
    shown: 'EKS Auto Mode',
    source: `${userGuide}/node-repair.html`,
  },
  {
    label: 'eks.amazonaws.com/compute-type',
    value: 'hybrid',
    controller: undefined,
    shown: 'EKS Hybrid Nodes, which are machines of your own',
    source: `${userGuide}/hybrid-nodes-overview.html`,
  },
  {
    label: 'eks.amazonaws.com/nodegroup',
    controller: 'EKS managed node group auto repair',
    shown: 'managed node group',
    source: `${userGuide}/node-repair.html`,
  },
  {
    label: 'karpenter.sh/nodepool',
    controller: 'Karpenter',
    shown: 'Karpenter node pool',
    source: 'kubernetes-sigs/karpenter pkg/apis/v1/labels.go',
  },
  {
    // A NodeClaim that somebody made by hand has no pool.
    label: 'karpenter.sh/registered',
    controller: 'Karpenter',
    shown: 'Karpenter, without a node pool: registered',
    source: 'kubernetes-sigs/karpenter pkg/apis/v1/labels.go',
  },
  {
    label: 'alpha.eksctl.io/nodegroup-name',
    controller: undefined,
    shown: 'self-managed node group of eksctl',
    source: 'eksctl-io/eksctl pkg/apis/eksctl.io/v1alpha5',
  },
];

/** An owner with what its label says. */
export type Owner = OwnerRow & { readonly observed: string };

/**
 * All that claim the node, the one that decides first. HyperPod and Auto Mode decide alone; a node with the labels of a
 * group and of a Karpenter has two.
 */
export function ownersOf(labels: Readonly<Record<string, string>>): readonly Owner[] {
  const fitting = ownerRows.flatMap((row) => {
    const observed = labels[row.label];
    if (observed === undefined || (row.value !== undefined && row.value !== observed)) return [];
    return [{ ...row, observed }];
  });
  const [first] = fitting;
  if (first === undefined || first.value !== undefined) return fitting.slice(0, 1);
  // One forecast per controller: a registered node of a pool is the pool's, and eksctl labels managed groups as well.
  const controllers = fitting.filter(({ controller }) => controller !== undefined);
  if (controllers.length === 0) return [first];
  return controllers.filter(
    (owner, index) => controllers.findIndex(({ controller }) => controller === owner.controller) === index,
  );
}

/** The pool of a node in words, by its labels: `managed node group g1`; undefined: it belongs to nothing that is known. */
export function poolText(labels: Readonly<Record<string, string>>): string | undefined {
  const [owner] = ownersOf(labels);
  return owner === undefined ? undefined : ownerText(owner);
}

/** `managed node group g1`. */
export function ownerText({ shown, value, observed }: Owner): string {
  return value === undefined ? `${shown} ${observed}` : shown;
}
