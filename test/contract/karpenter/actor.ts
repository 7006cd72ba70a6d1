import { randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { parsePolicies } from '../../../coordinator/catalogue/repair/given-policies.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { startKarpenter } from '../../../coordinator/rehearsal/karpenter/actor.ts';
import { karpenterDeployment } from '../../../coordinator/rehearsal/karpenter/objects.ts';
import { podStatus, systemNamespace } from '../../../coordinator/rehearsal/objects.ts';
import type { KarpenterVersion } from '../../cluster/karpenter/build.ts';
import { gpuNode, log, startRig, until } from '../../coordinator/rig.ts';
import { type KarpenterSubject, pools } from './drills.ts';
import { type PoolRow, policies } from './scenarios.ts';

const workNamespace = 'work';

/** The rehearsal's Karpenter in the pools of the scenarios. */
export async function startActorSubject(t: Test, version: KarpenterVersion): Promise<KarpenterSubject> {
  const row = {
    version,
    policies: parsePolicies(JSON.stringify(policies)),
    launchSeconds: 2,
    terminateSeconds: 1,
  };
  const named = new Map(
    pools.map(({ name, nodes }) => [name, Array.from({ length: nodes }, (_, index) => `${name}-${index}`)]),
  );
  const rows = [...named].flatMap(([pool, names]) =>
    names.map((name) => gpuNode(name, { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': pool })),
  );
  const rig = await startRig(t, { rows, karpenter: { ...row, nodeRepair: false } });
  const { cluster, clock, rest } = rig;
  await cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: workNamespace },
  });
  for (const pool of pools) await addWork(cluster, pool, named.get(pool.name) ?? [], clock.now());
  return {
    version,
    cluster,
    rest,
    pools: named,
    now: () => clock.now(),
    until: (what, isSo) => until(t, what, isSo),
    async installKarpenter({ nodeRepair }) {
      const { spec } = karpenterDeployment({ ...row, nodeRepair }, systemNamespace);
      await cluster.patch('deployments', { namespace: systemNamespace, name: 'karpenter' }, { spec });
      const karpenter = startKarpenter({
        cluster,
        clock,
        log,
        random: () => 0.5,
        newId: randomUUID,
        row: { ...row, nodeRepair },
        onGone: async (name) => rig.nodes.get(name)?.close(),
      });
      t.teardown(() => karpenter.stop());
    },
    stopNma: (node) => rig.node(node).stopNma(),
    async idle(pool) {
      const all = await cluster.list('pods', { namespace: workNamespace, labelSelector: `pool=${pool}` });
      for (const { metadata } of all.items)
        await cluster.remove('pods', { namespace: workNamespace, name: metadata.name });
    },
    // The rehearsal has no kubelet that would write the condition again.
    silence: async () => undefined,
  };
}

/** A Deployment with a pod on each node, as the real rig has it, and what its controllers would write. */
async function addWork(
  cluster: Cluster,
  { name, podAnnotations = {}, minAvailable, budgets }: PoolRow,
  nodes: readonly string[],
  now: number,
): Promise<void> {
  const labels = { pool: name };
  const metadata = { labels, annotations: podAnnotations };
  const spec = {
    terminationGracePeriodSeconds: 1,
    nodeSelector: { 'karpenter.sh/nodepool': name },
    containers: [{ name: 'job', image: 'job:1' }],
  };
  if (budgets !== undefined)
    await cluster.patch('nodepools', { name }, { spec: { disruption: { budgets } } });
  const deployment = await cluster.create('deployments', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: workNamespace },
    spec: { selector: { matchLabels: labels }, template: { metadata, spec } },
  });
  const { apiVersion, kind } = deployment;
  const owner = { apiVersion, kind, name, uid: deployment.metadata.uid ?? '', controller: true };
  for (const nodeName of nodes) {
    const key = { namespace: workNamespace, name: nodeName };
    const pod: KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...key, ...metadata, ownerReferences: [owner] },
      spec: { ...spec, nodeName },
    };
    await cluster.create('pods', pod);
    await cluster.patch('pods', key, { status: podStatus(nodeName, now) }, 'status');
  }
  if (minAvailable === undefined) return;
  const key = { name, namespace: workNamespace };
  const wanted = { minAvailable, selector: { matchLabels: labels } };
  await cluster.create('poddisruptionbudgets', {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: key,
    spec: wanted,
  });
  const disruptionsAllowed = Math.max(0, nodes.length - minAvailable);
  await cluster.patch('poddisruptionbudgets', key, { status: { disruptionsAllowed } }, 'status');
}
