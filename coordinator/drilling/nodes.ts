import type { Clock } from '../../shared/clock.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { createPodDirectory } from '../view/agent-directory.ts';
import { hasGpu, list, overviewOf, text } from '../view/node.ts';
import { canICommand, takeSnapshot } from '../view/snapshot.ts';

/** A node as somebody sees it who looks for one to drill. */
export type NodeLine = {
  readonly name: string;
  /** It carries the label that lets it be drilled. */
  readonly drillAllowed: boolean;
  readonly ready: boolean;
  readonly hasGpu: boolean;
  readonly instanceType: string;
  /** Status of AcceleratedHardwareReady; empty: it has none. */
  readonly acceleratedHardware: string;
  /** Whether an agent runs there; undefined: its pods may not be listed. */
  readonly agent: boolean | undefined;
};

/** All nodes, sorted, and the commands that show the rights that are missing. */
export async function listNodes(options: {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly clock: Clock;
}): Promise<{ readonly nodes: readonly NodeLine[]; readonly notRead: readonly string[] }> {
  const { known, missing } = await takeSnapshot(options);
  const findAgent = createPodDirectory(known);
  const isOpen = known.unread('agentPods') !== undefined;
  const nodes = await Promise.all(
    known.all('nodes').map(async (node): Promise<NodeLine> => {
      const { name, drillAllowed, ready, instanceType, acceleratedHardware } = overviewOf(node);
      return {
        name,
        drillAllowed,
        ready,
        hasGpu: hasGpu(node),
        instanceType: instanceType ?? '',
        acceleratedHardware: acceleratedHardware?.status ?? '',
        agent: isOpen ? undefined : (await findAgent(name)) !== undefined,
      };
    }),
  );
  return {
    nodes: nodes.toSorted((left, right) => (left.name < right.name ? -1 : 1)),
    notRead: missing().map(canICommand),
  };
}

/** Images of our own programs in a namespace, each with how many pods run it, by what the pods say. */
export async function installedImages(
  cluster: Pick<Cluster, 'list'>,
  namespace: string,
): Promise<readonly { readonly image: string; readonly component: string; readonly pods: number }[]> {
  const { items } = await cluster.list('pods', {
    namespace,
    labelSelector: 'app.kubernetes.io/name=xidrill',
  });
  const counts = Map.groupBy(items, (pod: KubeObject) => {
    const component = pod.metadata.labels?.['app.kubernetes.io/component'] ?? 'program';
    return `${component} ${text(list(pod, 'spec', 'containers')[0], 'image') ?? ''}`;
  });
  return [...counts].map(([key, pods]) => {
    const [component = '', image = ''] = key.split(' ');
    return { component, image, pods: pods.length };
  });
}
