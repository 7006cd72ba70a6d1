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
  ownerKey,
  poolLabel,
  type SeenNode,
  type SeenOwner,
} from './node.ts';
import { readPodsOnNode } from './pods-on-node.ts';
import { projectNode, projectNodeClaim } from './projections.ts';
import { createNextReads } from './shared-reads.ts';

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
  const nextReads = createNextReads();

  async function readOwner(owner: NodeOwner): Promise<SeenOwner> {
    const { nodePool, nodeGroup, nodeClaim } = owner;
    // Of a thousand whole Nodes: whoever asks while it is read shares the next reading.
    const [poolNodes, poolClaims] = await nextReads(ownerKey(owner) ?? '', () =>
      nodePool === undefined
        ? Promise.all([readNodes(`${groupLabel}=${nodeGroup ?? ''}`), noClaims])
        : Promise.all([readNodes(`${poolLabel}=${nodePool}`), readClaims(`${poolLabel}=${nodePool}`)]),
    );
    const own =
      nodeClaim === undefined || isUnread(poolClaims)
        ? poolClaims
        : (poolClaims.find(({ metadata }) => metadata.uid === nodeClaim.uid) ?? 'gone');
    return {
      poolNodes,
      poolClaims,
      ...(nodeClaim === undefined ? {} : { nodeClaim: own as NonNullable<SeenOwner['nodeClaim']> }),
    };
  }

  const readNodes = async (labelSelector: string) =>
    (await cluster.list('nodes', { labelSelector, project: projectNode })).items;

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
