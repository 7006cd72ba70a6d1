import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../bundle.ts';
import { messageFromUnknown, Refusal } from '../errors.ts';

type LockEntry = { readonly version: string; readonly integrity: string };

/**
 * Fetches compiled code for a machine that is not this one, which npm leaves out here, and hands over each package's
 * folder; the folders are gone afterwards. npm itself does it, from the entries of our own lock file: their hashes
 * decide what is taken.
 */
export async function installFor(
  arch: string,
  names: readonly string[],
  take: (name: string, folder: string) => void,
): Promise<void> {
  if (names.length === 0) return;
  const folder = await mkdtemp(join(tmpdir(), 'xidrill-native-'));
  try {
    const entries = await lockEntries(names);
    const dependencies = Object.fromEntries(entries.map(([name, { version }]) => [name, version]));
    const packages = Object.fromEntries(entries.map(([name, entry]) => [`node_modules/${name}`, entry]));
    const lock = { lockfileVersion: 3, requires: true, packages: { '': { dependencies }, ...packages } };
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
    await writeFile(join(folder, 'package-lock.json'), JSON.stringify(lock));
    await npmCi(folder, arch);
    for (const name of names) take(name, join(folder, 'node_modules', name));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function lockEntries(names: readonly string[]): Promise<readonly (readonly [string, LockEntry])[]> {
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockEntry>>;
  };
  return names.map((name) => {
    const entry = packages[`node_modules/${name}`];
    if (entry === undefined) {
      throw new Refusal('package_missing', `package-lock.json does not know ${name}`, {
        field: 'package',
        value: name,
        remedy: 'run npm install and commit the lock file',
      });
    }
    // Without `optional`, which would skip what does not come, and without `os` and `cpu`, which are not this machine's.
    return [name, { version: entry.version, integrity: entry.integrity }] as const;
  });
}

async function npmCi(folder: string, arch: string): Promise<void> {
  const args = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const child = spawn('npm', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-2000);
  });
  const failed = await new Promise<string | undefined>((resolve) => {
    child.once('error', (thrown) => resolve(messageFromUnknown(thrown)));
    child.once('close', (code) => resolve(code === 0 ? undefined : output.trim()));
  });
  if (failed === undefined) return;
  throw new Refusal('package_missing', `npm could not fetch compiled code for linux/${arch}: ${failed}`, {
    field: '--platform',
    remedy: 'see that npm reaches its registry, or build on a machine of that platform',
  });
}
