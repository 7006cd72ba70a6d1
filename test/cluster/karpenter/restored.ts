import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { createHttpAgents } from '../../../coordinator/agents/http.ts';
import { createCoordinator } from '../../../coordinator/app.ts';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { createReflector } from '../../../coordinator/cluster/reflector.ts';
import { type RehearsalNode, startNode } from '../../../coordinator/rehearsal/node.ts';
import { nmaName, systemNamespace } from '../../../coordinator/rehearsal/objects.ts';
import type { ExperimentAnswer, InjectionAnswer } from '../../../coordinator/routes/answers.ts';
import { createStaticDirectory } from '../../../coordinator/view/agent-directory.ts';
import { conditionsOf, isReady, list, text } from '../../../coordinator/view/node.ts';
import { createView } from '../../../coordinator/view/view.ts';
import { createRealClock, createScaledClock } from '../../../shared/clock.ts';
import { Refusal } from '../../../shared/errors.ts';
import { findHelm, type Helm } from '../../charts/helm.ts';
import { objectsIn, release, template } from '../../charts/render.ts';
import { createRest, gpuNode, log, type Rest } from '../../coordinator/rig.ts';
import { type ControlPlane, kubeconfig } from '../controlplane/start.ts';
import { until } from '../processes.ts';
import { apply, isListening, type KarpenterRig, nmaVersion, podOf } from './rig.ts';

/** A node of nobody: what is restored there is not repaired first. */
const name = 'restored';
const enginePods = 'k8s-app=dcgm-server';
const monitorPods = `app.kubernetes.io/name=${nmaName}`;

/** How a restore ended, and what stood on the node before it and after. */
type Restored = {
  readonly experiment: ExperimentAnswer;
  readonly injection: InjectionAnswer | undefined;
  readonly before: Seen;
  readonly after: Seen;
};

/**
 * A whole restore on the real API server: the coordinator deletes both pods with the rights that the chart gives it, the real
 * DaemonSet controller brings them back, and the condition stays True beyond the next health check. Minutes of NMA's clock pass
 * ten times as fast. undefined: there is no helm to render the chart, and why.
 */
export async function restoreOnRealServer(
  t: Test,
  rig: KarpenterRig,
): Promise<Restored | { readonly because: string }> {
  const helm = findHelm();
  if ('because' in helm) return helm;
  const rest = await startRestoring(t, rig, helm);
  const before = await lookAt(rig);
  const experiment = await rest.drill({
    name: 'restored',
    fault: { name: 'xid', parameters: { xid: 79 } },
    target: { selector: { names: [name] } },
    restore: 'auto',
  });
  const [injection] = await rest.injections('restored');
  return { experiment, injection, before, after: await lookAt(rig) };
}

/** Each pod was restarted once, in order, and nothing else of the node is changed. */
export function assertRestored(t: Test, { experiment, injection, before, after }: Restored): void {
  const shown = JSON.stringify(experiment.explanation);
  t.match(experiment, { verdict: 'pass', restore: { state: 'restored' } }, shown);
  t.match(injection?.links.at(-1), { link: 'restore', state: 'reached' });
  const steps = injection?.status?.restore?.steps ?? [];
  t.strictSame(
    steps.map(({ step, state }) => `${step} ${state}`),
    ['stop', 'engine', 'reconnect', 'monitor', 'condition', 'stable'].map((step) => `${step} done`),
  );
  t.notOk(
    after.pods.some((uid) => before.pods.includes(uid)),
    'both pods are others',
  );
  t.strictSame(
    steps.flatMap(({ replacement }) => replacement?.uid ?? []),
    after.pods,
    'each was restarted once',
  );
  t.match(after.condition, { status: 'True' });
  t.strictSame(after.node, before.node, 'nothing of ours is left on the node');
}

type Seen = Awaited<ReturnType<typeof lookAt>>;

async function lookAt({ cluster }: KarpenterRig) {
  const pods = [await podOf(cluster, enginePods, name), await podOf(cluster, monitorPods, name)];
  const node = await cluster.read('nodes', { name });
  const { labels, annotations } = node?.metadata ?? {};
  return {
    pods: pods.map(({ metadata }) => metadata.uid ?? ''),
    condition: node && conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady'),
    node: { labels, annotations, taints: list(node, 'spec', 'taints') },
  };
}

/** The node, NMA on it, and a coordinator with no other rights than the chart's. */
async function startRestoring(t: Test, rig: KarpenterRig, helm: Helm): Promise<Rest> {
  const { plane, cluster } = rig;
  const clock = createScaledClock({ factor: 10, startAt: Date.now() });
  const { stdout, stderr, code } = await template(helm, { 'restore.enabled': true });
  if (code !== 0) throw new Error(stderr);
  await cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: release.namespace },
  });
  const rights = objectsIn(stdout).filter(
    ({ kind, metadata }) =>
      (/^(Cluster)?Role(Binding)?$/.test(kind) || kind === 'ServiceAccount') && !/test/.test(metadata.name),
  );
  await apply(plane, nodeObject, ...rights);
  await until('its kubelet is ready', async () => {
    const node = await cluster.read('nodes', { name });
    return node !== undefined && isReady(node);
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
  await until('NMA listens', () => isListening(node.url));

  const own = createClusterClient({
    kubeconfig: { path: await kubeconfigOfChart(plane) },
    userAgent: 'xidrill-coordinator',
    fieldManager: 'xidrill-coordinator',
    log,
  });
  const { namespace } = release;
  const coordinator = await createCoordinator({
    cluster: own,
    view: createView({ cluster: own, namespace, clock, random: Math.random, log }),
    agents: createHttpAgents({ directory: createStaticDirectory(new Map([[name, node.url]])) }),
    namespace,
    identity: 'restoring',
    leaseSeconds: 86_400,
    restore: true,
    clock,
    random: Math.random,
    newName: randomUUID,
    log,
  });
  const stopping = new AbortController();
  const running = coordinator.run(stopping.signal);
  t.teardown(async () => {
    stopping.abort(new Refusal('shutting_down', 'the test ends it'));
    await running;
    await coordinator.app.close();
  });
  return createRest(await coordinator.app.listen({ host: '127.0.0.1', port: 0 }));
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
    query: { namespace: systemNamespace, fieldSelector: `spec.nodeName=${name}` },
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

const nodeObject = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name,
    labels: { 'xidrill.dev/drill': 'allowed', 'kubernetes.io/hostname': name },
    annotations: { 'kwok.x-k8s.io/node': 'fake' },
  },
  status: { allocatable: { cpu: '16', memory: '64Gi', pods: '110', 'nvidia.com/gpu': '1' } },
};

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
