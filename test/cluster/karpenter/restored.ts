import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { createHttpAgents } from '../../../coordinator/agents/http.ts';
import { createCoordinator } from '../../../coordinator/app.ts';
import type { NodeRepairConfig } from '../../../coordinator/catalogue/repair/eks.ts';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { createReflector } from '../../../coordinator/cluster/reflector.ts';
import { type RehearsalNode, startNode } from '../../../coordinator/rehearsal/node.ts';
import { nmaName, systemNamespace } from '../../../coordinator/rehearsal/objects.ts';
import { restoreStepNames } from '../../../coordinator/store/restore.ts';
import { createStaticDirectory } from '../../../coordinator/view/agent-directory.ts';
import { isReady, text } from '../../../coordinator/view/node.ts';
import { createView } from '../../../coordinator/view/view.ts';
import { type Clock, createRealClock, createScaledClock } from '../../../shared/clock.ts';
import { Refusal } from '../../../shared/errors.ts';
import { findHelm, type Helm } from '../../charts/helm.ts';
import { objectsIn, release, template } from '../../charts/render.ts';
import {
  type KilledRestores,
  type RestoredDrill,
  type RestoreSubject,
  restoreKilledAt,
} from '../../contract/restore.ts';
import { createPlug, createRest, gpuNode, log } from '../../coordinator/rig.ts';
import { type ControlPlane, kubeconfig } from '../controlplane/start.ts';
import { until } from '../processes.ts';
import { apply, isListening, type KarpenterRig, nmaVersion, podOf } from './rig.ts';

/** One of nobody, and one of a managed node group, which repairs after a time in which the restore can be done. */
const nodes = ['restored', 'forbidden'] as const;
const drills: readonly RestoredDrill[] = [
  { node: 'restored', restore: 'auto' },
  { node: 'forbidden', expectation: { repair: 'forbid' } },
];
/** An hour of NMA's clock is six minutes here. */
const repairs: NodeRepairConfig = {
  enabled: true,
  nodeRepairConfigOverrides: [
    {
      nodeMonitoringCondition: 'AcceleratedHardwareReady',
      nodeUnhealthyReason: 'NvidiaXID79Error',
      minRepairWaitTimeMins: 60,
      repairAction: 'Replace',
    },
  ],
};
const enginePods = 'k8s-app=dcgm-server';
const monitorPods = `app.kubernetes.io/name=${nmaName}`;

/**
 * Whole restores on the real API server, by coordinators that are killed at every step: each deletes pods with the rights that the
 * chart gives it, the real DaemonSet controller brings them back, and the condition stays True beyond the next health check.
 * Minutes of NMA's clock pass ten times as fast. Answers why not where there is no helm to render the chart.
 */
export async function restoreOnRealServer(
  t: Test,
  rig: KarpenterRig,
): Promise<KilledRestores | { readonly because: string }> {
  const helm = findHelm();
  if ('because' in helm) return helm;
  return restoreKilledAt(await startRestoring(t, rig, helm), restoreStepNames, drills);
}

/** The nodes, NMA on them, and coordinators with no other rights than the chart's. */
async function startRestoring(t: Test, rig: KarpenterRig, helm: Helm): Promise<RestoreSubject> {
  const { plane, cluster } = rig;
  const { namespace } = release;
  const clock = createScaledClock({ factor: 10, startAt: Date.now() });
  const { stdout, stderr, code } = await template(helm, { 'restore.enabled': true });
  if (code !== 0) throw new Error(stderr);
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const rights = objectsIn(stdout).filter(
    ({ kind, metadata }) =>
      (/^(Cluster)?Role(Binding)?$/.test(kind) || kind === 'ServiceAccount') && !/test/.test(metadata.name),
  );
  await apply(plane, ...nodes.map(nodeObject), ...rights);
  const started = await Promise.all(nodes.map((name) => startAddon(t, rig, name, clock)));
  const directory = createStaticDirectory(new Map(started.map(({ row, url }) => [row.name, url])));

  const own = createClusterClient({
    kubeconfig: { path: await kubeconfigOfChart(plane) },
    userAgent: 'xidrill-coordinator',
    fieldManager: 'xidrill-coordinator',
    log,
  });
  return {
    cluster,
    until,
    async start(identity, through) {
      const plug = createPlug(through(own));
      const coordinator = await createCoordinator({
        cluster: plug.cluster,
        view: createView({ cluster: plug.cluster, namespace, clock, random: Math.random, log }),
        agents: createHttpAgents({ directory }),
        namespace,
        identity,
        // Three seconds here, after which the next one takes over; a dead one cannot lose it to anybody else.
        leaseSeconds: 30,
        restore: true,
        repairSettings: { nodeGroups: { repairConfig: async () => repairs } },
        clock,
        random: Math.random,
        newName: randomUUID,
        log,
      });
      const stopping = new AbortController();
      const running = coordinator.run(stopping.signal);
      const url = await coordinator.app.listen({ host: '127.0.0.1', port: 0 });
      let killed: Promise<void> | undefined;
      const kill = () => {
        plug.pull();
        killed ??= (async () => {
          stopping.abort(new Refusal('shutting_down', 'the test ends it'));
          await running;
          await coordinator.app.close();
        })();
        return killed;
      };
      t.teardown(kill);
      return { rest: createRest(url), kill };
    },
  };
}

/** A node whose kubelet is ready, with NMA that listens to its host engine, each in a pod. */
async function startAddon(t: Test, rig: KarpenterRig, name: string, clock: Clock): Promise<RehearsalNode> {
  const { plane, cluster } = rig;
  await until(`${name} is ready`, async () => {
    const found = await cluster.read('nodes', { name });
    return found !== undefined && isReady(found);
  });
  const node = await startNode({
    row: gpuNode(name),
    cluster,
    clock,
    random: Math.random,
    newId: randomUUID,
    stateDir: join(dirname(plane.kubeconfigPath), 'restored'),
    port: 0,
    armed: true,
    podLog: () => undefined,
    log,
  });
  t.teardown(() => node.close());
  const engine = await podOf(cluster, enginePods, name);
  const monitor = await podOf(cluster, monitorPods, name);
  const [enginePodUid = '', podUid = ''] = [engine.metadata.uid, monitor.metadata.uid];
  await node.startNma({ version: nmaVersion, credentials: 'healthy', enginePodUid, podUid });
  playKubelet(t, rig, node, new Set([enginePodUid, podUid]));
  await until(`NMA listens on ${name}`, () => isListening(node.url));
  return node;
}

/** The processes of the add-on follow their pods: they end with one, and begin anew in the next. */
function playKubelet(t: Test, { cluster }: KarpenterRig, node: RehearsalNode, begun: Set<string>): void {
  const stopping = new AbortController();
  const pods = createReflector({
    cluster,
    clock: createRealClock(),
    random: Math.random,
    log,
    resource: 'pods',
    query: { namespace: systemNamespace, fieldSelector: `spec.nodeName=${node.row.name}` },
    onChange: ({ type, object }) => {
      const { name: pod, uid = '', labels = {} } = object.metadata;
      if (type === 'deleted') void node.endPod(uid);
      else if (text(object, 'status', 'phase') === 'Running' && !begun.has(uid)) {
        begun.add(uid);
        const kind = labels['k8s-app'] === 'dcgm-server' ? 'engine' : 'monitor';
        node.beginPod(kind, { name: pod, uid });
      }
    },
  });
  pods.start(stopping.signal);
  t.teardown(() => {
    stopping.abort(new Error('the kubelet ends'));
    return pods.stop();
  });
}

const nodeObject = (name: (typeof nodes)[number]) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name,
    labels: {
      'xidrill.dev/drill': 'allowed',
      'kubernetes.io/hostname': name,
      ...(name === 'forbidden' && { 'eks.amazonaws.com/nodegroup': 'gpus' }),
    },
    annotations: { 'kwok.x-k8s.io/node': 'fake' },
  },
  status: { allocatable: { cpu: '16', memory: '64Gi', pods: '110', 'nvidia.com/gpu': '1' } },
});

/** Of the ServiceAccount that the chart makes for its coordinator. */
async function kubeconfigOfChart(plane: ControlPlane): Promise<string> {
  const account = `${release.name}-xidrill-coordinator`;
  const { stdout, stderr, exitCode } = await plane.kubectl([
    ...['-n', release.namespace, 'create', 'token', account],
  ]);
  if (exitCode !== 0) throw new Error(stderr);
  const file = join(dirname(plane.kubeconfigPath), 'kubeconfig-restoring');
  await writeFile(file, kubeconfig(plane.url, await readFile(plane.caFile), stdout.trim()), { mode: 0o600 });
  return file;
}
