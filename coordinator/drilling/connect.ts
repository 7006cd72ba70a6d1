import { createSilentLog } from '../../shared/log.ts';
import { version } from '../../shared/version.ts';
import { createClusterClient } from '../cluster/client.ts';
import { createPodExec, type ExecLimits, type PodExec } from '../cluster/exec.ts';
import type { Cluster } from '../cluster/port.ts';

/** How somebody names the cluster that is meant; neither: as kubectl finds it. */
export type ClusterName = {
  /** A file. */
  readonly kubeconfig?: string | undefined;
  /** Of that file; absent: its current one. */
  readonly context?: string | undefined;
};

/** Commands in containers with the caller's own rights, and of these only `allowed`. Throws as `connect` does. */
export function connectExec(
  name: ClusterName,
  allowed: readonly (readonly string[])[],
  limits: ExecLimits,
): PodExec {
  return createPodExec(sourceOf(name), allowed, limits);
}

function sourceOf({ kubeconfig, context }: ClusterName) {
  return {
    ...(kubeconfig === undefined ? {} : { path: kubeconfig }),
    ...(context === undefined ? {} : { context }),
  };
}

/** The API server with the caller's own rights. Throws `cluster_unreachable` for a kubeconfig that cannot be used. */
export function connect(name: ClusterName): Cluster {
  return createClusterClient({
    kubeconfig: sourceOf(name),
    userAgent: `xidrill/${version}`,
    fieldManager: 'xidrill',
    log: createSilentLog(),
  });
}
