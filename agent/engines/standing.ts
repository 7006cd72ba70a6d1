import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Whose engines count, beside those of root on the host: any process of the node may call itself nv-hostengine. */
export type EngineTrust = {
  /** Namespaces whose pods count, that of the monitoring agent's DCGM server among them. */
  readonly namespaces: readonly string[];
  /** Users whose processes on the host count. */
  readonly uids: readonly number[];
};

/** kube-system: where the add-on and its chart install the DCGM server (reference nma.md). */
export const defaultTrust: EngineTrust = { namespaces: ['kube-system'], uids: [] };

/** What /proc and the kubelet's folders show of who runs a process. */
export type Standing = {
  /** Effective user; undefined: not readable. */
  readonly uid: number | undefined;
  /** Root in the host's user namespace with CAP_SYS_ADMIN: who is that needs no disguise. */
  readonly isPrivileged: boolean;
  /** It is in a container or a pod. */
  readonly isContained: boolean;
  /** `namespace/name` of its pod; undefined: not known, or in none. */
  readonly pod: string | undefined;
};

/** Why a process is not taken for an engine that the monitoring agent uses; undefined: it may be one. Pure. */
export function whyNotCounted(standing: Standing, trust: EngineTrust): string | undefined {
  const { uid, isPrivileged, isContained, pod } = standing;
  const allowed = `the namespaces that count are ${trust.namespaces.join(', ')}`;
  if (isContained) {
    const namespace = pod?.split('/')[0];
    if (isPrivileged || (namespace !== undefined && trust.namespaces.includes(namespace))) return undefined;
    const where = pod === undefined ? 'in a container whose pod is not known' : `in pod ${pod}`;
    return `it runs without privileges ${where}; ${allowed} (--engine-namespace)`;
  }
  if (uid === 0 || (uid !== undefined && trust.uids.includes(uid))) return undefined;
  const who = uid === undefined ? 'a user that cannot be read' : `uid ${uid}`;
  return `it runs as ${who} on the host; only root's count, or those of a user that is named (--engine-uid)`;
}

/**
 * The pods of the node by uid, as `namespace/name`: the kubelet names the folder of a pod's logs so, and root alone may write
 * there (kubelet, BuildPodLogsDirectory: /var/log/pods/NAMESPACE_NAME_UID). Empty where there is no kubelet.
 */
export async function readPods(hostRoot: string): Promise<ReadonlyMap<string, string>> {
  const names = await readdir(join(hostRoot, 'var/log/pods')).catch(() => []);
  return new Map(
    names.flatMap((entry) => {
      const [namespace, name, uid, ...more] = entry.split('_');
      const isPod = namespace !== undefined && name !== undefined && uid !== undefined && more.length === 0;
      return isPod ? [[uid, `${namespace}/${name}`] as const] : [];
    }),
  );
}
