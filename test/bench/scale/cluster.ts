import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import {
  daemonSetObject,
  dcgmServerLabels,
  type NodeRow,
  nmaImage,
  nmaLabels,
  nmaName,
} from '../../../coordinator/rehearsal/objects.ts';
import { customResourceDefinitions } from '../../../coordinator/store/crds.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { type ControlPlane, kubeconfig, startControlPlane } from '../../cluster/controlplane/start.ts';
import { type AuditedRequest, auditPolicy, createAuditReader } from './audit.ts';
import { fullNode, namespace, nmaVersion, type PlacedPod, podsOf } from './objects.ts';

/** A real control plane that writes down every request of the coordinator. */
export type ScaleCluster = {
  readonly plane: ControlPlane;
  /** For the bench's own requests: with the rights of an administrator, and beside all limits of the API server. */
  readonly cluster: Cluster;
  /**
   * For the coordinator: a ServiceAccount, so that the API server's priority and fairness treats it as one. It may do
   * everything: its rights are no part of this measurement.
   */
  readonly coordinatorKubeconfig: string;
  /** The coordinator's requests since the last call. */
  readonly audited: () => readonly AuditedRequest[];
};

/** A node of the bench: what it is, where its agent listens, and the pod that its host engine runs in. */
export type PlacedNode = { readonly row: NodeRow; readonly port: number; enginePodUid: string };

const coordinatorUser = `system:serviceaccount:${namespace}:xidrill-coordinator`;
const parallel = 24;

/** Starts etcd and kube-apiserver with the definitions and the namespace of the product, and nothing else. */
export async function startScaleCluster(folder: string): Promise<ScaleCluster> {
  const auditLog = join(folder, 'audit.log');
  const policyFile = join(folder, 'audit-policy.json');
  const token = randomBytes(24).toString('hex');
  writeFileSync(auditLog, '');
  writeFileSync(policyFile, JSON.stringify(auditPolicy(coordinatorUser)));
  const plane = await startControlPlane({
    apiserverArgs: [
      `--audit-log-path=${auditLog}`,
      `--audit-policy-file=${policyFile}`,
      // It would taint every new node as not ready, and nothing here takes that away.
      '--disable-admission-plugins=TaintNodesByCondition',
    ],
    tokens: [
      `${token},${coordinatorUser},coordinator,"system:serviceaccounts,system:serviceaccounts:${namespace}"`,
    ],
  });
  const coordinatorKubeconfig = join(folder, 'coordinator.kubeconfig');
  writeFileSync(coordinatorKubeconfig, kubeconfig(plane.url, readFileSync(plane.caFile), token));
  const cluster = createClusterClient({
    kubeconfig: { path: plane.kubeconfigPath },
    userAgent: 'xidrill-bench',
    fieldManager: 'xidrill-bench',
    log: createSilentLog(),
  });
  await plane.kubectl([
    ...['create', 'clusterrolebinding', 'bench-coordinator'],
    ...['--clusterrole=cluster-admin', `--user=${coordinatorUser}`],
  ]);
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await createWorkloads(cluster);
  return { plane, cluster, coordinatorKubeconfig, audited: createAuditReader(auditLog) };
}

async function createWorkloads(cluster: Cluster): Promise<void> {
  const image = nmaImage(nmaVersion);
  await cluster.create('serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: nmaName, namespace: 'kube-system' },
  });
  await cluster.create('daemonsets', daemonSetObject(nmaName, nmaLabels, { name: nmaName, image }, nmaName));
  const dcgm = daemonSetObject('dcgm-server', dcgmServerLabels, { name: 'dcgm-server', image }, 'default');
  await cluster.create('daemonsets', dcgm);
}

/** Creates each node with its three pods; fills in the uid of the pod that its host engine runs in. */
export async function createNodes(
  cluster: Cluster,
  nodes: readonly PlacedNode[],
  nodeBytes: number,
): Promise<void> {
  const left = [...nodes];
  const worker = async () => {
    for (let node = left.shift(); node !== undefined; node = left.shift()) {
      await cluster.create('nodes', fullNode(node.row, Date.now(), nodeBytes));
      const { nma, dcgm, agent } = podsOf(node.row, Date.now(), node.port);
      await createPod(cluster, nma);
      node.enginePodUid = (await createPod(cluster, dcgm)).metadata.uid ?? '';
      await createPod(cluster, agent);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

async function createPod(cluster: Cluster, { pod, status }: PlacedPod): Promise<KubeObject> {
  const { name, namespace: home = '' } = pod.metadata;
  await cluster.create('pods', pod);
  return cluster.patch('pods', { name, namespace: home }, { status }, 'status');
}
