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

export const node = 'soak';
export const namespace = 'xidrill';
/** Of the stand-in for the host engine (test/agent/dcgm/stub). */
export const gpu = { uuid: 'GPU-00000000-feed-beef-cafe-000000000000' };

/** Bytes of the state directory's own file system; a soak of an hour leaves far less. */
const stateMiB = 128;
const leaseSeconds = 2;

/** What can be killed and started again. */
export type Part = 'agent' | 'engine' | 'nma' | 'coordinator-1' | 'coordinator-2';

/** One node with real programs around it, and two coordinators on a stand-in API server. */
export type World = {
  readonly apiServer: ApiServer;
  readonly relay: SlowRelay;
  readonly evidence: Evidence;
  readonly agentUrl: string;
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

/** Starts all of it; the caller is root in process and mount namespaces of its own. */
export async function startWorld(mark: string): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-soak-'));
  const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const close = async () => {
    for (const step of closing.splice(0).reverse()) await step();
  };
  try {
    return await build(folder, mark, closing, close);
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

async function build(
  folder: string,
  mark: string,
  closing: (() => unknown)[],
  close: () => Promise<void>,
): Promise<World> {
  const at = (...names: string[]) => join(folder, ...names);
  const stateDir = at('state');
  const hostLog = at('host', logFiles.ipamd);
  for (const path of [stateDir, dirname(hostLog)]) mkdirSync(path, { recursive: true });
  for (const path of [hostLog, at('engine.jsonl'), at('clock-agent'), at('clock-coordinators')])
    writeFileSync(path, '');
  mount('-t', 'tmpfs', '-o', `size=${stateMiB}m`, 'xidrill-soak', stateDir);
  closing.push(() => spawnSync('umount', ['-l', stateDir]));

  const apiServer = await startApiServer({ clock: createRealClock(), log: createSilentLog() });
  closing.push(apiServer.close);
  await fill(apiServer.url);
  const relay = await createSlowRelay(apiServer.url);
  closing.push(relay.close);
  const evidence = followEvidence({ mark, file: hostLog, engineRecord: at('engine.jsonl') });
  closing.push(evidence.close);

  const stub = installStub({ teardown: (handler) => void closing.push(handler) });
  const [agentPort, enginePort, ...coordinatorPorts] = await freePorts(4);
  const listen = (port: number | undefined) => `127.0.0.1:${port}`;
  const agentUrl = `http://${listen(agentPort)}`;
  const coordinatorUrls = coordinatorPorts.map((port) => `http://${listen(port)}`);
  const kubeconfig = (name: string, url: string) => writeKubeconfig(at(`kubeconfig-${name}`), url);
  const direct = kubeconfig('direct', apiServer.url);
  const relayed = kubeconfig('relayed', relay.url);
  const clock = (of: string) => ({ XIDRILL_SOAK_CLOCK: at(`clock-${of}`), XIDRILL_LOG_LEVEL: 'warn' });

  const agent = ['--node', node, '--listen', listen(agentPort), '--state-dir', stateDir, '--arm'];
  const coordinator = (port: number | undefined) =>
    ours('coordinator/main.ts', [
      ...['--kubeconfig', relayed, '--namespace', namespace, '--listen', listen(port)],
      ...['--agent', `${node}=${agentUrl}`, '--lease-seconds', String(leaseSeconds)],
    ]);
  const commands: Readonly<Record<Part, () => Life>> = {
    agent: () =>
      life('agent', ours('agent/main.ts', [...agent, '--needs-lease', '--host-root', at('host')]), 'agent'),
    engine: () =>
      startLife('engine', [join(stub, 'nv-hostengine'), '-n', '-p', String(enginePort)], {
        env: { STUB_NMA: '1', STUB_SECONDS: '100000', STUB_RECORD: at('engine.jsonl') },
        onDeath,
      }),
    nma: () =>
      life(
        'nma',
        ours('coordinator/rehearsal/nma/process.ts', [
          ...['--kubeconfig', direct, '--node', node, '--version', '1.6.4', '--host-root', at('host')],
        ]),
        'none',
      ),
    'coordinator-1': () => life('coordinator-1', coordinator(coordinatorPorts[0]), 'coordinators'),
    'coordinator-2': () => life('coordinator-2', coordinator(coordinatorPorts[1]), 'coordinators'),
  };
  const urls: Partial<Record<Part, string>> = {
    agent: agentUrl,
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
    return startLife(name, command, { env: clock(clockOf), onDeath });
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

  await begin('engine');
  await begin('agent');
  await begin('nma');
  await Promise.all([begin('coordinator-1'), begin('coordinator-2')]);
  return {
    ...{ apiServer, relay, evidence, agentUrl, coordinatorUrls, leaseSeconds, stateDir, lives, deaths, now },
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
  await cluster.create('nodes', { ...meta, kind: 'Node', metadata: { name: node, labels }, spec: {} });
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'it is ready' };
  await cluster.patch('nodes', { name: node }, { status: { conditions: [ready] } }, 'status');
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
