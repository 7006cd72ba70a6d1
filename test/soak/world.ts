import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { type ApiServer, startApiServer } from '../../coordinator/rehearsal/apiserver/server.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import { createRealClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { logFiles } from '../../shared/surfaces/log-file.ts';
import { installStub } from '../agent/dcgm/stub.ts';
import { type Evidence, followEvidence } from './evidence.ts';
import { type Life, ours, startLife } from './processes.ts';
import { createSlowRelay, type SlowRelay } from './slow-relay.ts';

/** The first one has GPUs, and all kinds of orders are given on it; the other one is drilled alone and together with it. */
export const node = 'soak';
export const otherNode = 'soak-other';
export const namespace = 'xidrill';
/** Of the stand-in for the host engine (test/agent/dcgm/stub). */
export const gpu = { uuid: 'GPU-00000000-feed-beef-cafe-000000000000' };

/** Bytes of the state directory's own file system; a soak of an hour leaves far less. */
const stateMiB = 128;
const leaseSeconds = 2;

/** What can be killed and started again. */
export type Part =
  | 'agent'
  | 'agent-other'
  | 'engine'
  | 'nma'
  | 'nma-other'
  | 'coordinator-1'
  | 'coordinator-2';

/** Two nodes with real programs on them, and two coordinators on a stand-in API server. */
export type World = {
  readonly apiServer: ApiServer;
  readonly relay: SlowRelay;
  readonly evidence: Evidence;
  readonly agentUrl: string;
  /** Of every node. */
  readonly agentUrls: Readonly<Record<string, string>>;
  readonly coordinatorUrls: readonly string[];
  readonly leaseSeconds: number;
  readonly stateDir: string;
  /** Every life so far, the ended ones included. */
  readonly lives: readonly Life[];
  /** Programs that ended without having been asked to, each with its last words. */
  readonly deaths: readonly string[];
  now(part: Part): Life;
  /** SIGKILL, and another one in its place once it answers. */
  restart(part: Part): Promise<void>;
  /** Milliseconds by which the wall clocks of our programs are off, from now on. */
  setClock(part: 'agent' | 'coordinators', offsetMs: number): void;
  close(): Promise<void>;
};

/** Starts all of it, with the programs’ logs in the folder `logs` if there is one; the caller is root in process and mount namespaces of its own. */
export async function startWorld(mark: string, logs?: string): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-soak-'));
  const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const step of closing.splice(0).reverse()) await step();
  };
  try {
    return await build(folder, { mark, logs }, closing, close);
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

async function build(
  folder: string,
  { mark, logs }: { readonly mark: string; readonly logs: string | undefined },
  closing: (() => unknown)[],
  close: () => Promise<void>,
): Promise<World> {
  const at = (...names: string[]) => join(folder, ...names);
  const stateDir = at('state');
  const hostLogs = ['host', 'host-other'].map((host) => at(host, logFiles.ipamd));
  const folders = [stateDir, at('state-other'), at('heap'), ...hostLogs.map((path) => dirname(path))];
  for (const path of folders) mkdirSync(path, { recursive: true });
  for (const path of [...hostLogs, at('engine.jsonl'), at('clock-agent'), at('clock-coordinators')])
    writeFileSync(path, '');
  mount('-t', 'tmpfs', '-o', `size=${stateMiB}m`, 'xidrill-soak', stateDir);
  closing.push(() => spawnSync('umount', ['-l', stateDir]));

  const apiServer = await startApiServer({ clock: createRealClock(), log: createSilentLog() });
  closing.push(apiServer.close);
  await fill(apiServer.url);
  const relay = await createSlowRelay(apiServer.url);
  closing.push(relay.close);
  const evidence = followEvidence({ mark, files: hostLogs, engineRecord: at('engine.jsonl') });
  closing.push(evidence.close);

  const stub = installStub({ teardown: (handler) => void closing.push(handler) });
  const [agentPort, otherPort, enginePort, ...coordinatorPorts] = await freePorts(5);
  const listen = (port: number | undefined) => `127.0.0.1:${port}`;
  const agentUrl = `http://${listen(agentPort)}`;
  const agentUrls = { [node]: agentUrl, [otherNode]: `http://${listen(otherPort)}` };
  const coordinatorUrls = coordinatorPorts.map((port) => `http://${listen(port)}`);
  const kubeconfig = (name: string, url: string) => writeKubeconfig(at(`kubeconfig-${name}`), url);
  const direct = kubeconfig('direct', apiServer.url);
  const relayed = kubeconfig('relayed', relay.url);
  const clock = (of: string) => ({
    XIDRILL_SOAK_CLOCK: at(`clock-${of}`),
    XIDRILL_LOG_LEVEL: logs === undefined ? 'warn' : 'debug',
  });

  const agent = (of: { name: string; port: number | undefined; state: string; host: string }) =>
    ours('agent/main.ts', [
      ...['--node', of.name, '--listen', listen(of.port), '--state-dir', of.state, '--arm', '--needs-lease'],
      ...['--host-root', at(of.host)],
    ]);
  const nma = (name: string, host: string) =>
    ours('coordinator/rehearsal/nma/process.ts', [
      ...['--kubeconfig', direct, '--node', name, '--version', '1.6.4', '--host-root', at(host)],
    ]);
  const coordinator = (port: number | undefined) =>
    ours('coordinator/main.ts', [
      ...['--kubeconfig', relayed, '--namespace', namespace, '--listen', listen(port)],
      ...Object.entries(agentUrls).flatMap(([name, url]) => ['--agent', `${name}=${url}`]),
      ...['--lease-seconds', String(leaseSeconds)],
    ]);
  const commands: Readonly<Record<Part, () => Life>> = {
    agent: () =>
      life('agent', agent({ name: node, port: agentPort, state: stateDir, host: 'host' }), 'agent'),
    'agent-other': () => {
      const of = { name: otherNode, port: otherPort, state: at('state-other'), host: 'host-other' };
      return life('agent-other', agent(of), 'agent');
    },
    engine: () =>
      startLife('engine', [join(stub, 'nv-hostengine'), '-n', '-p', String(enginePort)], {
        env: { STUB_NMA: '1', STUB_SECONDS: '100000', STUB_RECORD: at('engine.jsonl') },
        onDeath,
      }),
    nma: () => life('nma', nma(node, 'host'), 'none'),
    'nma-other': () => life('nma-other', nma(otherNode, 'host-other'), 'none'),
    'coordinator-1': () => life('coordinator-1', coordinator(coordinatorPorts[0]), 'coordinators'),
    'coordinator-2': () => life('coordinator-2', coordinator(coordinatorPorts[1]), 'coordinators'),
  };
  const urls: Partial<Record<Part, string>> = {
    agent: agentUrl,
    'agent-other': agentUrls[otherNode] ?? '',
    'coordinator-1': coordinatorUrls[0] ?? '',
    'coordinator-2': coordinatorUrls[1] ?? '',
  };

  const lives: Life[] = [];
  const deaths: string[] = [];
  const current = new Map<Part, Life>();
  function onDeath(dead: Life, how: string): void {
    deaths.push(`${dead.name} (pid ${dead.pid}) ${how}: ${dead.errors().slice(-1500)}`);
  }
  function life(name: string, command: [string, ...string[]], clockOf: string): Life {
    const heapFile = at('heap', `${name}-${lives.length}.jsonl`);
    const logFile = logs === undefined ? {} : { logFile: join(logs, `${name}-${lives.length}.log`) };
    return startLife(name, command, { env: clock(clockOf), onDeath, heapFile, ...logFile });
  }
  async function begin(part: Part): Promise<void> {
    const started = commands[part]();
    current.set(part, started);
    lives.push(started);
    const url = urls[part];
    if (url !== undefined) await untilServing(`${url}/healthz`, started);
  }
  const now = (part: Part): Life => {
    const found = current.get(part);
    if (found === undefined) throw new RangeError(`${part} was never started`);
    return found;
  };
  closing.push(async () => {
    for (const one of current.values()) if (!one.isGone()) await one.kill();
  });

  for (const part of ['engine', 'agent', 'agent-other', 'nma', 'nma-other'] as const) await begin(part);
  await Promise.all([begin('coordinator-1'), begin('coordinator-2')]);
  return {
    ...{
      apiServer,
      relay,
      evidence,
      agentUrl,
      agentUrls,
      coordinatorUrls,
      leaseSeconds,
      stateDir,
      lives,
      deaths,
      now,
    },
    async restart(part) {
      if (!now(part).isGone()) await now(part).kill();
      await begin(part);
    },
    setClock: (part, offsetMs) => writeFileSync(at(`clock-${part}`), String(offsetMs)),
    close,
  };
}

/** A step of the soak's own that fails is no finding: it ends the run. */
export function mount(...args: readonly string[]): void {
  const done = spawnSync('mount', args, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`mount ${args.join(' ')}: ${done.error?.message ?? done.stderr}`);
}

async function fill(url: string): Promise<void> {
  const cluster = createClusterClient({
    kubeconfig: { url },
    userAgent: 'xidrill-soak',
    fieldManager: 'xidrill-soak',
    log: createSilentLog(),
  });
  const meta = { apiVersion: 'v1' };
  await cluster.create('namespaces', { ...meta, kind: 'Namespace', metadata: { name: namespace } });
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  const labels = { 'xidrill.dev/drill': 'allowed', 'kubernetes.io/arch': 'amd64' };
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'it is ready' };
  for (const name of [node, otherNode]) {
    await cluster.create('nodes', { ...meta, kind: 'Node', metadata: { name, labels }, spec: {} });
    await cluster.patch('nodes', { name }, { status: { conditions: [ready] } }, 'status');
  }
}

function writeKubeconfig(path: string, server: string): string {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'soak',
    clusters: [{ name: 'soak', cluster: { server } }],
    users: [{ name: 'soak', user: {} }],
    contexts: [{ name: 'soak', context: { cluster: 'soak', user: 'soak' } }],
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** Ready or not: an agent whose disk is full answers, and says so. The bound is for a broken product. */
async function untilServing(url: string, started: Life): Promise<void> {
  const end = performance.now() + 180_000;
  for (;;) {
    try {
      if ((await fetch(url, { signal: AbortSignal.timeout(5_000) })).ok) return;
    } catch {
      // Not yet.
    }
    if (started.isGone() || performance.now() > end)
      throw new Error(`${started.name} does not answer at ${url}: ${started.errors()}`);
    await sleep(50);
  }
}

/** All at once, so that none comes twice. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(
    servers.map((server) => new Promise<void>((resolve) => server.once('listening', () => resolve()))),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
