import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheHome } from '../cluster/controlplane/go-build.ts';

const run = promisify(execFile);

/** Of the distribution that both Dockerfiles build on (`node:…-trixie-slim`). */
const suite = 'trixie';

/**
 * A tar file of the files of both programs' base image, as far as a mirror of Debian and this Node make one: Debian's minimal
 * system and /usr/local/bin/node. Nothing here can pull the image itself. Made once, and kept.
 */
export async function baseLayerFile(log: (line: string) => void): Promise<string> {
  const key = createHash('sha256').update(`1 ${suite} ${process.version} ${process.arch}`).digest('hex');
  const folder = join(cacheHome(), 'xidrill', 'node');
  const file = join(folder, `base-${key.slice(0, 16)}.tar`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, 'base-'));
  try {
    const root = join(work, 'root');
    log(`assembling a base image of Debian ${suite} and Node ${process.version} (minutes, once)`);
    // In a mount namespace: it mounts /proc in there.
    await run('unshare', ['--mount', 'debootstrap', '--variant=minbase', suite, root], {
      maxBuffer: 2 ** 26,
    });
    copyFileSync(process.execPath, join(root, 'usr/local/bin/node'));
    for (const left of [
      'var/cache/apt',
      'var/lib/apt/lists',
      'var/log',
      'usr/share/doc',
      'usr/share/man',
      'usr/share/locale',
    ]) {
      rmSync(join(root, left), { recursive: true, force: true });
      mkdirSync(join(root, left));
    }
    const partial = join(work, 'base.tar');
    await run('tar', ['--sort=name', '--numeric-owner', '-C', root, '-cf', partial, '.']);
    // By rename: somebody else may look at the same time.
    renameSync(partial, file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return file;
}
