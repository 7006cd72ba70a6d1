import { eventNamespace } from '../catalogue/nma/conditions.ts';
import type { Cluster } from '../cluster/port.ts';
import { conditionsOf, nodeEventFrom, type SeenNode } from './node.ts';

/** Reads one node: its conditions, its events, and whether it is still the one of `nodeUid`. Throws as the port does. */
export type ReadNode = (target: { readonly node: string; readonly nodeUid: string }) => Promise<SeenNode>;

/** Two requests to the API server, for the moments at which a watch that may lag is not enough. */
export function createReadNode(cluster: Pick<Cluster, 'read' | 'list'>): ReadNode {
  return async ({ node: name, nodeUid }) => {
    const [node, events] = await Promise.all([
      cluster.read('nodes', { name }),
      cluster.list('events', {
        namespace: eventNamespace,
        fieldSelector: `involvedObject.kind=Node,involvedObject.name=${name}`,
      }),
    ]);
    return {
      isGone: node?.metadata.uid !== nodeUid,
      conditions: node === undefined ? [] : conditionsOf(node),
      events: events.items.map(nodeEventFrom),
      ...(node === undefined ? {} : { node }),
    };
  };
}
