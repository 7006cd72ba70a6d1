import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Exit code and all output. */
export type Outcome = { readonly code: number; readonly output: string };

/** Runs promtool in a folder of its own that has these files. */
export type Promtool = (files: Readonly<Record<string, string>>, args: readonly string[]) => Promise<Outcome>;

/**
 * promtool: the one on PATH, or that of Debian's package `prometheus`, unpacked into the user's cache and not installed.
 * Where neither can be had: why. With apt at hand, a download that fails is an error and no reason to skip.
 */
export async function findPromtool(): Promise<Promtool | { readonly because: string }> {
  const path = (await answers('promtool', ['--version'])) ? 'promtool' : await fromDebian();
  if (typeof path !== 'string') return path;
  return async (files, args) => {
    const folder = mkdtempSync(join(tmpdir(), 'xidrill-promtool-'));
    try {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
      const { stdout, stderr } = await run(path, [...args], { cwd: folder });
      return { code: 0, output: stdout + stderr };
    } catch (thrown) {
      const {
        code,
        stdout = '',
        stderr = '',
      } = thrown as { code?: unknown; stdout?: string; stderr?: string };
      if (typeof code !== 'number') throw thrown;
      return { code, output: stdout + stderr };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

async function fromDebian(): Promise<string | { readonly because: string }> {
  const xdg = process.env.XDG_CACHE_HOME;
  const cache = join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'xidrill');
  const promtool = join(cache, 'promtool');
  if (existsSync(promtool)) return promtool;
  for (const program of ['apt-get', 'dpkg-deb'])
    if (!(await answers(program, ['--version'])))
      return { because: `no promtool is on PATH, and without ${program} there is no Debian package of it` };
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(join(cache, 'promtool-'));
  try {
    // apt checks the package by Debian's signature. An index that is missing or old is fetched first.
    const download = () => run('apt-get', ['download', '--quiet', 'prometheus'], { cwd: made });
    await download().catch(async () => {
      await run('apt-get', ['update', '--quiet']);
      await download();
    });
    const [archive = ''] = readdirSync(made).filter((name) => name.endsWith('.deb'));
    await run('dpkg-deb', ['--extract', archive, 'unpacked'], { cwd: made });
    // By rename: another run may look at the same time.
    renameSync(join(made, 'unpacked/usr/bin/promtool'), promtool);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return promtool;
}

async function answers(program: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(program, [...args]);
    return true;
  } catch (thrown) {
    if ((thrown as { readonly code?: unknown }).code === 'ENOENT') return false;
    throw thrown;
  }
}
