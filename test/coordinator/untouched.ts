import type { Cluster } from '../../coordinator/cluster/port.ts';
import { list, text } from '../../coordinator/view/node.ts';

/** What controllers and kubelets write on a node, whoever drills it. */
const others = /^(karpenter\.sh|node\.kubernetes\.io|eks\.amazonaws\.com)\//;

type Looks = Readonly<Record<string, unknown>>;

/**
 * What stands on the nodes now, to be asked at the end what is left: labels, annotations and taints of every Node that is still there
 * have to be those of now. undefined: nothing is left.
 */
export async function rememberNodes(cluster: Cluster): Promise<() => Promise<string | undefined>> {
  const before = await looksOf(cluster);
  return async () => {
    const after = await looksOf(cluster);
    const changed = Object.keys(before).filter(
      (uid) => after[uid] !== undefined && JSON.stringify(after[uid]) !== JSON.stringify(before[uid]),
    );
    if (changed.length === 0) return undefined;
    return changed
      .map((uid) => `${JSON.stringify(before[uid])} became ${JSON.stringify(after[uid])}`)
      .join('; ');
  };
}

/** By uid: a node that was replaced is another one. */
async function looksOf(cluster: Cluster): Promise<Looks> {
  const { items } = await cluster.list('nodes');
  return Object.fromEntries(
    items.map((node) => {
      const { uid = '', labels = {}, annotations = {} } = node.metadata;
      const taints = list(node, 'spec', 'taints').map((taint) => text(taint, 'key') ?? '');
      const keys = [...Object.keys(labels), ...Object.keys(annotations), ...taints];
      return [uid, keys.filter((key) => !others.test(key)).toSorted()];
    }),
  );
}
