import { compareVersions } from '../../../shared/compare-versions.ts';

/** One released version of the EKS Node Monitoring Agent (NMA), as far as it matters to a drill. */
export type NmaVersion = {
  /** Without a `v` and without the build of the add-on: `1.6.4`. */
  readonly version: string;
  /** Release date; null where it is not known. */
  readonly released: string | null;
  /** `account`: known only from one user's notes. */
  readonly knownFrom: 'source' | 'release notes' | 'account';
  /** The version whose rules stand in for what an account leaves open; absent: nothing is left open. */
  readonly otherwiseAs?: string;
  /** Xids that end in the condition; every other one is an event. */
  readonly fatalXids: readonly number[];
  /** On arm64 outside EKS Auto all DCGM detection is off, and the condition is True all the same (nma.md §4.3). */
  readonly arm64Gate: boolean;
  /** Reason of AcceleratedHardwareReady=True. */
  readonly nvidiaReadyReason: string;
  /** Message of AcceleratedHardwareReady=True. */
  readonly nvidiaReadyMessage: string;
  /** The DCGM release of the host engine that the chart installs beside it. */
  readonly engineVersion: string;
  /**
   * Where the chart's engine comes from (nma.md §1.6). `dcgm-exporter`: run by a shell that outlives it, so that a killed
   * engine does not come back. `agent`: PID 1 of its container, restarted by the kubelet.
   */
  readonly engineImage: 'dcgm-exporter' | 'agent';
  /** What NvidiaDeviceCountMismatch is. */
  readonly deviceCountSeverity: 'fatal' | 'warning';
  /** Whether the number of GPUs is also compared with the instance type. */
  readonly expectsGpuCount: boolean;
  /** The fields of the field group `watch`: by them an engine shows that this version is connected. */
  readonly watchedFields: readonly number[];
  /** What becomes of fields 170 and 174: nothing, any bit of the mask is a fault, or the mask is decoded. */
  readonly fabricRule: 'none' | 'any bit' | 'decoded';
  /** A policy threshold that another client has set on the engine stays. */
  readonly keepsPolicyThresholds: boolean;
  /** Health code 71 from a lifetime NVLink counter is only a warning. */
  readonly lifetimeNvlinkIsWarning: boolean;
  /** The first log line names the version. */
  readonly logsVersion: boolean;
  /** How log lines below info are labelled. */
  readonly debugLevelText: 'debug' | 'Level(-2)';
  /** A condition that is False gets a new lastTransitionTime with each change of its reason (issues 39, 52). */
  readonly movesTransitionTime: boolean;
  /** The program that runs the kubelet's credential plugin on the host; error messages name it. */
  readonly chrootPath: string;
  /** What changed with it, for people (FAULTS.md). */
  readonly notes: readonly string[];
  /** URL of what it was read from. */
  readonly source: string;
};

/** A release: what changed since the row before it. Xids, fields and engine are those of nma.md §7. */
type Release = Partial<NmaVersion> & Pick<NmaVersion, 'version' | 'released' | 'knownFrom' | 'notes'>;

const releasePages = 'https://github.com/aws/eks-node-monitoring-agent/releases/tag';

/** The first release whose source was read; the others say how they differ from it. */
const baseline: NmaVersion = {
  version: '1.6.0',
  released: '2026-03-11',
  knownFrom: 'source',
  fatalXids: [13, 31, 48, 63, 64, 74, 79, 94, 95, 119, 120, 121, 140],
  arm64Gate: true,
  nvidiaReadyReason: 'NvidiaGPUIsReady',
  nvidiaReadyMessage: 'Monitoring for the Nvidia GPU system is active',
  engineVersion: '4.5.2',
  engineImage: 'dcgm-exporter',
  deviceCountSeverity: 'warning',
  expectsGpuCount: false,
  watchedFields: [112, 856, 857],
  fabricRule: 'none',
  keepsPolicyThresholds: false,
  lifetimeNvlinkIsWarning: false,
  logsVersion: false,
  debugLevelText: 'Level(-2)',
  movesTransitionTime: false,
  chrootPath: '/opt/bin/chroot',
  notes: [
    'the host engine runs from the image dcgm-exporter:4.5.2-4.8.1, in a shell that stays when the engine ends',
  ],
  source: `${releasePages}/v1.6.0`,
};

/** Older than the baseline, oldest first: what is known of each, and all else as the baseline. */
const accounts: readonly Release[] = [
  {
    version: '1.4.3',
    released: null,
    knownFrom: 'account',
    nvidiaReadyReason: 'NvidiaAcceleratedHardwareIsReady',
    nvidiaReadyMessage: 'Monitoring for the Nvidia AcceleratedHardware system is active',
    chrootPath: '/opt/amazon/bin/chroot',
    movesTransitionTime: true,
    notes: [
      'known: the arm64 gate, the ready reason, the chroot path in the credential error, and that each change of the reason moves the transition time',
    ],
    source: 'https://github.com/aws/eks-node-monitoring-agent/issues/23',
  },
];

/** Newer than the baseline, in the order of their release. A new version is one more row here, and nothing else. */
const releases: readonly Release[] = [
  { version: '1.6.1', released: '2026-03-17', knownFrom: 'source', notes: ['Calico chains are allowed'] },
  {
    version: '1.6.2',
    released: '2026-03-23',
    knownFrom: 'source',
    deviceCountSeverity: 'fatal',
    notes: ['NvidiaDeviceCountMismatch became fatal'],
  },
  {
    version: '1.6.3',
    released: '2026-04-03',
    knownFrom: 'source',
    notes: ['the metrics port can be removed by the user'],
  },
  {
    version: '1.6.4',
    released: '2026-04-14',
    knownFrom: 'source',
    fatalXids: [46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 140],
    notes: ['Xids 13, 31, 94 and 121 became warnings; 46, 54, 62, 109 and 110 became fatal'],
  },
  {
    version: '1.6.5',
    released: '2026-05-14',
    knownFrom: 'source',
    fatalXids: [
      46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143, 151, 155, 156, 158,
    ],
    watchedFields: [112, 856, 857, 170, 174],
    notes: [
      'Xids 136, 142, 143, 151, 155, 156 and 158 became fatal',
      'fields 170 and 174 are watched, but their handler stands behind a status check and never fires',
    ],
  },
  {
    version: '1.6.6',
    released: '2026-06-10',
    knownFrom: 'source',
    fabricRule: 'any bit',
    expectsGpuCount: true,
    keepsPolicyThresholds: true,
    logsVersion: true,
    notes: [
      'every bit of the fabric mask is a fault: false alarms on healthy NVSwitch nodes (issues 141, 145, 164, 181)',
    ],
  },
  {
    version: '1.6.7',
    released: '2026-07-14',
    knownFrom: 'source',
    fabricRule: 'decoded',
    debugLevelText: 'debug',
    notes: ['the fabric mask is decoded'],
  },
  {
    version: '1.7.0',
    released: '2026-08-04',
    knownFrom: 'source',
    engineVersion: '4.6.1',
    engineImage: 'agent',
    notes: [
      'the host engine runs from the agent image as PID 1: the kubelet restarts a killed one within the grace time',
      'host engine 4.6: a counter must increase, one positive value no longer fires',
      'kernel rule BlockDeviceIOError',
    ],
  },
  {
    version: '1.7.1',
    released: '2026-09-01',
    knownFrom: 'release notes',
    notes: [
      'an engine outside the chart can be named (DCGM_ADDRESS)',
      'AppCrash names the process and ignores int3',
    ],
  },
  {
    version: '1.7.2',
    released: '2026-09-18',
    knownFrom: 'release notes',
    arm64Gate: false,
    lifetimeNvlinkIsWarning: true,
    notes: [
      'NVIDIA detection works on arm64',
      'health code 71 from a lifetime NVLink counter became a warning',
    ],
  },
];

/** All known versions, oldest first. */
export const nmaVersions: readonly NmaVersion[] = [
  ...accounts.map((known) => ({ ...baseline, otherwiseAs: baseline.version, ...known })),
  baseline,
  ...releasesAfter(baseline),
];

function releasesAfter(first: NmaVersion): readonly NmaVersion[] {
  let before = first;
  return releases.map((change) => {
    before = { ...before, source: `${releasePages}/v${change.version}`, ...change };
    return before;
  });
}

/** The first version from which a property holds in every later known one; undefined: the last known one lacks it. */
export function firstWith(holds: (row: NmaVersion) => boolean): string | undefined {
  const last = nmaVersions.findLastIndex((row) => !holds(row));
  return nmaVersions[last + 1]?.version;
}

/** Which row judges, and how sure that is. */
export type FoundNmaVersion = {
  readonly row: NmaVersion;
  /** Whether what the row says was read for exactly this version. */
  readonly exact: boolean;
  /** Why it is not exact, for an explanation; empty when it is. */
  readonly note: string;
};

/**
 * The row for a version as people and clusters write it: `1.6.4`, `v1.6.4-eksbuild.1`, an image reference. A version
 * without a row is judged by the nearest known one before it, and one that could not be found (undefined) or read by the
 * last known one; `note` says so.
 */
export function findNmaVersion(text: string | undefined): FoundNmaVersion {
  const lastKnown = nmaVersions.at(-1) ?? baseline;
  if (text === undefined)
    return guess(lastKnown, 'its version was not found on the node; judged by the newest known');
  const tag = tagOf(text.trim());
  const match = /^v?(\d+)\.(\d+)\.(\d+)(.*)$/.exec(tag);
  if (match === null)
    return guess(lastKnown, `"${text}" names no version; judged as ${lastKnown.version}, the newest known`);
  const [, major = '', minor = '', patch = '', suffix = ''] = match;
  const version = `${Number(major)}.${Number(minor)}.${Number(patch)}`;
  const before = nmaVersions.findLast((known) => compareVersions(known.version, version) <= 0);
  const row = before ?? nmaVersions[0] ?? baseline;
  const openPart = row.otherwiseAs === undefined ? '' : ` judged as ${row.otherwiseAs}`;
  if (row.version !== version) {
    const which =
      before === undefined
        ? 'the oldest known'
        : row === lastKnown
          ? 'the newest known'
          : 'the nearest known before it';
    const otherwise = openPart === '' ? '' : `; what is not known of ${row.version} is${openPart}`;
    return guess(row, `${version} is not known; judged as ${row.version}, ${which}${otherwise}`);
  }
  // `-eksbuild.N` is the packaging of the add-on, the program is the same.
  if (!/^(-eksbuild\.\d+)?$/.test(suffix)) {
    return guess(row, `${version}${suffix} is another build than the released ${version}`);
  }
  if (openPart !== '') {
    return guess(row, `${version} is known only from one user's notes; the rest is${openPart}`);
  }
  return { row, exact: true, note: '' };
}

function guess(row: NmaVersion, note: string): FoundNmaVersion {
  return { row, exact: false, note };
}

/** What follows the repository of an image reference; a digest says nothing about the version. */
function tagOf(text: string): string {
  const [name = ''] = text.split('@', 1);
  const colon = name.lastIndexOf(':');
  if (colon > name.lastIndexOf('/')) return name.slice(colon + 1);
  return name.includes('/') ? '' : name;
}
