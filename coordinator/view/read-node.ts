import { Refusal } from '../../shared/errors.ts';
import { eventNamespace } from '../catalogue/nma/conditions.ts';
import type { Cluster } from '../cluster/port.ts';
import type { NodeOwner } from '../store/experiment.ts';
import { isUnread } from './facts.ts';
import {
  conditionsOf,
  groupLabel,
  noClaims,
  nodeEventFrom,
  poolLabel,
  type SeenNode,
  type SeenOwner,
} from './node.ts';
import { readPodsOnNode } from './pods-on-node.ts';
import { projectNode, projectNodeClaim } from './projections.ts';

/**
 * Reads one node: its conditions, its events, whether it is still the one of `nodeUid`, and what stands of its owner. Throws
 * as the port does.
 */
export type ReadNode = (target: {
  readonly node: string;
  readonly nodeUid: string;
  readonly owner?: NodeOwner | undefined;
  /** Its pods that have to run elsewhere, with what holds them. Default false. */
  readonly pods?: boolean;
}) => Promise<SeenNode>;

/** Requests to the API server, for the moments at which a watch that may lag is not enough. */
export function createReadNode(cluster: Pick<Cluster, 'read' | 'list'>): ReadNode {
  async function readOwner({ nodePool, nodeGroup, nodeClaim }: NodeOwner): Promise<SeenOwner> {
    if (nodePool === undefined) {
      const ofGroup = { labelSelector: `${groupLabel}=${nodeGroup ?? ''}`, project: projectNode };
      return { poolNodes: (await cluster.list('nodes', ofGroup)).items, poolClaims: noClaims };
    }
    const labelSelector = `${poolLabel}=${nodePool}`;
    const [nodes, poolClaims] = await Promise.all([
      cluster.list('nodes', { labelSelector, project: projectNode }),
      readClaims(labelSelector),
    ]);
    const own =
      nodeClaim === undefined || isUnread(poolClaims)
        ? poolClaims
        : (poolClaims.find(({ metadata }) => metadata.uid === nodeClaim.uid) ?? 'gone');
    return {
      poolNodes: nodes.items,
      poolClaims,
      ...(nodeClaim === undefined ? {} : { nodeClaim: own as NonNullable<SeenOwner['nodeClaim']> }),
    };
  }

  /** By the rights that the view needs anyway. */
  async function readClaims(labelSelector: string): Promise<SeenOwner['poolClaims']> {
    try {
      return (await cluster.list('nodeclaims', { labelSelector, project: projectNodeClaim })).items;
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason === 'cluster_unreachable') throw thrown;
      return { unread: `NodeClaims cannot be read: ${thrown.message}` };
    }
  }

  return async ({ node: name, nodeUid, owner, pods = false }) => {
    const [node, events, seenOwner, onNode] = await Promise.all([
      cluster.read('nodes', { name }),
      cluster.list('events', {
        namespace: eventNamespace,
        fieldSelector: `involvedObject.kind=Node,involvedObject.name=${name}`,
      }),
      owner === undefined ? undefined : readOwner(owner),
      pods ? readPodsOnNode(cluster, name) : undefined,
    ]);
    return {
      isGone: node?.metadata.uid !== nodeUid,
      conditions: node === undefined ? [] : conditionsOf(node),
      events: events.items.map(nodeEventFrom),
      ...(node === undefined ? {} : { node }),
      ...(seenOwner === undefined ? {} : { owner: seenOwner }),
      ...(onNode === undefined ? {} : { pods: onNode }),
    };
  };
}
