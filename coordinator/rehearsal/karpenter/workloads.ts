import type { Clock } from '../../../shared/clock.ts';
import type { Cluster, JsonObject, KubeObject } from '../../cluster/port.ts';
import { text, textMap } from '../../view/node.ts';
import { podStatus } from '../objects.ts';

/** As the Eviction API marks a pod (pkg/registry/core/pod/storage/eviction.go). */
const evicted = {
  type: 'DisruptionTarget',
  status: 'True',
  reason: 'EvictionByEvictionAPI',
  message: 'Eviction API: evicting',
};

/** The part of controllers and scheduler that a replacement needs: pods are made again, and bound to a node. */
export function createWorkloads({
  cluster,
  clock,
  newId,
}: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly newId: () => string;
}) {
  /** Pods that have to run elsewhere: those of DaemonSets go with the node. */
  async function displacedOn({ metadata }: KubeObject): Promise<readonly KubeObject[]> {
    const pods = await cluster.list('pods', { fieldSelector: `spec.nodeName=${metadata.name}` });
    return pods.items.filter(
      (pod) => !pod.metadata.ownerReferences?.some(({ kind }) => kind === 'DaemonSet'),
    );
  }

  /**
   * Pods leave, by the Eviction API or deleted; their controllers make new ones, which wait for a node. `isEndless`: no kubelet ends
   * them, so that they stay until their Node is gone.
   */
  async function displace(
    pods: readonly KubeObject[],
    how: { readonly isEvicted: boolean; readonly isEndless: boolean },
  ): Promise<void> {
    for (const { metadata, apiVersion, kind, spec } of pods) {
      const { name, namespace = '', labels = {}, ownerReferences = [] } = metadata;
      if (how.isEvicted)
        await cluster.patch('pods', { name, namespace }, { status: { conditions: [evicted] } }, 'status');
      if (!how.isEndless) await cluster.remove('pods', { name, namespace });
      if (ownerReferences.length === 0) continue;
      const { nodeName: _gone, ...rest } = spec as JsonObject;
      const again = {
        name: `${name.slice(0, 40)}-${newId().slice(0, 5)}`,
        namespace,
        labels,
        ownerReferences,
      };
      await cluster.create('pods', { apiVersion, kind, metadata: again, spec: rest });
    }
  }

  /** As the scheduler does, which the stand-in lacks: pods whose selector the node has, whatever room there is. */
  async function bindWaiting(nodeName: string): Promise<void> {
    const { labels = {} } = (await cluster.read('nodes', { name: nodeName }))?.metadata ?? {};
    const fits = (pod: KubeObject) =>
      Object.entries(textMap(pod, 'spec', 'nodeSelector')).every(([key, value]) => labels[key] === value);
    const waiting = (await cluster.list('pods')).items.filter(
      (pod) => text(pod, 'spec', 'nodeName') === undefined && fits(pod),
    );
    for (const { metadata } of waiting) {
      const key = { name: metadata.name, namespace: metadata.namespace ?? '' };
      await cluster.patch('pods', key, { spec: { nodeName } });
      await cluster.patch('pods', key, { status: podStatus(key.name, clock.now()) }, 'status');
    }
  }

  return { displacedOn, displace, bindWaiting };
}
