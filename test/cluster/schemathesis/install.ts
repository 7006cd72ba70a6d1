import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Its Python programs and settings. */
export const folder = import.meta.dirname;

const requirements = join(folder, 'requirements.txt');

/** Older ones need packages that requirements.txt does not pin. */
const oldest = [3, 11] as const;

/** Prints its version, and fails where it cannot make a virtual environment. */
const probe = 'import ensurepip, sys, venv; print(sys.version_info[0], sys.version_info[1], sys.platform)';

/** The version of a Python that can have schemathesis; otherwise why there is none. */
export async function findPython(): Promise<{ readonly version: string } | { readonly because: string }> {
  try {
    const { stdout } = await run('python3', ['-c', probe]);
    const [major = 0, minor = 0] = stdout.split(' ').map(Number);
    if (major > oldest[0] || (major === oldest[0] && minor >= oldest[1])) return { version: stdout.trim() };
    return { because: `python3 is ${major}.${minor}, and schemathesis needs ${oldest.join('.')} or newer` };
  } catch (thrown) {
    const { code, stderr } = thrown as { readonly code?: unknown; readonly stderr?: string };
    if (code === 'ENOENT') return { because: 'schemathesis needs Python, and no python3 is on PATH' };
    return {
      because: `python3 cannot make a virtual environment: ${(stderr ?? '').trim().split('\n').at(-1)}`,
    };
  }
}

/**
 * A Python that has schemathesis: a virtual environment in the user's cache, made once for each set of pins. Packages are
 * taken as wheels only and by their hashes: nothing is built, and nothing else is run.
 */
export async function installSchemathesis(version: string): Promise<string> {
  const key = createHash('sha256')
    .update(version)
    .update(readFileSync(requirements))
    .digest('hex')
    .slice(0, 16);
  const xdg = process.env.XDG_CACHE_HOME;
  const cache = join(xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'xidrill');
  const home = join(cache, `schemathesis-${key}`);
  if (!existsSync(home)) {
    mkdirSync(cache, { recursive: true });
    const made = mkdtempSync(join(cache, 'schemathesis-'));
    try {
      await run('python3', ['-m', 'venv', made]);
      const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
      const pinned = ['--require-hashes', '--only-binary', ':all:', '--requirement', requirements];
      await run(join(made, 'bin/python'), [...pip, ...pinned]);
      // Whole or not at all; another run may have been faster.
      if (!existsSync(home)) renameSync(made, home);
    } finally {
      rmSync(made, { recursive: true, force: true });
    }
  }
  return join(home, 'bin/python');
}
