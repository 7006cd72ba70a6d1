import { compareVersions } from '../../../shared/compare-versions.ts';
import type { PluginName } from '../expectation.ts';
import type { ConditionType } from './conditions.ts';
import { type Reaction, reaction, type Severity } from './reactions.ts';
import type { NmaVersion } from './versions.ts';

/** A line of the kernel log that NMA reacts to. None of them is about an Xid, in any version. */
export type KernelRule = {
  /** Its name in the catalogue; two patterns of one reason share it. */
  readonly id: string;
  /** NMA's reason. */
  readonly reason: string;
  readonly severity: Severity;
  readonly conditionType: ConditionType;
  readonly plugin: PluginName;
  /** First version that has it; absent: every known one. */
  readonly since?: string;
  /** Last version that has it; absent: every later one. */
  readonly until?: string;
  /** Go's regular expression, unanchored, run on the whole record with its `priority,sequence,…;` prefix. */
  readonly pattern: RegExp;
  /** The text behind `<reason>: `. */
  readonly message: (match: RegExpExecArray) => string;
  /** A text that matches, to be written to the kernel log. */
  readonly sample: string;
  readonly note?: string;
};

/** Go's %q for what the name of a process or a pod can hold. */
export function quoted(name: string): string {
  return JSON.stringify(name);
}

/** A rule stays the rule of its reason; `AppCrash` changed its pattern, hence two rows of one id. */
export const kernelRules: readonly KernelRule[] = [
  {
    id: 'SoftLockup',
    reason: 'SoftLockup',
    severity: 'warning',
    conditionType: 'KernelReady',
    plugin: 'kernel-monitor',
    pattern: /watchdog: BUG: soft lockup - .* stuck for (.*)! \[(.*?).*\]/,
    message: (match) => `CPU stuck for ${match[1] ?? ''}`,
    sample: 'watchdog: BUG: soft lockup - CPU#6 stuck for 23s! [VM Thread:4054]',
    note: 'the best probe of the whole way; another duration makes another event',
  },
  {
    id: 'KernelBug',
    reason: 'KernelBug',
    severity: 'warning',
    conditionType: 'KernelReady',
    plugin: 'kernel-monitor',
    pattern: /\[.*?] BUG: (.*)/,
    message: () => 'A kernel bug was detected and reported by the Linux kernel',
    sample: '[12345.678901] BUG: unable to handle kernel NULL pointer dereference at 0000',
    note: 'real records have no time in brackets, so that genuine BUG lines do not match',
  },
  {
    id: 'AppCrash',
    reason: 'AppCrash',
    severity: 'warning',
    conditionType: 'KernelReady',
    plugin: 'kernel-monitor',
    until: '1.7.0',
    pattern: /traps:\s*(.*?)\[|\s(.*?)\[\d+]: segfault at.*/,
    // The second group was never read: a segfault's process name stays empty.
    message: (match) => `Process ${quoted(match[1] ?? '')} on the node has crashed`,
    sample: 'traps: python3[4321] general protection fault ip:7f sp:7f error:0 in libc.so.6',
  },
  {
    id: 'AppCrash',
    reason: 'AppCrash',
    severity: 'warning',
    conditionType: 'KernelReady',
    plugin: 'kernel-monitor',
    since: '1.7.1',
    pattern:
      /traps:\s*(.*?)\[\d+] (?:trap )?(?:divide error|general protection fault|stack segment|segment not present|invalid TSS|alignment check|bounds)|\s([^\s[]+)\[\d+]: segfault at.*/,
    message: (match) => `Process ${quoted(match[1] || match[2] || '')} on the node has crashed`,
    sample: 'traps: python3[4321] general protection fault ip:7f sp:7f error:0 in libc.so.6',
    note: 'a breakpoint (int3) that a program sets itself is no crash',
  },
  {
    id: 'AppBlocked',
    reason: 'AppBlocked',
    severity: 'warning',
    conditionType: 'KernelReady',
    plugin: 'kernel-monitor',
    pattern: /task (.*?):\d+ blocked for more than/,
    message: (match) =>
      `Process ${quoted(match[1] ?? '')} has been blocked from scheduling for a long period of time`,
    sample: 'INFO: task nvidia-smi:1234 blocked for more than 120 seconds.',
  },
  {
    id: 'ConntrackExceededKernel',
    reason: 'ConntrackExceededKernel',
    severity: 'warning',
    conditionType: 'KernelReady',
    plugin: 'kernel-monitor',
    pattern: /(ip|nf)_conntrack: table full, dropping packet/,
    message: () => 'Connection tracking exceeded the maximum for the kernel',
    sample: 'nf_conntrack: nf_conntrack: table full, dropping packet',
  },
  {
    id: 'BlockDeviceIOError',
    reason: 'BlockDeviceIOError',
    severity: 'warning',
    conditionType: 'StorageReady',
    plugin: 'storage-monitor',
    since: '1.7.0',
    pattern:
      /(?:end_request|blk_update_request): I\/O error, dev ([a-z0-9-]+), (sector) ([0-9]+)|Buffer I\/O error on device ([a-z0-9-]+), (logical block) ([0-9]+)/,
    message: (match) =>
      `I/O error detected on block device ${match[1] ?? match[4] ?? ''} at ${match[2] ?? match[5] ?? ''} ` +
      `${match[3] ?? match[6] ?? ''}, indicating a failed physical drive or EBS volume`,
    sample: 'blk_update_request: I/O error, dev nvme1n1, sector 12345',
    note: 'today’s kernels write "I/O error, dev …" and "Buffer I/O error on dev …", which do not match',
  },
  {
    id: 'NvidiaNCCLError',
    reason: 'NvidiaNCCLError',
    severity: 'warning',
    conditionType: 'AcceleratedHardwareReady',
    plugin: 'nvidia',
    pattern: /.*segfault at.*in libnccl\.so.*/,
    message: () => 'NCCL communication error caused by segfault in libnccl.so',
    sample:
      'pt_main_thread[2536443]: segfault at 7f797fe00000 ip 00007f7c7ac69996 sp 00007f7c12fd7c30 error 4 in libnccl.so.2[7f7c7ac00000+d3d3000]',
    note: 'works on arm64 as well; the text never changes, so that a second one only raises the count',
  },
  ...(
    [
      ['NeuronSRAMUncorrectableError', 'SRAM_UNCORRECTABLE_ERROR', 'SRAM Uncorrectable Error'],
      ['NeuronNCUncorrectableError', 'NC_UNCORRECTABLE_ERROR', 'NC Uncorrectable Error'],
      ['NeuronHBMUncorrectableError', 'HBM_UNCORRECTABLE_ERROR', 'HBM Uncorrectable Error'],
      ['NeuronDMAError', 'DMA_ERROR', 'DMA Error'],
    ] as const
  ).map(
    ([reason, code, name]): KernelRule => ({
      id: reason,
      reason,
      severity: 'fatal',
      conditionType: 'AcceleratedHardwareReady',
      plugin: 'neuron',
      pattern: new RegExp(`.* NEURON_HW_ERR=${code} .*`),
      message: () => `Discovered ${name}`,
      sample: `kernel: NEURON_HW_ERR=${code} affecting neuron devices`,
      note: 'wants white space on both sides; only on Neuron nodes',
    }),
  ),
];

/** The rules that this version has, in the order in which its monitors try them. */
export function kernelRulesOf({ version }: NmaVersion): readonly KernelRule[] {
  return kernelRules.filter(
    ({ since, until }) =>
      (since === undefined || compareVersions(since, version) <= 0) &&
      (until === undefined || compareVersions(version, until) <= 0),
  );
}

/** A rule, and what NMA makes of the record by it. */
export type KernelMatch = { readonly rule: KernelRule; readonly reaction: Reaction };

/**
 * What NMA makes of one record of the kernel log: every monitor takes its first rule that matches, and monitors do not
 * know of one another. `rawRecord` is the record as read, prefix included (`12,4242,987654321,-;…`).
 */
export function matchKernelRules(row: NmaVersion, rawRecord: string): readonly KernelMatch[] {
  const found = new Map<PluginName, KernelMatch>();
  for (const rule of kernelRulesOf(row)) {
    if (found.has(rule.plugin)) continue;
    const match = rule.pattern.exec(rawRecord);
    if (match === null) continue;
    found.set(rule.plugin, {
      rule,
      reaction: reaction(rule.severity, rule.reason, rule.message(match), rule.conditionType),
    });
  }
  return [...found.values()];
}
