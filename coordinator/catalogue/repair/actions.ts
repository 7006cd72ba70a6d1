/** Where a rule stands, and when it was read. */
export type Edition = {
  /** URL, or repository and file. */
  readonly source: string /** Date of the reading, as a month or a day. */;
  readonly read: string;
};

/** `replace or reboot`: the documentation names both and leaves it to the reason. */
export type RepairAction = 'replace' | 'reboot' | 'replace or reboot' | 'none';

/** What AWS documents per reason, for managed node groups. It changes from edition to edition, hence data. */
export type ReasonRow = {
  /** Of the condition's reason. */
  readonly pattern: RegExp;
  readonly action: RepairAction;
  readonly edition: Edition;
};

const healthPage: Edition = {
  source: 'https://docs.aws.amazon.com/eks/latest/userguide/node-health-nma.html',
  read: '2026-11',
};
const healthPage2024: Edition = {
  source: 'https://docs.aws.amazon.com/eks/latest/userguide/node-health.html, edition of December 2024',
  read: '2026-11',
};
const repairPage: Edition = {
  source: 'https://docs.aws.amazon.com/eks/latest/userguide/node-repair.html',
  read: '2026-11',
};

/** First match counts. A reason that is not here falls back to its condition's row. */
export const reasonRows: readonly ReasonRow[] = [
  { pattern: /^(DCGMError|DCGMDiagnosticFailure)$/, action: 'none', edition: healthPage },
  {
    pattern: /^NvidiaXID(74|79|119|120|121|140)(Error|Warning)$/,
    action: 'replace',
    edition: healthPage2024,
  },
  { pattern: /^(NvidiaDoubleBitError|NvidiaNVLinkError)$/, action: 'replace', edition: healthPage2024 },
  { pattern: /^NvidiaXID(13|31|48|63|64|94|95)(Error|Warning)$/, action: 'reboot', edition: healthPage2024 },
];

/** A condition that EKS auto repair acts on, with the time that it waits first. */
export type ConditionRow = {
  /** Condition type on the Node. */
  readonly type: string;
  /** The status that starts the clock. */
  readonly unhealthy: 'False' | 'True';
  /** Counted from the condition's transition to `unhealthy`. */
  readonly waitSeconds: number;
  readonly action: RepairAction;
  readonly edition: Edition;
};

/** Default wait and action per condition. Karpenter's AWS provider has the same waits (repair.md). */
export const conditionRows: readonly ConditionRow[] = [
  {
    type: 'AcceleratedHardwareReady',
    unhealthy: 'False',
    waitSeconds: 600,
    action: 'replace or reboot',
    edition: repairPage,
  },
  ...['ContainerRuntimeReady', 'KernelReady', 'NetworkingReady', 'StorageReady', 'Ready'].map(
    (type): ConditionRow => ({
      type,
      unhealthy: 'False',
      waitSeconds: 1800,
      action: 'replace',
      edition: repairPage,
    }),
  ),
  ...['DiskPressure', 'MemoryPressure'].map(
    (type): ConditionRow => ({
      type,
      unhealthy: 'True',
      waitSeconds: 0,
      action: 'none',
      edition: repairPage,
    }),
  ),
];

/** EKS: a group with more than five nodes pauses while more than a fifth of it is unhealthy. */
export const managedGroupLimits = { smallestCounted: 5, unhealthyShare: 0.2, edition: repairPage } as const;

/** Karpenter core pkg/controllers/node/health at v1.14.1. Rounded up, the target included. */
export const karpenterLimits = {
  unhealthyShare: 0.2,
  retrySeconds: 300,
  edition: { source: 'kubernetes-sigs/karpenter pkg/controllers/node/health, v1.14.1', read: '2026-11' },
} as const;
