import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, copyFile, mkdir, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { guarded } from './guard.ts';

export type Log = (line: string) => void;

/** Programs that are built from one Go module and kept between runs. */
export type GoModule = {
  /** What the cache calls it. */
  readonly name: string;
  /** Where its go.mod lies. */
  readonly folder: string;
  /** Files that decide what is built, beside the version of Go. */
  readonly sources: readonly string[];
  /** Program → package. */
  readonly packages: Readonly<Record<string, string>>;
  /** Flags of the linker beside `-s -w`. */
  readonly linkerFlags?: () => Promise<readonly string[]>;
  /** Makes a folder to build in, in an empty one that lasts for the build; absent: it is built where it lies. */
  readonly prepare?: (into: string, go: Go) => Promise<void>;
  /** Files of the prepared folder that are kept beside the programs, by their last name; absent: none. */
  readonly keeps?: readonly string[];
  /** What else helps where there is no Go; absent: nothing. */
  readonly advice?: string;
};

/** Runs `go` in a folder; throws with its last lines when it fails and `mayFail` is not set. */
export type Go = (
  args: readonly string[],
  options: { readonly in: string; readonly mayFail?: true },
) => Promise<readonly string[]>;

const go: Go = async (args, { in: folder, mayFail }) => {
  const { exitCode, output } = await runGo('go', args, folder);
  if (exitCode !== 0 && mayFail === undefined)
    throw new Error(`go ${args.slice(0, 2).join(' ')} failed (exit ${exitCode}):\n${lastLines(output)}`);
  return output;
};

/** The folder that holds these programs of the module, after building those that are missing. */
export async function built(module: GoModule, names: readonly string[], log: Log): Promise<string> {
  const key = await cacheKey(module);
  const dir = join(cacheHome(), 'xidrill', module.name, key);
  if ((await missingIn(dir, names)).length === 0) return dir;
  await mkdir(dir, { recursive: true });
  await withLock(join(dir, 'lock'), log, async () => {
    // Another process may have built some of them while this one waited for the lock.
    const missing = await missingIn(dir, names);
    if (missing.length === 0) return;
    const source = join(dir, `.source.${randomBytes(4).toString('hex')}`);
    try {
      if (module.prepare !== undefined) {
        await mkdir(source);
        await module.prepare(source, go);
      }
      const from = module.prepare === undefined ? module.folder : source;
      for (const file of module.keeps ?? []) await copyFile(join(from, file), join(dir, basename(file)));
      for (const name of missing) await build(module, { name, from, dir }, log);
    } finally {
      await rm(source, { recursive: true, force: true });
    }
  });
  return dir;
}

export async function missingIn(dir: string, names: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const name of names) {
    const usable = await access(join(dir, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!usable) missing.push(name);
  }
  return missing;
}

/** Where built programs are kept between runs. */
export function cacheHome(): string {
  const xdg = process.env.XDG_CACHE_HOME;
  return xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.cache');
}

/** The version line names the platform too, so that machines sharing a home do not share binaries. */
async function readGoVersion({ folder, advice }: GoModule): Promise<string> {
  const otherwise = advice === undefined ? '' : `, or ${advice}`;
  const { exitCode, output } = await runGo('go', ['version'], folder).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
      throw new Error(
        `the control plane is built with Go, and no go is on PATH: install Go 1.26 or newer${otherwise}`,
      );
    },
  );
  if (exitCode !== 0)
    throw new Error(
      `go version failed (exit ${exitCode}): install Go 1.26 or newer${otherwise}\n${lastLines(output)}`,
    );
  return output.join('\n').trim();
}

async function cacheKey(module: GoModule): Promise<string> {
  const hash = createHash('sha256');
  for (const file of module.sources) hash.update(await readFile(file));
  return hash
    .update(await readGoVersion(module))
    .digest('hex')
    .slice(0, 16);
}

async function build(
  { packages, linkerFlags }: GoModule,
  { name, from, dir }: { readonly name: string; readonly from: string; readonly dir: string },
  log: Log,
): Promise<void> {
  const flags = ['-s -w', ...((await linkerFlags?.()) ?? [])].join(' ');
  const partial = join(dir, `.${name}.${process.pid}.${randomBytes(4).toString('hex')}`);
  const started = performance.now();
  const seconds = () => Math.round((performance.now() - started) / 1000);
  log(`building ${name} (minutes on a machine that never built it)`);
  const progress = setInterval(() => log(`still building ${name}, ${seconds()} s`), 30_000);
  try {
    const args = [
      'build',
      '-mod=readonly',
      '-trimpath',
      '-ldflags',
      flags,
      '-o',
      partial,
      packages[name] ?? '.',
    ];
    const { exitCode, output } = await runGo(...guarded('go', args), from);
    if (exitCode !== 0)
      throw new Error(`go build of ${name} failed (exit ${exitCode}):\n${lastLines(output)}`);
    await rename(partial, join(dir, name));
  } finally {
    clearInterval(progress);
    await rm(partial, { force: true });
  }
  log(`built ${name} in ${seconds()} s`);
}

async function runGo(
  program: string,
  args: readonly string[],
  folder: string,
): Promise<{ exitCode: number; output: string[] }> {
  const env = {
    ...process.env,
    CGO_ENABLED: '0',
    GO111MODULE: 'on',
    GOWORK: 'off',
    GOOS: '',
    GOARCH: '',
    // What is tested is what this Go builds, and no other one is fetched for it.
    GOTOOLCHAIN: 'local',
  };
  return await new Promise((done, fail) => {
    const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
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
