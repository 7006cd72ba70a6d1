import { createSilentLog } from '../../shared/log.ts';
import { version } from '../../shared/version.ts';
import { createClusterClient } from '../cluster/client.ts';
import type { Cluster } from '../cluster/port.ts';

/** How somebody names the cluster that is meant; neither: as kubectl finds it. */
export type ClusterName = {
  /** A file. */
  readonly kubeconfig?: string | undefined;
  /** Of that file; absent: its current one. */
  readonly context?: string | undefined;
};

/** The API server with the caller's own rights. Throws `cluster_unreachable` for a kubeconfig that cannot be used. */
export function connect({ kubeconfig, context }: ClusterName): Cluster {
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
