/** Where a rule stands, and when it was read. */
export type Edition = {
  /** URL, or repository and file. */
  readonly source: string;
  /** Date of the reading, as a month or a day. */
  readonly read: string;
};

/** `replace or reboot`: the documentation names both and leaves it to the reason. */
export type RepairAction = 'replace' | 'reboot' | 'replace or reboot' | 'none';

/** What one edition of the EKS user guide says per reason, for managed node groups. */
export type ReasonTable = {
  readonly edition: Edition;
  readonly rows: readonly { readonly pattern: RegExp; readonly action: RepairAction }[];
};

const guide = 'https://docs.aws.amazon.com/eks/latest/userguide';
/** Waits, actions and who repairs by default. */
export const repairPage: Edition = { source: `${guide}/node-repair.html`, read: '2026-11' };

/** Newest first. The editions differ, so that an answer names the one it is from (field-cases F11). */
export const reasonTables: readonly ReasonTable[] = [
  {
    edition: {
      source: `${guide}/node-health-nma.html, Xids as users quoted them with NMA 1.7.2`,
      read: '2026-11',
    },
    rows: [
      { pattern: /^NvidiaXID(64|74|79|119|120|151)Error$/, action: 'replace' },
      { pattern: /^NvidiaXID(48|63|95|109|143)Error$/, action: 'reboot' },
    ],
  },
  {
    // awsdocs/amazon-eks-user-guide latest/ug/nodes/node-health-nma.adoc, commit 518e553.
    edition: {
      source: `${guide}/node-health-nma.html, edition with the Xids of NMA up to 1.6.3`,
      read: '2026-11',
    },
    rows: [
      { pattern: /^(DCGMError|DCGMDiagnosticFailure|DCGMHealthCode\d+)$/, action: 'none' },
      { pattern: /^(NvidiaDoubleBitError|NvidiaNVLinkError)$/, action: 'replace' },
      {
        pattern: /^Neuron(DMAError|HBMUncorrectableError|NCUncorrectableError|SRAMUncorrectableError)$/,
        action: 'replace',
      },
      { pattern: /^NvidiaXID(74|79|119|120|121|140)Error$/, action: 'replace' },
      { pattern: /^NvidiaXID(13|31|48|63|64|94|95)Error$/, action: 'reboot' },
    ],
  },
];

/** A condition that EKS auto repair acts on, with the time that it waits first. */
export type ConditionRow = {
  /** Condition type on the Node. */
  readonly type: string;
  /** The statuses that start the clock. */
  readonly unhealthy: readonly ('False' | 'Unknown' | 'True')[];
  /** Counted from the condition's transition to one of them. */
  readonly waitSeconds: number;
  readonly action: RepairAction;
  readonly edition: Edition;
};

/** Default wait and action per condition. A reason's own row decides on the action before these. */
export const conditionRows: readonly ConditionRow[] = [
  {
    type: 'AcceleratedHardwareReady',
    unhealthy: ['False'],
    waitSeconds: 600,
    action: 'replace or reboot',
    edition: repairPage,
  },
  ...['ContainerRuntimeReady', 'KernelReady', 'NetworkingReady', 'StorageReady'].map(
    (type): ConditionRow => ({
      type,
      unhealthy: ['False'],
      waitSeconds: 1800,
      action: 'replace',
      edition: repairPage,
    }),
  ),
  // An unresponsive kubelet is Ready=Unknown (node lifecycle controller).
  {
    type: 'Ready',
    unhealthy: ['False', 'Unknown'],
    waitSeconds: 1800,
    action: 'replace',
    edition: repairPage,
  },
  ...['DiskPressure', 'MemoryPressure', 'PIDPressure'].map(
    (type): ConditionRow => ({
      type,
      unhealthy: ['True'],
      waitSeconds: 0,
      action: 'none',
      edition: repairPage,
    }),
  ),
];

/** EKS: a group with more than five nodes pauses while more than a fifth of it is unhealthy. */
export const managedGroupLimits = { smallestCounted: 5, unhealthyShare: 0.2, edition: repairPage } as const;

/** Karpenter core, both its old controller and the disruption method: rounded up, the target included. */
export const karpenterLimits = {
  unhealthyShare: 0.2,
  edition: {
    source: 'kubernetes-sigs/karpenter pkg/controllers/node/health v1.14.3, disruption/repair.go v1.15.0',
    read: '2026-11',
  },
} as const;

/** One entry of `nodeRepairConfigOverrides`: it wins over wait and action of the tables above. */
export type NodeRepairOverride = {
  /** Condition type. */
  readonly nodeMonitoringCondition: string;
  /** Reason, compared as a whole. */
  readonly nodeUnhealthyReason: string;
  readonly minRepairWaitTimeMins?: number;
  readonly repairAction?: 'Replace' | 'Reboot' | 'NoAction';
};

/** `nodegroup.nodeRepairConfig` of EKS DescribeNodegroup, by the API's names (API_NodeRepairConfig). */
export type NodeRepairConfig = {
  readonly enabled: boolean;
  /** Above this many unhealthy nodes repair pauses; excludes the percentage. */
  readonly maxUnhealthyNodeThresholdCount?: number;
  readonly maxUnhealthyNodeThresholdPercentage?: number;
  readonly nodeRepairConfigOverrides?: readonly NodeRepairOverride[];
};
