import { Refusal } from '../../shared/errors.ts';
import { eventNamespace } from '../catalogue/nma/conditions.ts';
import type { Cluster } from '../cluster/port.ts';
import type { NodeOwner } from '../store/experiment.ts';
import { conditionsOf, nodeEventFrom, poolLabel, type SeenNode, type SeenOwner } from './node.ts';
import { projectNode, projectNodeClaim } from './projections.ts';

/**
 * Reads one node: its conditions, its events, whether it is still the one of `nodeUid`, and what stands of its owner. Throws
 * as the port does.
 */
export type ReadNode = (target: {
  readonly node: string;
  readonly nodeUid: string;
  readonly owner?: NodeOwner | undefined;
}) => Promise<SeenNode>;

/** Requests to the API server, for the moments at which a watch that may lag is not enough. */
export function createReadNode(cluster: Pick<Cluster, 'read' | 'list'>): ReadNode {
  async function readOwner({ nodePool, nodeClaim }: NodeOwner): Promise<SeenOwner> {
    const [nodes, claim] = await Promise.all([
      cluster.list('nodes', { labelSelector: `${poolLabel}=${nodePool}`, project: projectNode }),
      nodeClaim === undefined ? undefined : readClaim(nodeClaim),
    ]);
    return { poolNodes: nodes.items, ...(claim === undefined ? {} : { nodeClaim: claim }) };
  }

  async function readClaim({
    name,
    uid,
  }: NonNullable<NodeOwner['nodeClaim']>): Promise<NonNullable<SeenOwner['nodeClaim']>> {
    try {
      // By the rights that the view needs anyway.
      const query = { fieldSelector: `metadata.name=${name}`, project: projectNodeClaim };
      const [found] = (await cluster.list('nodeclaims', query)).items;
      return found?.metadata.uid === uid ? found : 'gone';
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason === 'cluster_unreachable') throw thrown;
      return { unread: `NodeClaim ${name} cannot be read: ${thrown.message}` };
    }
  }

  return async ({ node: name, nodeUid, owner }) => {
    const [node, events, seenOwner] = await Promise.all([
      cluster.read('nodes', { name }),
      cluster.list('events', {
        namespace: eventNamespace,
        fieldSelector: `involvedObject.kind=Node,involvedObject.name=${name}`,
      }),
      owner === undefined ? undefined : readOwner(owner),
    ]);
    return {
      isGone: node?.metadata.uid !== nodeUid,
      conditions: node === undefined ? [] : conditionsOf(node),
      events: events.items.map(nodeEventFrom),
      ...(node === undefined ? {} : { node }),
      ...(seenOwner === undefined ? {} : { owner: seenOwner }),
    };
  };
}
