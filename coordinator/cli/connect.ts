import { createSilentLog } from '../../shared/log.ts';
import { version } from '../../shared/version.ts';
import { createClusterClient } from '../cluster/client.ts';
import type { Cluster } from '../cluster/port.ts';

/** Options of every command that speaks to a cluster, as node:util's parseArgs takes them. */
export const clusterOptions = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', short: 'n', default: 'xidrill' },
} as const;

/** Their lines of a command's help. */
export const clusterHelp = `      --kubeconfig FILE  absent: KUBECONFIG, then ~/.kube/config, then the pod's own account, as kubectl does
      --context NAME     a context of it; absent: its current one
  -n, --namespace NS     where Xidrill is installed (default xidrill)
`;

/** The values of `clusterOptions` as they were given. */
export type ClusterValues = {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
};

/** The API server with the caller's own rights. Throws `cluster_unreachable` for a kubeconfig that cannot be used. */
export function connect({ kubeconfig, context }: ClusterValues): Cluster {
  return createClusterClient({
    kubeconfig: {
      ...(kubeconfig === undefined ? {} : { path: kubeconfig }),
      ...(context === undefined ? {} : { context }),
    },
    userAgent: `xidrill/${version}`,
    fieldManager: 'xidrill',
    log: createSilentLog(),
  });
}
