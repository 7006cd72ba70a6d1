import { compareVersions } from '../../../shared/compare-versions.ts';
import { logFiles } from '../../../shared/surfaces/log-file.ts';
import type { PluginName } from '../expectation.ts';
import type { ConditionType } from './conditions.ts';
import { quoted } from './kernel-rules.ts';
import { type Reaction, reaction, type Severity } from './reactions.ts';
import type { NmaVersion } from './versions.ts';

/** What NMA tails beside the kernel log: the journal by identifier, and files of the node (nma.md §1.1, 1.2, 1.9, 1.10). */
export type LogSource =
  | { readonly kind: 'journal'; readonly identifier: 'kubelet' | 'systemd' }
  | { readonly kind: 'file'; readonly path: string };

/** A line of the journal or of a file that NMA reacts to. */
export type LogRule = {
  /** Its name in the catalogue; two patterns of one reason share it. */
  readonly id: string;
  readonly reason: string;
  readonly severity: Severity;
  readonly conditionType: ConditionType;
  readonly plugin: PluginName;
  /** First version that has it; absent: every known one. */
  readonly since?: string;
  readonly source: LogSource;
  /** Go's regular expression, unanchored, run on the journal's MESSAGE or on the line of the file. */
  readonly pattern: RegExp;
  /** The text behind `<reason>: `. */
  readonly message: (match: RegExpExecArray) => string;
  /** So many earlier ones are swallowed. */
  readonly minOccurrences: number;
  /** What NMA remembers of earlier lines, and what must hold there; absent: the pattern is enough. */
  readonly gate?: LogGate;
  /** A line that matches. */
  readonly sample: string;
  readonly note?: string;
};

/** What a matching line has to meet besides. */
export type LogGate =
  /** A token bucket of the whole process (Go's rate.Limiter): only a line that finds it empty counts. */
  | { readonly kind: 'over-rate'; readonly perSecond: number; readonly burst: number }
  /** Groups 1 to 3 are month, day and time of day, group 4 the key: seen less than this before, by the log's own time. */
  | { readonly kind: 'repeated-within'; readonly minutes: number };

const kubelet: LogSource = { kind: 'journal', identifier: 'kubelet' };
const systemd: LogSource = { kind: 'journal', identifier: 'systemd' };
const ipamd: LogSource = { kind: 'file', path: logFiles.ipamd };

const always = { minOccurrences: 0 } as const;

const kernelMonitor = { ...always, plugin: 'kernel-monitor', conditionType: 'KernelReady' } as const;
const storageMonitor = { ...always, plugin: 'storage-monitor', conditionType: 'StorageReady' } as const;
const runtimeMonitor = { ...always, plugin: 'runtime', conditionType: 'ContainerRuntimeReady' } as const;
const networkMonitor = { ...always, plugin: 'networking', conditionType: 'NetworkingReady' } as const;

const outOfPids = {
  ...kernelMonitor,
  id: 'ForkFailedOutOfPIDs',
  reason: 'ForkFailedOutOfPIDs',
  severity: 'fatal',
  source: kubelet,
  message: () => 'A fork or exec call has failed due to the system being out of process IDs or memory',
} as const;

const probeRate = { kind: 'over-rate', perSecond: 1, burst: 5 } as const;
const probeNote = 'a limiter of the whole process lets five pass at once and one a second: the sixth counts';

/**
 * In the order in which each monitor tries them; two rows of one id are the two patterns of one reason. Patterns and
 * texts as in monitors/kernel, storage, runtime and networking/monitor.go.
 */
export const logRules: readonly LogRule[] = [
  {
    ...outOfPids,
    pattern: /.*fork\/exec.*resource temporarily unavailable/,
    sample: 'fork/exec /usr/bin/runc: resource temporarily unavailable',
  },
  {
    ...outOfPids,
    pattern: /failed to create new OS thread.*errno=11/,
    sample: 'runtime: failed to create new OS thread (have 5 already; errno=11)',
  },
  {
    ...kernelMonitor,
    id: 'RapidCron',
    reason: 'RapidCron',
    severity: 'warning',
    source: { kind: 'file', path: logFiles.cron },
    // ` CMD ` anywhere, at least seven words, the first three a time; the sixth is the key, whatever stands there.
    pattern:
      /^(?=.* CMD )\s*([a-z]{3})\s+(\d{1,2})\s+(\d{1,2}:\d{2}:\d{2})(?:\.\d+)?\s+\S+\s+\S+\s+(\S+)\s+\S/i,
    message: () => 'A cron job is running faster than every 5 minutes, which can impact node performance',
    gate: { kind: 'repeated-within', minutes: 5 },
    sample: 'Nov 22 08:00:00 host CROND[1]: (root) CMD (x)',
    note: 'the log’s own time counts, and it has no year: an older line than the last counts as well',
  },
  {
    ...storageMonitor,
    id: 'KubeletDiskUsageSlow',
    reason: 'KubeletDiskUsageSlow',
    severity: 'warning',
    source: kubelet,
    pattern: /fs: disk usage and inodes count on following dirs took/,
    message: () =>
      'Kubelet is reporting slow disk usage, which may indicate a misconfigured filesystem or insufficient disk I/O',
    sample: 'fs: disk usage and inodes count on following dirs took 13.5s: [/x]',
  },
  {
    ...storageMonitor,
    id: 'EtcHostsMountFailed',
    reason: 'EtcHostsMountFailed',
    severity: 'warning',
    source: { kind: 'file', path: logFiles.messages },
    pattern: /error mounting.*etc-hosts.*to rootfs.*\/etc\/hosts/,
    message: () => 'Mounting of the kubelet generated /etc/hosts failed',
    sample: 'error mounting "/var/lib/kubelet/pods/x/etc-hosts" to rootfs at "/etc/hosts"',
    note: 'AL2023 and Bottlerocket have no such file by default',
  },
  {
    ...runtimeMonitor,
    id: 'PodStuckTerminating',
    reason: 'PodStuckTerminating',
    severity: 'fatal',
    source: kubelet,
    pattern:
      /"Pod still has one or more containers in the non-exited state and will not be removed from desired state" pod="(.*)"/,
    message: (match) =>
      `Pod ${quoted(match[1] ?? '')} is stuck terminating. Restarting kubelet will result in cleaning up stuck pods`,
    minOccurrences: 2,
    sample:
      '"Pod still has one or more containers in the non-exited state and will not be removed from desired state" pod="default/x"',
  },
  {
    ...runtimeMonitor,
    id: 'KubeletFailed',
    reason: 'KubeletFailed',
    severity: 'warning',
    source: kubelet,
    pattern: /Unit kubelet.service entered failed state/,
    message: () => 'Kubelet has entered a failed state',
    sample: 'Unit kubelet.service entered failed state.',
    note: 'systemd logs it under its own identifier, which is not read for this: only a forged line matches',
  },
  {
    ...runtimeMonitor,
    id: 'ContainerRuntimeFailed',
    reason: 'ContainerRuntimeFailed',
    severity: 'warning',
    source: kubelet,
    pattern: /OCI runtime create failed: (.*?)/,
    message: () => 'OCI runtime create failed',
    sample: 'OCI runtime create failed: x',
  },
  ...(['readiness', 'liveness'] as const).map((probe): LogRule => {
    const name = probe === 'readiness' ? 'Readiness' : 'Liveness';
    return {
      ...runtimeMonitor,
      id: `${name}ProbeFailures`,
      reason: `${name}ProbeFailures`,
      severity: 'warning',
      source: kubelet,
      pattern: new RegExp(`${name} probe for ".*?:(.*)" failed`),
      message: () => `Exceeded a safe rate of ${probe} probe failures`,
      gate: probeRate,
      sample: `${name} probe for "default/x:app" failed (failure): connection refused`,
      note: probeNote,
    };
  }),
  {
    ...runtimeMonitor,
    id: 'ServiceFailedToStart',
    reason: 'ServiceFailedToStart',
    severity: 'warning',
    source: systemd,
    pattern: /Failed to start (.*?)\./,
    message: (match) => match.input,
    sample: 'Failed to start nma-probe-1.',
    note: 'the message is the whole line: a marker in it makes the event a new one',
  },
  {
    ...networkMonitor,
    id: 'IPAMDNotReady',
    reason: 'IPAMDNotReady',
    severity: 'fatal',
    source: ipamd,
    pattern:
      /Failed to check API server connectivity: invalid configuration: no configuration has been provided/,
    message: () =>
      'IPAM-D Missing Service Account Token and the IPAM daemon cannot connect to the API server.',
    sample:
      'Failed to check API server connectivity: invalid configuration: no configuration has been provided',
  },
  {
    ...networkMonitor,
    id: 'IPAMDNotReady',
    reason: 'IPAMDNotReady',
    severity: 'fatal',
    source: ipamd,
    pattern: /Unable to reach API Server|Failed to check API server connectivity/,
    message: () =>
      'IPAM-D has failed to connect to API Server which could be an issue with IPTable rules or any other network configuration.',
    sample: 'Unable to reach API Server',
    note: 'the simplest fatal reaction that needs no GPU',
  },
  {
    ...networkMonitor,
    id: 'IPAMDRepeatedlyRestart',
    reason: 'IPAMDRepeatedlyRestart',
    severity: 'warning',
    source: ipamd,
    pattern: /Starting L-IPAMD/,
    message: () => 'IPAMD is restarting often which leads to other CNI components failing.',
    minOccurrences: 5,
    sample: 'Starting L-IPAMD',
  },
  {
    ...networkMonitor,
    id: 'IPAMDNoIPs',
    reason: 'IPAMDNoIPs',
    severity: 'warning',
    source: ipamd,
    pattern: /InsufficientFreeAddressesInSubnet/,
    message: () => 'There are no available IP addresses for IPAMD to assign to pods',
    sample: 'InsufficientFreeAddressesInSubnet',
  },
];

/** A rule, and what NMA makes of the line by it. */
export type LogMatch = { readonly rule: LogRule; readonly reaction: Reaction };

/**
 * Every monitor takes its first rule that matches a line. `isOpen` decides about rules with a gate; a rule whose gate is
 * shut counts as not matched, and the next one is tried.
 */
export function matchLogRules(
  row: NmaVersion,
  source: LogSource,
  line: string,
  isOpen: (rule: LogRule, match: RegExpExecArray) => boolean = () => true,
): readonly LogMatch[] {
  const found = new Map<PluginName, LogMatch>();
  for (const rule of logRules) {
    if (rule.since !== undefined && compareVersions(rule.since, row.version) > 0) continue;
    if (!isSameSource(rule.source, source)) continue;
    if (found.has(rule.plugin)) continue;
    const match = rule.pattern.exec(line);
    if (match === null || !isOpen(rule, match)) continue;
    found.set(rule.plugin, {
      rule,
      reaction: reaction(rule.severity, rule.reason, rule.message(match), rule.conditionType),
    });
  }
  return [...found.values()];
}

/** How many equal lines, written at once, are needed until the reaction shows. */
export function linesNeeded({ minOccurrences, gate }: LogRule): number {
  if (gate === undefined) return minOccurrences + 1;
  return gate.kind === 'over-rate' ? gate.burst + 1 : 2;
}

function isSameSource(left: LogSource, right: LogSource): boolean {
  if (left.kind === 'journal') return right.kind === 'journal' && left.identifier === right.identifier;
  return right.kind === 'file' && left.path === right.path;
}
