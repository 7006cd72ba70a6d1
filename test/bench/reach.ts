import { randomUUID } from 'node:crypto';
import { type Profiler, Session } from 'node:inspector/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createHttpAgents } from '../../coordinator/agents/http.ts';
import { createCoordinator } from '../../coordinator/app.ts';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { startRehearsalCluster } from '../../coordinator/rehearsal/cluster.ts';
import { untilAgentListens } from '../../coordinator/rehearsal/story.ts';
import { createStaticDirectory } from '../../coordinator/view/agent-directory.ts';
import { createView } from '../../coordinator/view/view.ts';
import { createScaledClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { gpuNode } from '../coordinator/rig.ts';
import { root } from '../suite.ts';

/**
 * Which source files one experiment passes through, from POST to its verdict: those of which a function ran in that
 * time. The coordinator runs in a thread of its own, so that nothing of the rehearsal is counted for it; what the agent
 * shares with the simulated monitoring agent (shared/) is counted for neither.
 *
 * It is compared with commit 422ac52, the last one before drills became chains: this same script there, with that
 * commit's imports (no view; it waited for `GET /readyz`), gives 87 files in the coordinator and 22 in the agent. The 118
 * that are often named for that commit are another count of it: coordinator and agent in one thread with the rehearsal,
 * with the files that only the rehearsal used and the agent's four fakes.
 */
const before = { coordinator: 87, agent: 22 };

const namespace = 'reach';
const lease = { namespace, name: 'xidrill-coordinator' };
const log = createSilentLog();
/** Times faster than life: waiting for ticks is most of a drill. */
const factor = 20;

/** Counts from now on; `taken` gives the product files of which a function ran since. */
async function startCounting() {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  const take = async () => (await session.post('Profiler.takePreciseCoverage')).result;
  await take();
  return async () => (await take()).filter(hasRun).flatMap(({ url }) => productFile(url) ?? []);
}

/** The first function of a script is its body, which runs when it is loaded. */
function hasRun({ functions }: Profiler.ScriptCoverage): boolean {
  return functions.some(({ functionName, ranges }) => functionName !== '' && (ranges[0]?.count ?? 0) > 0);
}

function productFile(url: string): string | undefined {
  if (!url.startsWith('file://')) return undefined;
  const path = fileURLToPath(url).slice(root.length).replace(/^\//, '');
  const isProduct = /^(agent|coordinator|shared)\//.test(path) && !path.startsWith('coordinator/rehearsal/');
  return isProduct && !path.endsWith('/fake.ts') ? path : undefined;
}

if (isMainThread) await drill();
else await coordinate(workerData as Place);

type Place = {
  /** Of the rehearsal's clock, so that both threads have the same time. */
  readonly now: number;
  readonly apiServer: string;
  readonly node: string;
  readonly agent: string;
};

async function coordinate({ now, apiServer, node, agent }: Place): Promise<void> {
  const clock = createScaledClock({ factor, startAt: now });
  const cluster = createClusterClient({
    kubeconfig: { url: apiServer },
    userAgent: 'reach',
    fieldManager: 'reach',
    log,
  });
  const view = createView({ cluster, namespace, clock, random: Math.random, log });
  const coordinator = await createCoordinator({
    cluster,
    view,
    agents: createHttpAgents({ directory: createStaticDirectory(new Map([[node, agent]])) }),
    namespace,
    identity: 'reach',
    // A renewal is not the experiment's: none comes while it runs, on a clock that is too fast for minutes.
    leaseSeconds: 86_400,
    clock,
    random: Math.random,
    newName: randomUUID,
    log,
  });
  const stop = new AbortController();
  const running = coordinator.run(stop.signal);
  const url = await coordinator.app.listen({ host: '127.0.0.1', port: 0 });
  await view.ready;
  // What starts the coordinator is not the experiment's.
  for (let tries = 0; (await cluster.read('leases', lease)) === undefined; tries++) {
    if (tries > 200) throw new Error('the coordinator has not become the leader');
    await sleep(50);
  }
  let taken: (() => Promise<readonly string[]>) | undefined;
  parentPort?.on('message', async (asked: 'count' | 'stop') => {
    if (asked === 'count') {
      taken = await startCounting();
      parentPort?.postMessage({ url });
      return;
    }
    const files = await taken?.();
    stop.abort();
    await running;
    await coordinator.app.close();
    parentPort?.postMessage({ files });
    parentPort?.close();
  });
  parentPort?.postMessage({ url });
}

async function drill(): Promise<void> {
  const row = gpuNode('n1');
  const clock = createScaledClock({ factor, startAt: Date.now() });
  const rig = await startRehearsalCluster({
    rows: [row],
    clock,
    random: () => 0.5,
    newId: randomUUID,
    coordinatorPort: 0,
    firstAgentPort: 0,
    log,
  });
  try {
    await rig.cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    });
    await rig.installNma({ version: '1.6.4', credentials: 'healthy' });
    await untilAgentListens(rig.node(row.name).url);
    const agent = rig.node(row.name).url;
    const worker = new Worker(fileURLToPath(import.meta.url), {
      workerData: { now: clock.now(), apiServer: rig.apiServer.url, node: row.name, agent } satisfies Place,
    });
    const next = <T>() =>
      new Promise<T>((resolve, reject) => {
        worker.once('message', resolve);
        worker.once('error', reject);
      });
    await next();
    worker.postMessage('count');
    const { url } = await next<{ url: string }>();
    const agentTaken = await startCounting();
    const response = await fetch(`${url}/api/v1/experiments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=120' },
      body: JSON.stringify({ fault: { name: 'xid', parameters: { xid: 109 } } }),
    });
    const { verdict } = (await response.json()) as { verdict: string };
    const ofAgent = (await agentTaken()).filter((path) => path.startsWith('agent/'));
    worker.postMessage('stop');
    const { files } = await next<{ files: readonly string[] }>();
    report(verdict, { coordinator: files, agent: ofAgent });
  } finally {
    await rig.close();
  }
}

function report(verdict: string, files: { coordinator: readonly string[]; agent: readonly string[] }): void {
  const { coordinator, agent } = files;
  const rooms = Map.groupBy([...coordinator, ...agent], (path) => path.split('/').slice(0, 2).join('/'));
  const shown = [...rooms].map(([room, { length }]) => `${String(length).padStart(4)}  ${room}`);
  const now = coordinator.length + agent.length;
  const then = before.coordinator + before.agent;
  process.stdout.write(
    `${[...coordinator, ...agent].toSorted().join('\n')}\n\n${shown.toSorted().join('\n')}\n` +
      `verdict ${verdict}: ${coordinator.length} files in the coordinator and what it shares, ${agent.length} in the agent;\n` +
      `together ${now}, ${Math.round((now / then) * 100)} % of the ${then} at 422ac52\n`,
  );
}
