import { compareVersions } from '../../../shared/compare-versions.ts';
import type { Edition } from './eks.ts';
import type { RepairPolicy } from './policies.ts';

/**
 * How a Karpenter repairs. `none`: it has no node repair. `forced`: it deletes the NodeClaim at once and overrides
 * PodDisruptionBudgets, budgets and annotations. `voluntary`: repair is a disruption like the others, so that NodePool
 * budgets, `karpenter.sh/do-not-repair` and the room for the pods decide, and a replacement is started first.
 */
export type KarpenterEngine = 'none' | 'forced' | 'voluntary';

/** What changed in Karpenter's node repair from this version on. A new version is one row. */
export type KarpenterVersion = {
  /** First version that repairs so. */
  readonly from: string;
  readonly engine: KarpenterEngine;
  /** Those of the AWS provider; Karpenter core has none of its own. */
  readonly policies: readonly RepairPolicy[];
  readonly edition: Edition;
};

const aws = 'aws/karpenter-provider-aws pkg/cloudprovider/cloudprovider.go';
const [tenMinutes, thirtyMinutes] = [600, 1800];

const kubeletPolicies: readonly RepairPolicy[] = (['False', 'Unknown'] as const).map((status) => ({
  type: 'Ready',
  status,
  waitSeconds: thirtyMinutes,
  action: 'replace',
}));

const otherMonitors = ['StorageReady', 'NetworkingReady', 'KernelReady', 'ContainerRuntimeReady'];

/** From 1.2 to 1.14, and from 1.15 with LEGACY_NODE_REPAIR: the reason does not matter. */
export const forcedPolicies: readonly RepairPolicy[] = [
  { type: 'AcceleratedHardwareReady', status: 'False', waitSeconds: tenMinutes, action: 'replace' },
  ...kubeletPolicies,
  ...otherMonitors.map(
    (type): RepairPolicy => ({ type, status: 'False', waitSeconds: thirtyMinutes, action: 'replace' }),
  ),
];

/** From 1.15 on: two lists of Xids wait 10 min, every other reason of the GPU condition 30 min. */
const voluntaryPolicies: readonly RepairPolicy[] = [
  {
    type: 'AcceleratedHardwareReady',
    status: 'False',
    reason: /XID(46|48|54|62|63|95|109|110|136|140|143|155|156|158)/,
    waitSeconds: tenMinutes,
    action: 'reboot',
    drainSeconds: 300,
  },
  {
    type: 'AcceleratedHardwareReady',
    status: 'False',
    reason: /XID(64|74|79|119|120)/,
    waitSeconds: tenMinutes,
    action: 'replace',
    drainSeconds: 300,
  },
  {
    type: 'AcceleratedHardwareReady',
    status: 'False',
    waitSeconds: thirtyMinutes,
    action: 'replace',
    drainSeconds: 600,
  },
  ...kubeletPolicies.map((policy): RepairPolicy => ({ ...policy, drainSeconds: 600 })),
  ...otherMonitors.map(
    (type): RepairPolicy => ({
      type,
      status: 'False',
      waitSeconds: thirtyMinutes,
      action: 'replace',
      drainSeconds: 600,
    }),
  ),
];

/** Oldest first. */
export const karpenterVersions: readonly KarpenterVersion[] = [
  {
    from: '0.0.0',
    engine: 'none',
    policies: [],
    edition: { source: 'kubernetes-sigs/karpenter pkg/operator/options, v1.0.0', read: '2026-11' },
  },
  {
    from: '1.1.0',
    engine: 'forced',
    policies: kubeletPolicies,
    edition: { source: `${aws}, v1.1.0`, read: '2026-11' },
  },
  {
    from: '1.2.0',
    engine: 'forced',
    policies: forcedPolicies,
    edition: { source: `${aws}, v1.2.0 to v1.14.1`, read: '2026-11' },
  },
  {
    from: '1.15.0',
    engine: 'voluntary',
    policies: voluntaryPolicies,
    edition: { source: `${aws}, v1.15.2`, read: '2026-11' },
  },
];

/** The newest version whose source was read. */
export const newestKarpenterRead = '1.15.2';

/** Which row judges; `row` undefined: the image names no version. */
export type FoundKarpenterVersion = {
  readonly row: KarpenterVersion | undefined;
  /** Such as `1.15.0`; undefined: not named. */
  readonly version: string | undefined;
  /** Why that is not certain; empty where it is. */
  readonly note: string;
};

/** By the tag of the image of Karpenter's Deployment. A digest alone, `latest` and other names say nothing. */
export function findKarpenterVersion(image: string): FoundKarpenterVersion {
  const [reference = ''] = image.split('@', 1);
  const tag = reference.slice(reference.lastIndexOf('/') + 1).split(':')[1] ?? '';
  // A pre-release such as `1.15.0-rc.1` behaves as what it leads to; a suffix of a mirror changes nothing.
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+_.].*)?$/.exec(tag);
  // A build of one's own is 0.0.0 by Go's and Helm's habit, and may be of any version.
  if (match === null || /^v?0\.0\.0(?!\d)/.test(tag)) {
    const note = `image ${image || '(none)'} names no version: up to 1.14 a repair is forced, from 1.15 on it is voluntary`;
    return { row: undefined, version: undefined, note };
  }
  const version = [match[1], match[2], match[3] ?? '0'].map(Number).join('.');
  const row = karpenterVersions.findLast(({ from }) => compareVersions(from, version) <= 0);
  const note =
    compareVersions(version, newestKarpenterRead) > 0
      ? `${version} is newer than ${newestKarpenterRead}, the newest whose source was read, and judged as that`
      : '';
  return { row, version, note };
}
