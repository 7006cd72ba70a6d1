import { compareVersions } from '../../../shared/compare-versions.ts';

/** One released version of the EKS Node Monitoring Agent (NMA), as far as it matters to a drill. */
export type NmaVersion = {
  readonly version: string;
  /** Release date; null where it is not known. */
  readonly released: string | null;
  /** `account`: known only from one user's notes, everything else is taken from 1.6.0. */
  readonly knownFrom: 'source' | 'release notes' | 'account';
  /** Xids that end in the condition; every other one is an event. */
  readonly fatalXids: readonly number[];
  /** On arm64 outside EKS Auto all DCGM detection is off, and the condition is True all the same. */
  readonly arm64Gate: boolean;
  readonly nvidiaReadyReason: string;
  readonly nvidiaReadyMessage: string;
  /** The DCGM release of the host engine that the chart installs beside it. */
  readonly engineVersion: string;
  /** Where the chart's engine comes from. ≤ 1.6.7: a shell that outlives the engine; a killed engine stays away. */
  readonly engineImage: 'dcgm-exporter' | 'agent';
  readonly deviceCountSeverity: 'fatal' | 'warning';
  /** Whether the number of GPUs is also compared with the instance type. */
  readonly expectsGpuCount: boolean;
  /** The fields of the field group `watch`: what shows in the engine that this version listens. */
  readonly watchedFields: readonly number[];
  /** What becomes of fields 170 and 174: nothing, any bit of the mask is a fault, or the mask is decoded. */
  readonly fabricRule: 'none' | 'any bit' | 'decoded';
  /** A policy threshold that somebody else has set on the engine stays. */
  readonly keepsPolicyThresholds: boolean;
  /** Health code 71 from a lifetime NVLink counter is only a warning. */
  readonly lifetimeNvlinkIsWarning: boolean;
  /** Kernel log rules that are new or different in this version, by id (kernel-rules.ts). */
  readonly newKernelRules: readonly string[];
  /** The first log line names the version. */
  readonly logsVersion: boolean;
  /** How log lines below info are labelled. */
  readonly debugLevelText: 'debug' | 'Level(-2)';
  /** The program that runs the kubelet's credential plugin on the host; it stands in error messages. */
  readonly chrootPath: string;
  readonly notes: readonly string[];
  readonly source: string;
};

const xids160 = [13, 31, 48, 63, 64, 74, 79, 94, 95, 119, 120, 121, 140];
const xids164 = [46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 140];
const xids165 = [
  46, 48, 54, 62, 63, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 142, 143, 151, 155, 156, 158,
];

const releases = 'https://github.com/aws/eks-node-monitoring-agent/releases/tag';

const v160: NmaVersion = {
  version: '1.6.0',
  released: '2026-03-11',
  knownFrom: 'source',
  fatalXids: xids160,
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
  newKernelRules: [
    'SoftLockup',
    'KernelBug',
    'AppCrash',
    'AppBlocked',
    'ConntrackExceededKernel',
    'NvidiaNCCLError',
    'NeuronSRAMUncorrectableError',
    'NeuronNCUncorrectableError',
    'NeuronHBMUncorrectableError',
    'NeuronDMAError',
  ],
  logsVersion: false,
  debugLevelText: 'Level(-2)',
  chrootPath: '/opt/bin/chroot',
  notes: [
    'host engine from the image dcgm-exporter:4.5.2-4.8.1, started in a shell that sleeps on when it ends',
  ],
  source: `${releases}/v1.6.0`,
};

const v143: NmaVersion = {
  ...v160,
  version: '1.4.3',
  released: null,
  knownFrom: 'account',
  nvidiaReadyReason: 'NvidiaAcceleratedHardwareIsReady',
  nvidiaReadyMessage: 'Monitoring for the Nvidia AcceleratedHardware system is active',
  chrootPath: '/opt/amazon/bin/chroot',
  newKernelRules: [],
  notes: [
    'known: the arm64 gate, the ready reason, the chroot path in the credential error; all else is judged as 1.6.0',
  ],
  source: 'https://github.com/aws/eks-node-monitoring-agent/issues/23',
};

/** A release is what the one before it was, and what changed. */
function after(
  base: NmaVersion,
  change: Partial<NmaVersion> & { version: string; released: string },
): NmaVersion {
  return { ...base, newKernelRules: [], notes: [], source: `${releases}/v${change.version}`, ...change };
}

const v161 = after(v160, { version: '1.6.1', released: '2026-03-17', notes: ['Calico chains are allowed'] });
const v162 = after(v161, {
  version: '1.6.2',
  released: '2026-03-23',
  deviceCountSeverity: 'fatal',
  notes: ['NvidiaDeviceCountMismatch became fatal'],
});
const v163 = after(v162, {
  version: '1.6.3',
  released: '2026-04-03',
  notes: ['metrics port can be removed by the user'],
});
const v164 = after(v163, {
  version: '1.6.4',
  released: '2026-04-10',
  fatalXids: xids164,
  notes: ['Xids 13, 31, 94 and 121 became warnings; 46, 54, 62, 109 and 110 became fatal'],
});
const v165 = after(v164, {
  version: '1.6.5',
  released: '2026-05-14',
  fatalXids: xids165,
  watchedFields: [112, 856, 857, 170, 174],
  notes: ['fields 170 and 174 are watched, but their handler stands behind a status check and never fires'],
});
const v166 = after(v165, {
  version: '1.6.6',
  released: '2026-06-10',
  fabricRule: 'any bit',
  expectsGpuCount: true,
  keepsPolicyThresholds: true,
  logsVersion: true,
  notes: [
    'every bit of the fabric mask is a fault: false alarms on healthy NVSwitch nodes (issues 141, 145, 164, 181)',
  ],
});
const v167 = after(v166, {
  version: '1.6.7',
  released: '2026-07-14',
  fabricRule: 'decoded',
  debugLevelText: 'debug',
});
const v170 = after(v167, {
  version: '1.7.0',
  released: '2026-08-04',
  engineVersion: '4.6.1',
  engineImage: 'agent',
  newKernelRules: ['BlockDeviceIOError'],
  notes: [
    'the host engine runs from the agent image as PID 1: a killed one is restarted by the kubelet within the grace time',
    'engine 4.6: counters must increase, one positive value no longer fires',
  ],
});
const v171 = after(v170, {
  version: '1.7.1',
  released: '2026-09-01',
  knownFrom: 'release notes',
  newKernelRules: ['AppCrash'],
  notes: [
    'an engine outside the chart can be named (DCGM_ADDRESS)',
    'AppCrash names the process and ignores int3',
  ],
});
const v172 = after(v171, {
  version: '1.7.2',
  released: '2026-09-18',
  arm64Gate: false,
  lifetimeNvlinkIsWarning: true,
  notes: [
    'NVIDIA detection works on arm64',
    'health code 71 from a lifetime NVLink counter became a warning',
  ],
});

/** Oldest first. */
export const nmaVersions: readonly NmaVersion[] = [
  v143,
  v160,
  v161,
  v162,
  v163,
  v164,
  v165,
  v166,
  v167,
  v170,
  v171,
  v172,
];

export type FoundNmaVersion = {
  readonly row: NmaVersion;
  /** Whether what the row says was read for exactly this version. */
  readonly exact: boolean;
  /** Why it is not exact, for an explanation; empty when it is. */
  readonly note: string;
};

/**
 * The row for a version as people and clusters write it: `1.6.4`, `v1.6.4-eksbuild.1`, an image reference. What is not
 * known is judged by the newest known version that is not newer, and says so.
 */
export function findNmaVersion(text: string): FoundNmaVersion {
  const tag = tagOf(text.trim());
  const match = /^v?(\d+)\.(\d+)\.(\d+)(.*)$/.exec(tag);
  if (match === null)
    return guess(v172, `"${text}" names no version; judged as ${v172.version}, the newest known`);
  const [, major = '', minor = '', patch = '', suffix = ''] = match;
  const version = `${Number(major)}.${Number(minor)}.${Number(patch)}`;
  const row = nmaVersions.findLast((known) => compareVersions(known.version, version) <= 0) ?? v143;
  if (row.version !== version) {
    const older = compareVersions(version, row.version) < 0;
    const which =
      row === v172 ? ', the newest known' : older ? ', the oldest known' : ', the nearest known before it';
    const otherwise = row === v143 ? `; what ${row.version} does not tell is judged as ${v160.version}` : '';
    return guess(row, `${version} is not known; judged as ${row.version}${which}${otherwise}`);
  }
  // `-eksbuild.N` is the packaging of the add-on, the program is the same.
  if (!/^(-eksbuild\.\d+)?$/.test(suffix)) {
    return guess(row, `${version}${suffix} is another build than the released ${version}`);
  }
  if (row.knownFrom === 'account') {
    return guess(row, `${version} is known only from one user's notes; judged as ${v160.version} otherwise`);
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
