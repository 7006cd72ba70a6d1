import type { CauseCode } from './causes.ts';

/** A line of the monitoring agent's pod log that says something about the chain. */
export type NmaLogRow = {
  /** Unique; a deed names it. */
  readonly id: string;
  /** On one line, in any writer's form: zap's JSON, a Go panic, the credential plugin's own words. */
  readonly pattern: RegExp;
  readonly code: CauseCode;
  readonly result: 'broken' | 'works' | 'open';
  /** What the line says, as a sentence. */
  readonly says: string;
  readonly commands?: readonly string[];
  /** Where the meaning was read. */
  readonly source: string;
};

const nma = 'aws/eks-node-monitoring-agent';
const logs = `kubectl -n kube-system logs -l app.kubernetes.io/name=eks-node-monitoring-agent --field-selector spec.nodeName=NODE`;

/** In the order in which they are tried; texts of nma.md §5. */
export const nmaLogRows: readonly NmaLogRow[] = [
  {
    id: 'token-file-missing',
    pattern:
      /No such file or directory: '\/var\/run\/secrets\/(?:pods\.)?eks\.amazonaws\.com\/serviceaccount\/token'/,
    code: 'credentials-broken',
    result: 'broken',
    says: 'The kubelet’s credential plugin runs in a chroot on the host with the pod’s AWS variables, and the token file that they name exists only in the pod.',
    source: `${nma} issue 23`,
  },
  {
    id: 'chroot-failed',
    pattern: /getting credentials: exec: executable \S*chroot failed/,
    code: 'credentials-broken',
    result: 'broken',
    says: 'NMA could not get the kubelet’s credentials, with which it writes conditions.',
    source: `${nma} issue 23`,
  },
  {
    id: 'conditions-failed',
    pattern: /failed to report managed conditions/,
    code: 'credentials-broken',
    result: 'broken',
    says: 'NMA found something to write and could not write its conditions.',
    source: `${nma} pkg/manager/node_exporter.go`,
  },
  {
    id: 'panic-255',
    pattern: /panic: exit status 255/,
    code: 'credentials-broken',
    result: 'broken',
    says: 'The wrapper that runs the credential plugin on the host ended, as it does when the plugin fails.',
    source: `${nma} cmd/chroot/main.go, issue 23`,
  },
  {
    id: 'arm64-gate',
    pattern: /NVIDIA-based monitoring is disabled for the arm64 architecture/,
    code: 'arm64-gate',
    result: 'broken',
    says: 'This NMA version watches no GPU on arm64, and publishes AcceleratedHardwareReady=True all the same.',
    source: `${nma} monitors/nvidia/monitor.go`,
  },
  {
    id: 'not-registered',
    pattern: /skipping monitor registration: no (?:nvidia|neuron) hardware detected/,
    code: 'monitor-not-registered',
    result: 'broken',
    says: 'NMA looked for the driver once, at its start, and found none: it watches no GPU on this node until it is restarted.',
    commands: [
      'kubectl -n kube-system delete pod -l app.kubernetes.io/name=eks-node-monitoring-agent --field-selector spec.nodeName=NODE',
    ],
    source: `${nma} pkg/config/context.go`,
  },
  {
    id: 'monitors-off',
    pattern: /monitors disabled by configuration|all monitors are disabled by configuration/,
    code: 'monitor-disabled',
    result: 'broken',
    says: 'NMA’s configuration switches monitors off; the conditions of these are no longer written.',
    source: `${nma} pkg/config/monitor.go`,
  },
  {
    id: 'config-bad',
    pattern: /failed to load monitor configuration/,
    code: 'monitor-disabled',
    result: 'broken',
    says: 'NMA does not start with this configuration: an unknown key or plugin ends the process.',
    source: `${nma} pkg/config/monitor.go`,
  },
  {
    id: 'engine-lost',
    pattern: /failed to reconcile DCGM state|failed to health check DCGM|error connecting to nv-hostengine/,
    code: 'engine-lost',
    result: 'broken',
    says: 'NMA has no connection to its host engine: no GPU fault reaches it, and after a minute it reports DCGMError.',
    commands: [
      'kubectl -n kube-system get pods -l k8s-app=dcgm-server --field-selector spec.nodeName=NODE -o wide',
    ],
    source: `${nma} monitors/nvidia/dcgm/dcgm_reconcile.go`,
  },
  {
    id: 'min-occurrences',
    pattern: /condition has not met MinOccurrences/,
    code: 'not-often-enough',
    result: 'open',
    says: 'NMA saw the fault and counts it; this reason is reported only after several.',
    source: `${nma} pkg/manager/manager.go`,
  },
  {
    id: 'sent',
    pattern: /sending condition to exporter/,
    code: 'nma-reacted',
    result: 'works',
    says: 'NMA saw the fault and passed it on: detection works, what is missing comes after it.',
    source: `${nma} pkg/manager/manager.go`,
  },
  {
    id: 'reported',
    pattern: /reported node conditions/,
    code: 'nma-writes',
    result: 'works',
    says: 'NMA wrote its conditions to the API server.',
    source: `${nma} pkg/manager/node_exporter.go`,
  },
  {
    id: 'listening',
    pattern: /Listening for violations/,
    code: 'nma-listens',
    result: 'works',
    says: 'NMA is connected to a host engine and has registered for its policies.',
    commands: [logs],
    source: 'NVIDIA/go-dcgm pkg/dcgm/policy.go',
  },
];

/** The first row that a line fits. */
export function nmaLogRow(line: string): NmaLogRow | undefined {
  return nmaLogRows.find(({ pattern }) => pattern.test(line));
}
