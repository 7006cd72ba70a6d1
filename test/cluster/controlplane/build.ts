import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { guarded } from './guard.ts';

export type ControlPlaneBinaries = { etcd: string; kubeApiserver: string; kubectl: string };

export type BuildOptions = { log?: (line: string) => void };

type Log = (line: string) => void;

const moduleDir = import.meta.dirname;

const packages = {
  etcd: 'go.etcd.io/etcd/server/v3',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
  kubelet: 'k8s.io/kubernetes/cmd/kubelet',
  'kube-proxy': 'k8s.io/kubernetes/cmd/kube-proxy',
} as const;

type BinaryName = keyof typeof packages;

/** What the cluster tests run, and what KUBEBUILDER_ASSETS holds. */
const names: readonly BinaryName[] = ['etcd', 'kube-apiserver', 'kubectl'];

const nodeNames: readonly BinaryName[] = [
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
];

const assetsAdvice = `set KUBEBUILDER_ASSETS to a directory that holds ${names.join(', ')}`;

/** Where etcd, kube-apiserver and kubectl lie, after building those that are missing. */
export async function controlPlaneBinaries(options: BuildOptions = {}): Promise<ControlPlaneBinaries> {
  const assets = process.env.KUBEBUILDER_ASSETS;
  if (assets !== undefined && assets !== '') return await fromAssets(resolve(assets));
  return pathsIn(await built(names, options));
}

/** The folder in which the rest of a cluster lies (nodeNames), after building what is missing: of the same version. */
export async function nodeBinaries(options: BuildOptions = {}): Promise<string> {
  return await built(nodeNames, options);
}

/** The folder of the cache, after building those of these that it lacks. */
async function built(wanted: readonly BinaryName[], options: BuildOptions): Promise<string> {
  const log = options.log ?? (() => {});
  const goVersion = await readGoVersion();
  const key = await cacheKey(goVersion);
  const dir = join(cacheHome(), 'xidrill', 'controlplane', key);
  if ((await missingIn(dir, wanted)).length > 0) {
    await mkdir(dir, { recursive: true });
    await withLock(join(dir, 'lock'), log, async () => {
      // Another process may have built some of them while this one waited for the lock.
      for (const name of await missingIn(dir, wanted)) await build(name, dir, log);
    });
  }
  return dir;
}

function pathsIn(dir: string): ControlPlaneBinaries {
  return {
    etcd: join(dir, 'etcd'),
    kubeApiserver: join(dir, 'kube-apiserver'),
    kubectl: join(dir, 'kubectl'),
  };
}

async function fromAssets(dir: string): Promise<ControlPlaneBinaries> {
  const missing = await missingIn(dir, names);
  if (missing.length > 0) {
    throw new Error(
      `KUBEBUILDER_ASSETS is ${dir}, but no executable ${missing.join(', ')} lies there: ` +
        `put ${names.join(', ')} into it, or unset KUBEBUILDER_ASSETS to have them built with Go`,
    );
  }
  return pathsIn(dir);
}

async function missingIn(dir: string, names: readonly BinaryName[]): Promise<BinaryName[]> {
  const missing: BinaryName[] = [];
  for (const name of names) {
    const usable = await access(join(dir, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!usable) missing.push(name);
  }
  return missing;
}

/** Where what was built is kept: $XDG_CACHE_HOME, or ~/.cache. */
export function cacheHome(): string {
  const xdg = process.env.XDG_CACHE_HOME;
  return xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.cache');
}

/** The version line names the platform too, so that machines sharing a home do not share binaries. */
async function readGoVersion(): Promise<string> {
  const { exitCode, output } = await runGo('go', ['version']).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new Error(
      `the control plane is built with Go, and no go is on PATH: install Go 1.24 or newer, or ${assetsAdvice}`,
    );
  });
  if (exitCode !== 0) {
    throw new Error(
      `go version failed (exit ${exitCode}): install Go 1.24 or newer, or ${assetsAdvice}\n${lastLines(output)}`,
    );
  }
  return output.join('\n').trim();
}

async function cacheKey(goVersion: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'tools.go']) hash.update(await readFile(join(moduleDir, file)));
  return hash.update(goVersion).digest('hex').slice(0, 16);
}

async function build(name: BinaryName, dir: string, log: Log): Promise<void> {
  const flags = await linkerFlags();
  const partial = join(dir, `.${name}.${process.pid}.${randomBytes(4).toString('hex')}`);
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  log(`building ${name} (minutes on a machine that never built it)`);
  const progress = setInterval(() => log(`still building ${name}, ${seconds()} s`), 30_000);
  try {
    const args = ['build', '-mod=readonly', '-trimpath', '-ldflags', flags, '-o', partial, packages[name]];
    const { exitCode, output } = await runGo(...guarded('go', args));
    if (exitCode !== 0) {
      throw new Error(`go build of ${name} failed (exit ${exitCode}):\n${lastLines(output)}`);
    }
    await rename(partial, join(dir, name));
  } finally {
    clearInterval(progress);
    await rm(partial, { force: true });
  }
  log(`built ${name} in ${seconds()} s`);
}

/** Without these a binary built from the module calls itself v0.0.0, and clients refuse the version skew. */
async function linkerFlags(): Promise<string> {
  const goMod = await readFile(join(moduleDir, 'go.mod'), 'utf8');
  const found = /^\s*(?:require )?k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\S+)/m.exec(goMod);
  if (found === null) throw new Error('go.mod does not name a version of k8s.io/kubernetes');
  const [, version, major, minor] = found;
  const variable = 'k8s.io/component-base/version';
  return [
    '-s -w',
    `-X ${variable}.gitVersion=${version}`,
    `-X ${variable}.gitMajor=${major}`,
    `-X ${variable}.gitMinor=${minor}`,
  ].join(' ');
}

async function runGo(
  program: string,
  args: readonly string[],
): Promise<{ exitCode: number; output: string[] }> {
  const env = { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'on', GOWORK: 'off', GOOS: '', GOARCH: '' };
  return await new Promise((done, fail) => {
    const child = spawn(program, args, { cwd: moduleDir, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    child.once('error', fail);
    child.once('close', (code) => done({ exitCode: code ?? 1, output: text.trimEnd().split('\n') }));
  });
}

function lastLines(lines: readonly string[]): string {
  return lines.slice(-20).join('\n');
}

const heartbeatMs = 5_000;
const staleAfterMs = 30_000;

/**
 * Keeps two builds from competing for the machine. It need not be perfect: binaries appear by rename, so two
 * builds at once only waste time, which is what two waiters removing the same stale lock can lead to.
 */
async function withLock(path: string, log: Log, work: () => Promise<void>): Promise<void> {
  const owner = `${hostname()} ${process.pid} ${randomBytes(8).toString('hex')}`;
  let waited = false;
  while (!(await takeLock(path, owner))) {
    if (await lockIsStale(path)) {
      await rm(path, { force: true });
      continue;
    }
    if (!waited) log(`waiting for another build (lock ${path})`);
    waited = true;
    await sleep(500);
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, heartbeatMs);
  try {
    await work();
  } finally {
    clearInterval(heartbeat);
    const holder = await readFile(path, 'utf8').catch(() => '');
    if (holder === owner) await rm(path, { force: true });
  }
}

async function takeLock(path: string, owner: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.writeFile(owner);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** A holder that was killed stops its heartbeat; on the same host its missing pid tells at once. */
async function lockIsStale(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) return false;
  if (Date.now() - info.mtimeMs > staleAfterMs) return true;
  const [host, pid] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
  if (host !== hostname() || pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
