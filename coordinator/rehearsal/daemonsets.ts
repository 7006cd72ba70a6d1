import type { Clock } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { createReflector } from '../cluster/reflector.ts';
import { text } from '../view/node.ts';
import type { RehearsalNode } from './node.ts';
import { podStatus, systemNamespace } from './objects.ts';

/** How long the add-on's pods take to come back, in seconds of the rehearsal's clock. */
export type RestartSeconds = {
  /** From the deletion of NMA's pod until the next one runs. Default 3. */
  readonly monitor?: number;
  /** From the deletion of the host engine's pod until the next one runs. Default 8. */
  readonly engine?: number;
};

const usualSeconds = { monitor: 3, engine: 8 };

/**
 * The DaemonSet controller and the kubelets for the add-on's pods: when one is deleted its process ends, and another pod with
 * another name and a new process comes on the same node. A process that was stopped by hand is left so.
 */
export function startDaemonSets(deps: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  readonly nodes: ReadonlyMap<string, RehearsalNode>;
  readonly restartSeconds?: RestartSeconds;
  readonly log: Log;
}): { stop(): Promise<void> } {
  const { cluster, clock, newId, nodes, log } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const work = new Set<Promise<void>>();

  async function bringBack(pod: KubeObject): Promise<void> {
    const node = nodes.get(text(pod, 'spec', 'nodeName') ?? '');
    const kind = await node?.endPod(pod.metadata.uid ?? '');
    if (node === undefined || kind === undefined) return;
    await clock.sleep((deps.restartSeconds?.[kind] ?? usualSeconds[kind]) * 1000, signal);
    const owner = pod.metadata.ownerReferences?.find((one) => one.kind === 'DaemonSet');
    if (owner === undefined || !(await isWanted(node.row.name, owner))) return;
    const { labels = {}, ownerReferences = [] } = pod.metadata;
    const name = `${owner.name}-${newId().slice(0, 5)}`;
    const key = { namespace: systemNamespace, name };
    const { apiVersion, spec } = pod;
    await cluster.create('pods', {
      apiVersion,
      kind: 'Pod',
      metadata: { ...key, labels, ownerReferences },
      spec,
    });
    const now = clock.now();
    const placed = await cluster.patch('pods', key, { status: podStatus(name, now) }, 'status');
    node.beginPod(kind, { name, uid: placed.metadata.uid ?? '' });
  }

  async function isWanted(
    node: string,
    owner: { readonly name: string; readonly uid: string },
  ): Promise<boolean> {
    const daemonSet = await cluster.read('daemonsets', { namespace: systemNamespace, name: owner.name });
    const found = await cluster.read('nodes', { name: node });
    return daemonSet?.metadata.uid === owner.uid && found !== undefined;
  }

  const pods = createReflector({
    ...deps,
    resource: 'pods',
    query: { namespace: systemNamespace },
    onChange: ({ type, object }) => {
      if (type !== 'deleted') return;
      const done = bringBack(object)
        .catch((thrown) => {
          if (!signal.aborted)
            log.error({ err: thrown, pod: object.metadata.name }, 'a pod did not come back');
        })
        .finally(() => work.delete(done));
      work.add(done);
    },
  });
  pods.start(signal);
  return {
    async stop() {
      stopping.abort(new Error('the DaemonSets end'));
      await pods.stop();
      await Promise.all(work);
    },
  };
}
