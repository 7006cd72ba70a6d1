import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes, randomInt } from 'node:crypto';
import { closeSync, openSync, rmSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ControlPlaneBinaries, controlPlaneBinaries } from './build.ts';
import { guarded } from './guard.ts';

export type CommandResult = { exitCode: number; stdout: string; stderr: string };

export type ControlPlane = {
  readonly url: string;
  readonly kubeconfigPath: string;
  readonly caFile: string;
  readonly adminToken: string;
  readonly etcdPid: number;
  /** Changes with every startApiserver; undefined while the API server is stopped. */
  readonly apiserverPid: number | undefined;
  kubectl(args: readonly string[], stdin?: string): Promise<CommandResult>;
  /** Cuts the API server away; url, port, token, CA and all data stay for startApiserver. */
  stopApiserver(): Promise<void>;
  startApiserver(): Promise<void>;
  /** Ends every process and removes every file; may be called more than once. */
  stop(): Promise<void>;
};

export type StartOptions = {
  log?: (line: string) => void;
  /** More flags of kube-apiserver; a list flag that stands here as well adds to its list. */
  apiserverArgs?: readonly string[];
  /**
   * Where it listens instead of 127.0.0.1, for a cluster with nodes: the kubernetes Service then has it as its endpoint, and
   * pods get their ServiceAccount's token by admission.
   */
  address?: string;
  /** The API server's port, on which nothing else is listening; absent: one that is free. */
  port?: number;
  /** More users: a line of kube-apiserver's static token file each (`token,user,uid,"group,group"`). */
  tokens?: readonly string[];
};

type Log = (line: string) => void;

type Server = {
  name: string;
  child: ChildProcess;
  pid: number;
  logFile: string;
  ready: boolean;
  stopping: boolean;
};

const readyWithinMs = 120_000;
const pollEveryMs = 50;
// The API server ends in about a second, but with a watch open it would wait for its request timeout. What it
// has acknowledged is in etcd, so killing it loses nothing.
const termGraceMs = 2_000;
const portAttempts = 3;
const loopback = '127.0.0.1';

/** A real etcd and kube-apiserver on 127.0.0.1, with nothing in them but what the API server itself makes. */
export async function startControlPlane(options: StartOptions = {}): Promise<ControlPlane> {
  const log = options.log ?? (() => {});
  const binaries = await controlPlaneBinaries({ log });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(binaries, log, options);
    } catch (error) {
      // Between choosing a port and the server's bind another process can take it.
      if (attempt === portAttempts || !/address already in use/.test(String(error))) throw error;
      log('a chosen port was taken meanwhile, starting again');
    }
  }
}

async function startOnce(
  binaries: ControlPlaneBinaries,
  log: Log,
  { apiserverArgs: moreArgs = [], tokens = [], address = loopback, port }: StartOptions,
): Promise<ControlPlane> {
  const dir = await mkdtemp(join(tmpdir(), 'xidrill-controlplane-'));
  const children = new Set<ChildProcess>();
  const release = killOnExit(children, dir);

  const cleanUp = async (servers: readonly (Server | undefined)[]) => {
    for (const server of servers) if (server !== undefined) await stopServer(server);
    for (const child of children) child.kill('SIGKILL');
    await Promise.all([...children].map(ended));
    await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    release();
  };

  const adminToken = randomBytes(24).toString('hex');
  const caFile = join(dir, 'certs', 'apiserver.crt');
  const kubeconfigPath = join(dir, 'kubeconfig');
  let etcd: Server | undefined;
  let apiserver: Server | undefined;
  try {
    const [clientPort, peerPort, free] = await freePorts();
    const securePort = port ?? free;
    const url = `https://${address}:${securePort}`;
    await writeCredentials(dir, adminToken, tokens);

    const etcdUrl = `http://127.0.0.1:${clientPort}`;
    const etcdStarted = performance.now();
    etcd = launch(binaries.etcd, etcdArgs(dir, etcdUrl, `http://127.0.0.1:${peerPort}`), dir, children, log);
    await untilReady(etcd, () => probe(`${etcdUrl}/health`));
    log(`etcd ready in ${since(etcdStarted)}`);

    const bootApiserver = async (): Promise<Server> => {
      const started = performance.now();
      const args = [...apiserverArgs(dir, etcdUrl, address, securePort), ...moreArgs];
      const server = launch(binaries.kubeApiserver, args, dir, children, log);
      // The API server itself writes the certificate that the probe trusts.
      const ready = async () => probe(`${url}/readyz`, await readFile(caFile, 'utf8'), adminToken);
      try {
        await untilReady(server, ready);
      } catch (error) {
        await stopServer(server);
        throw error;
      }
      log(`kube-apiserver ready in ${since(started)} at ${url}`);
      return server;
    };
    apiserver = await bootApiserver();
    await writeFile(kubeconfigPath, kubeconfig(url, await readFile(caFile), adminToken), { mode: 0o600 });

    const etcdServer = etcd;
    let stopped: Promise<void> | undefined;
    return {
      url,
      kubeconfigPath,
      caFile,
      adminToken,
      etcdPid: etcdServer.pid,
      get apiserverPid() {
        return apiserver !== undefined && isRunning(apiserver.child) ? apiserver.pid : undefined;
      },
      kubectl: async (args, stdin) =>
        await runKubectl(binaries.kubectl, args, stdin, dir, kubeconfigPath, children),
      stopApiserver: async () => {
        const server = apiserver;
        if (server === undefined) return;
        await stopServer(server);
        if (apiserver === server) apiserver = undefined;
      },
      startApiserver: async () => {
        if (stopped !== undefined) throw new Error('the control plane was stopped');
        if (apiserver !== undefined && isRunning(apiserver.child)) {
          throw new Error('the API server is running already');
        }
        apiserver = await bootApiserver();
      },
      // The API server goes first: without etcd it would spend its grace period on retries.
      stop: async () => {
        stopped ??= cleanUp([apiserver, etcdServer]);
        await stopped;
      },
    };
  } catch (error) {
    await cleanUp([apiserver, etcd]);
    throw error;
  }
}

function etcdArgs(dir: string, clientUrl: string, peerUrl: string): string[] {
  return [
    `--data-dir=${join(dir, 'etcd')}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
    '--unsafe-no-fsync',
  ];
}

function apiserverArgs(dir: string, etcdUrl: string, address: string, port: number): string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    `--bind-address=${address}`,
    `--secure-port=${port}`,
    // Otherwise the API server wants a default route to learn its address from. A loopback address cannot be an
    // endpoint of the kubernetes service, so nothing may try to write one; nor are there pods then that need a token.
    `--advertise-address=${address}`,
    ...(address === loopback
      ? ['--endpoint-reconciler-type=none', '--disable-admission-plugins=ServiceAccount']
      : []),
    `--cert-dir=${join(dir, 'certs')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(dir, 'service-account.pub')}`,
    `--service-account-signing-key-file=${join(dir, 'service-account.key')}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    '--authorization-mode=Node,RBAC',
    `--token-auth-file=${join(dir, 'tokens.csv')}`,
    '--allow-privileged=true',
  ];
}

async function writeCredentials(dir: string, adminToken: string, tokens: readonly string[]): Promise<void> {
  const keys = generateKeyPairSync('ec', {
    namedCurve: 'prime256v1',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  await writeFile(join(dir, 'service-account.key'), keys.privateKey, { mode: 0o600 });
  await writeFile(join(dir, 'service-account.pub'), keys.publicKey);
  const rows = [`${adminToken},admin,admin,"system:masters"`, ...tokens];
  await writeFile(join(dir, 'tokens.csv'), `${rows.join('\n')}\n`, { mode: 0o600 });
  await mkdir(join(dir, 'certs'));
}

/** JSON is YAML, so every reader of kubeconfigs takes it. */
export function kubeconfig(url: string, ca: Buffer, token: string): string {
  const cluster = { server: url, 'certificate-authority-data': ca.toString('base64') };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * Ports below the usual ephemeral range: while the API server is away, no outgoing connection can be given its
 * port, and a client that keeps trying the port cannot connect to itself.
 */
async function freePorts(): Promise<[number, number, number]> {
  const ports = new Set<number>();
  for (let tries = 0; tries < 1000 && ports.size < 3; tries += 1) {
    const port = randomInt(20_000, 32_000);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  const [first, second, third] = ports;
  if (first === undefined || second === undefined || third === undefined) {
    throw new Error('no free port on 127.0.0.1 between 20000 and 32000');
  }
  return [first, second, third];
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => done(true)));
  });
}

function launch(
  binary: string,
  args: readonly string[],
  dir: string,
  children: Set<ChildProcess>,
  log: Log,
): Server {
  const name = binary.slice(binary.lastIndexOf('/') + 1);
  const logFile = join(dir, `${name}.log`);
  // Servers write to a file, not to a pipe: a test that is busy cannot stall them.
  const output = openSync(logFile, 'w');
  const child = spawn(...guarded(binary, args), { cwd: dir, stdio: ['ignore', output, output] });
  closeSync(output);
  // A test that forgets stop() then still ends; the exit hook does the rest.
  child.unref();
  track(child, children);
  const server: Server = { name, child, pid: child.pid ?? -1, logFile, ready: false, stopping: false };
  child.once('exit', async (code, signal) => {
    if (server.stopping || !server.ready) return;
    log(`${name} ended without being asked to (${signal ?? `exit ${code}`})\n${await logTail(server)}`);
  });
  return server;
}

function track(child: ChildProcess, children: Set<ChildProcess>): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
  child.once('error', () => {
    if (child.pid === undefined) children.delete(child);
  });
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

async function ended(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return;
  child.ref();
  await new Promise<void>((done) => child.once('exit', () => done()));
}

async function stopServer(server: Server): Promise<void> {
  server.stopping = true;
  if (!isRunning(server.child)) return;
  const end = ended(server.child);
  server.child.kill('SIGTERM');
  const force = setTimeout(() => server.child.kill('SIGKILL'), termGraceMs);
  await end;
  clearTimeout(force);
}

/** Resolves to undefined when the server is ready, else to what it lacks. */
type Probe = () => Promise<string | undefined>;

async function untilReady(server: Server, ready: Probe): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  let lacking: string | undefined = 'not asked yet';
  while (isRunning(server.child)) {
    lacking = await ready().catch((error: unknown) => String(error));
    if (lacking === undefined) {
      server.ready = true;
      return;
    }
    if (performance.now() > deadline) {
      throw new Error(
        `${server.name} was not ready within ${readyWithinMs / 1000} s: ${lacking}\n${await logTail(server)}`,
      );
    }
    await sleep(pollEveryMs);
  }
  const how = server.child.signalCode ?? `exit ${server.child.exitCode ?? 'unknown'}`;
  throw new Error(`${server.name} ended before it was ready (${how})\n${await logTail(server)}`);
}

async function logTail(server: Server): Promise<string> {
  const text = await readFile(server.logFile, 'utf8').catch(() => '');
  const lines = text.trimEnd().split('\n').slice(-20);
  return `last lines of its log:\n${lines.join('\n')}`;
}

async function probe(url: string, ca?: string, token?: string): Promise<string | undefined> {
  return await new Promise((done, fail) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    // No agent: a kept connection would outlive the probe and hold up the server's shutdown.
    const common = { agent: false, headers, timeout: 5_000 } as const;
    const request = ca === undefined ? httpRequest(url, common) : httpsRequest(url, { ...common, ca });
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('error', fail);
    request.once('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('error', fail);
      response.once('end', () =>
        done(response.statusCode === 200 ? undefined : `${response.statusCode} ${body}`),
      );
    });
    request.end();
  });
}

async function runKubectl(
  binary: string,
  args: readonly string[],
  stdin: string | undefined,
  dir: string,
  kubeconfigPath: string,
  children: Set<ChildProcess>,
): Promise<CommandResult> {
  // What the user of the machine has set up for kubectl must neither change a result nor be changed.
  const env = {
    ...process.env,
    KUBECONFIG: kubeconfigPath,
    KUBECACHEDIR: join(dir, 'kubectl-cache'),
    KUBECTL_KUBERC: 'false',
  };
  return await new Promise((done, fail) => {
    const child = spawn(...guarded(binary, args), { env, stdio: 'pipe' });
    track(child, children);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    // kubectl may end without reading its input; its exit code tells the story then.
    child.stdin.on('error', () => {});
    child.stdin.end(stdin ?? '');
    child.once('error', fail);
    child.once('close', (code) => done({ exitCode: code ?? 1, stdout, stderr }));
  });
}

/** Returns the function that takes the hooks away again. */
function killOnExit(children: ReadonlySet<ChildProcess>, dir: string): () => void {
  const kill = () => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  };
  const onSignal = (signal: NodeJS.Signals) => {
    kill();
    release();
    // A listener takes away the signal's default effect. Sent again with this one gone, it ends the process, or
    // reaches those listeners that act only when they are alone.
    process.kill(process.pid, signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const release = () => {
    process.off('exit', kill);
    for (const signal of signals) process.off(signal, onSignal);
  };
  process.once('exit', kill);
  for (const signal of signals) process.once(signal, onSignal);
  return release;
}

function since(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}
