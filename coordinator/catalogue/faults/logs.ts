import type { LogFileName } from '../../../shared/surfaces/log-file.ts';
import type { FaultRow, ParameterRow } from '../row.ts';
import { latches, nmaSource } from './vocabulary.ts';

/** What differs between the faults that write a line into the journal or into a file. */
type LogFault = {
  readonly name: string;
  readonly title: string;
  readonly text: string;
  readonly times?: number;
  readonly parameters?: Readonly<Record<string, ParameterRow>>;
  /** Set where the condition turns False. */
  readonly isFatal?: true;
  readonly source: string;
};

const journalRisk =
  'people and tools that read the journal or the kernel log see the line as the service’s own';
const journalUndo =
  'none: the line stays in the kernel log until reboot, in the journal until it is rotated away';
const fileRisk =
  'the line stands among real ones, for every reader of the file; nodes of AL2023 and Bottlerocket have neither /var/log/messages nor cron.log by default';
const fileUndo = 'none: the line stays until the file is rotated; nothing else in the file is touched';

function logFault(row: LogFault, channel: FaultRow['channel'], risk: string, undo: string): FaultRow {
  return {
    name: row.name,
    title: row.title,
    surfaces: [channel.kind === 'journal' ? 'journal' : 'log-file'],
    channel,
    parameters: row.parameters ?? {},
    risk: row.isFatal === true ? `${latches}; ${risk}` : risk,
    undo,
    needsGpu: false,
    sources: [nmaSource(row.source)],
  };
}

function journalFault(identifier: 'kubelet' | 'systemd', row: LogFault): FaultRow {
  const { text, times } = row;
  const channel = { kind: 'journal', identifier, text, ...(times === undefined ? {} : { times }) } as const;
  const fault = logFault(row, channel, journalRisk, journalUndo);
  return { ...fault, sources: [...fault.sources, 'systemd/systemd src/journal/journald-kmsg.c'] };
}

function fileFault(file: LogFileName, row: LogFault): FaultRow {
  const { text, times } = row;
  const channel = { kind: 'log-file', file, text, ...(times === undefined ? {} : { times }) } as const;
  return logFault(row, channel, fileRisk, fileUndo);
}

const pod: ParameterRow = {
  type: 'text',
  help: 'namespace/name of the pod; there need be none of that name',
  default: 'default/xidrill-{marker}',
  pattern: '^[a-z0-9.-]{1,63}/[a-z0-9.-]{1,253}$',
};

const runtimeMonitor = 'monitors/runtime/monitor.go';
const kernelMonitor = 'monitors/kernel/monitor.go';
const storageMonitor = 'monitors/storage/monitor.go';
const networkMonitor = 'monitors/networking/monitor.go';

/** Lines in the journal under the kubelet's or systemd's identifier. */
export const journalFaults: readonly FaultRow[] = [
  journalFault('kubelet', {
    name: 'fork-failed',
    title: 'The kubelet cannot start processes: out of process ids or memory',
    text: 'fork/exec /usr/bin/runc: resource temporarily unavailable (xidrill {marker})',
    isFatal: true,
    source: kernelMonitor,
  }),
  journalFault('kubelet', {
    name: 'pod-stuck-terminating',
    title: 'A pod is stuck while terminating (three lines)',
    text: '"Pod still has one or more containers in the non-exited state and will not be removed from desired state" pod="{pod}"',
    times: 3,
    parameters: { pod },
    isFatal: true,
    source: runtimeMonitor,
  }),
  journalFault('kubelet', {
    name: 'kubelet-failed',
    title: 'The kubelet entered the failed state',
    text: 'Unit kubelet.service entered failed state.',
    source: runtimeMonitor,
  }),
  journalFault('kubelet', {
    name: 'container-runtime-failed',
    title: 'The container runtime cannot create a container',
    text: 'OCI runtime create failed: runc create failed (xidrill {marker})',
    source: runtimeMonitor,
  }),
  journalFault('kubelet', {
    name: 'readiness-probe-failures',
    title: 'Readiness probes fail too often (eight lines at once)',
    text: 'Readiness probe for "default/xidrill-{marker}:app" failed (failure): connection refused',
    // Five pass unnoticed, and one more a second (rate.NewLimiter(1/s, 5)): eight leave time to write them.
    times: 8,
    source: runtimeMonitor,
  }),
  journalFault('kubelet', {
    name: 'liveness-probe-failures',
    title: 'Liveness probes fail too often (eight lines at once)',
    text: 'Liveness probe for "default/xidrill-{marker}:app" failed (failure): connection refused',
    times: 8,
    source: runtimeMonitor,
  }),
  journalFault('kubelet', {
    name: 'kubelet-disk-slow',
    title: 'The kubelet takes long to measure disk usage',
    text: 'fs: disk usage and inodes count on following dirs took {seconds}s: [/var/lib/kubelet/pods/xidrill-{marker}]',
    parameters: {
      seconds: {
        type: 'integer',
        unit: 's',
        help: 'how long it took',
        default: 13,
        minimum: 1,
        maximum: 86400,
      },
    },
    source: storageMonitor,
  }),
  journalFault('systemd', {
    name: 'service-failed',
    title: 'systemd could not start a service',
    text: 'Failed to start {service}.',
    parameters: {
      service: {
        type: 'text',
        help: 'name that the line carries; it makes this drill’s event a new one',
        default: 'xidrill-{marker}',
        pattern: '^[A-Za-z0-9 :_@-]{1,100}$',
      },
    },
    source: runtimeMonitor,
  }),
];

/** Lines in the files that NMA follows. */
export const fileFaults: readonly FaultRow[] = [
  fileFault('ipamd', {
    name: 'ipamd-not-ready',
    title: 'The VPC CNI cannot reach the API server; the simplest condition without a GPU',
    text: 'Unable to reach API Server (xidrill {marker})',
    isFatal: true,
    source: networkMonitor,
  }),
  fileFault('ipamd', {
    name: 'ipamd-no-ips',
    title: 'The subnet has no addresses left for pods',
    text: 'InsufficientFreeAddressesInSubnet (xidrill {marker})',
    source: networkMonitor,
  }),
  fileFault('ipamd', {
    name: 'ipamd-repeated-restart',
    title: 'The VPC CNI restarts again and again (six lines)',
    text: 'Starting L-IPAMD (xidrill {marker})',
    times: 6,
    source: networkMonitor,
  }),
  fileFault('messages', {
    name: 'etc-hosts-mount-failed',
    title: 'A pod’s /etc/hosts cannot be mounted',
    text: 'error mounting "/var/lib/kubelet/pods/xidrill-{marker}/etc-hosts" to rootfs at "/etc/hosts"',
    source: storageMonitor,
  }),
  fileFault('cron', {
    name: 'rapid-cron',
    title: 'A cron job runs more often than every five minutes (two lines)',
    // The sixth word is the key, and the log’s own time counts: twice the same line is twice within five minutes.
    text: 'Nov 22 08:00:00 localhost CROND[4321]: (xidrill-{marker}) CMD (true)',
    times: 2,
    source: kernelMonitor,
  }),
];
