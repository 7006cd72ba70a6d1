import { nmaLogRow } from './nma-log.ts';
import { placeOf, readFacts, readSeen } from './seen.ts';

/** How a file of a bundle is read: `log`, only the lines that say something about the chain; `text`, whole; `instance`, an id. */
export type BundleFile = { readonly as: 'log' | 'text' | 'instance' } | { readonly because: string };

/** A file with commands, objects or logs that somebody put there is at most this long, in bytes; logs may be longer. */
export const longestWhole = 300_000;

/** Lines that are kept of one log: its first and its last ones. */
export const keptLines = 200;

/**
 * Paths in the folder that the log collectors of EKS write: kubectl ekslogs and NodeDiagnostic
 * (aws/eks-node-monitoring-agent pkg/log_collector/collect: kernel.go, commonlogs.go, kubernetes.go, nvidia.go, instance.go) and
 * eks-log-collector.sh (awslabs/amazon-eks-ami log-collector-script/linux), which have the same names.
 */
const rows: readonly (readonly [RegExp, BundleFile])[] = [
  [/^kernel\/dmesg\.(?:current|boot)$/, { as: 'log' }],
  [/^kernel\/dmesg\.human\.current$/, { because: 'it has the same records as kernel/dmesg.current' }],
  [/^var_log\/(?:messages|syslog|kern\.log)$/, { as: 'log' }],
  [/^var_log\/.*eks-node-monitoring-agent.*\.log$/, { as: 'log' }],
  [/^var_log\/.*(?:dcgm|karpenter).*\.log$/, { as: 'log' }],
  [/^kubelet\/kubelet\.log$/, { as: 'log' }],
  [/^gpu\/nvidia-bug-report-exec\.log$/, { as: 'log' }],
  [/^system\/instance-id\.txt$/, { as: 'instance' }],
  [/\.(?:gz|tgz|tar|zip|xz|zst)$/, { because: 'it is compressed: unpack it, and give it by -f' }],
  [/kubeconfig/, { because: 'it may hold credentials, and says nothing about the chain' }],
  // What somebody put beside it: node.yaml, events.txt, nma.log.
  [/^[^/]+\.(?:ya?ml|json|txt|md|sh)$/, { as: 'text' }],
  [/^[^/]+\.log$/, { as: 'log' }],
];

/** How a file is read, by its path in the folder, with `/`; the folder itself may stand in a folder of the archive’s name. */
export function bundleFile(path: string): BundleFile {
  const found = rows.find(([pattern]) => pattern.test(path));
  return found?.[1] ?? { because: 'nothing of it is known to say anything about the chain' };
}

/** What the driver and the kernel say of a GPU, of a hung task or of a lock-up. */
const driverLine = /\bNVRM\b|\bS?Xid\b|nvidia|nvswitch|nvlink|BUG: soft lockup|blocked for more than/i;

/** Whether a line of a log says something about the chain: a record about a GPU, or a line of a program that is understood. */
export function isTelling(line: string): boolean {
  if (driverLine.test(line)) return readSeen(line, placeOf(1, line)).length > 0 || /\bNVRM: Xid/.test(line);
  if (nmaLogRow(line) !== undefined) return true;
  const seen = readSeen(line, placeOf(1, line));
  return (
    seen.some(({ is }) => is !== 'kernel-line') ||
    readFacts(line, placeOf(1, line)).some(({ is }) => is === 'nma-version')
  );
}
