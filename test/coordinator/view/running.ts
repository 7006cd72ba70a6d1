import type { Test } from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { type ApiServer, startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { customResourceDefinitions } from '../../../coordinator/store/crds.ts';
import { createView, type View } from '../../../coordinator/view/view.ts';
import { type Clock, createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';

const log = createSilentLog();
export const home = 'drills';

export type Running = {
  readonly server: ApiServer;
  readonly cluster: Cluster;
  readonly view: View;
  readonly clock: Clock;
};

/** A view over a stand-in of its own; `before` runs when the definitions are there and the view is not started. */
export async function start(
  t: Test,
  before: (running: Running) => Promise<void> = async () => {},
  clock: Clock = createRealClock(),
): Promise<Running> {
  const server = await startApiServer({ clock, log });
  t.teardown(() => server.close());
  const kubeconfig = { url: server.url };
  const cluster = createClusterClient({ kubeconfig, userAgent: 'test', fieldManager: 'test', log });
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  for (const name of [home, 'nma'])
    await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  const view = createView({ cluster, namespace: home, clock, random: () => 0, log });
  const running = { server, cluster, view, clock };
  await before(running);
  view.start(new AbortController().signal);
  t.teardown(() => view.stop());
  return running;
}

export function pod(name: string, nodeName: string, labels: Readonly<Record<string, string>>): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'nma', labels },
    spec: { nodeName, containers: [{ name: 'c', image: 'i:v1.6.4' }] },
  };
}

export const nmaLabels = { 'app.kubernetes.io/name': 'eks-node-monitoring-agent' };
