import { Refusal } from '../../shared/errors.ts';
import type { AgentDirectory } from '../agents/http.ts';
import type { KubeObject } from '../cluster/port.ts';
import { list, text } from './node.ts';
import type { View } from './view.ts';

const agentPort = 9475;

/** From `--agent NODE=URL`. */
export function createStaticDirectory(agents: ReadonlyMap<string, string>): AgentDirectory {
  return async (node) => agents.get(node);
}

/**
 * Agents by the node that their pods are on, from the view. A node without one has no agent: that is an answer. What
 * counts is the agent's own container: a pod with another one whose image cannot be pulled is Pending for good, and its agent
 * works. Refuses with `cluster_refused` or `cluster_unreachable` where the pods cannot be read.
 */
export function createPodDirectory(
  view: Pick<View, 'podsOf' | 'unread'>,
  scheme: 'http' | 'https' = 'http',
): AgentDirectory {
  return async (node) => {
    const unread = view.unread('agentPods');
    if (unread !== undefined) {
      const { unread: message, remedy } = unread;
      throw new Refusal('cluster_refused', message, remedy === undefined ? {} : { remedy });
    }
    // While it is updated a node has two.
    for (const pod of view.podsOf('agentPods', node).filter(hasRunningAgent).toSorted(livingFirst)) {
      const ip = text(pod, 'status', 'podIP');
      const ports = list(pod, 'spec', 'containers').flatMap((container) => list(container, 'ports'));
      const named = ports.find((port) => text(port, 'name') === 'agent') as
        | { containerPort?: number }
        | undefined;
      if (ip !== undefined)
        return `${scheme}://${ip.includes(':') ? `[${ip}]` : ip}:${named?.containerPort ?? agentPort}`;
    }
    return undefined;
  };
}

function livingFirst(left: KubeObject, right: KubeObject): number {
  const isDeleted = ({ metadata }: KubeObject) => Number(metadata.deletionTimestamp !== undefined);
  return isDeleted(left) - isDeleted(right);
}

function hasRunningAgent(pod: KubeObject): boolean {
  const phase = text(pod, 'status', 'phase');
  if (phase !== 'Pending') return phase === 'Running';
  const agent = list(pod, 'status', 'containerStatuses').find(
    (container) => text(container, 'name') === 'agent',
  );
  return agent !== undefined && text(agent, 'state', 'running', 'startedAt') !== undefined;
}

/** Static entries win: they are what a person typed. */
export function firstOf(...directories: readonly AgentDirectory[]): AgentDirectory {
  return async (node) => {
    for (const directory of directories) {
      const url = await directory(node);
      if (url !== undefined) return url;
    }
    return undefined;
  };
}

/** `NODE=http://host:port`; returns what is wrong, or undefined. */
export function checkAgentEntry(entry: string): string | undefined {
  return parseAgentEntry(entry) === undefined
    ? 'not NODE=URL, such as node-1=http://127.0.0.1:9475'
    : undefined;
}

/** Node and URL of `NODE=URL`; undefined: it is not of that form. */
export function parseAgentEntry(entry: string): readonly [string, string] | undefined {
  const match = /^([^=\s]+)=(https?:\/\/[^\s/]+)\/?$/.exec(entry);
  return match?.[1] === undefined || match[2] === undefined ? undefined : [match[1], match[2]];
}
