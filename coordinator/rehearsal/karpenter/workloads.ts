import type { Clock } from '../../../shared/clock.ts';
import type { Cluster, JsonObject, KubeObject } from '../../cluster/port.ts';
import { text } from '../../view/node.ts';
import { podStatus } from '../objects.ts';

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

  /** Deletes pods; their controllers make new ones, which wait for a node. */
  async function displace(pods: readonly KubeObject[]): Promise<void> {
    for (const { metadata, apiVersion, kind, spec } of pods) {
      const { name, namespace = '', labels = {}, ownerReferences = [] } = metadata;
      await cluster.remove('pods', { name, namespace });
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

  /** As the scheduler does, which the stand-in lacks. */
  async function bindWaiting(nodeName: string): Promise<void> {
    const waiting = (await cluster.list('pods')).items.filter(
      (pod) => text(pod, 'spec', 'nodeName') === undefined,
    );
    for (const { metadata } of waiting) {
      const key = { name: metadata.name, namespace: metadata.namespace ?? '' };
      await cluster.patch('pods', key, { spec: { nodeName } });
      await cluster.patch('pods', key, { status: podStatus(key.name, clock.now()) }, 'status');
    }
  }

  return { displacedOn, displace, bindWaiting };
}
