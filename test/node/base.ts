import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheHome } from '../cluster/controlplane/go-build.ts';
import { instructionsOf, stagesOf, textsOf } from '../shared/image/dockerfile.ts';

const run = promisify(execFile);

/** Where images and their parts are kept between runs. */
export const nodeCache = join(cacheHome(), 'xidrill', 'node');

/** As both Dockerfiles name their base image: `node:24.21.0-trixie-slim`. */
export const baseName =
  textsOf(stagesOf(instructionsOf('Dockerfile.agent')).head, 'ARG')[0]?.split('=')[1] ?? '';

/**
 * A tar file of the files of both programs' base image, as far as a mirror of Debian and this Node make one: Debian's minimal
 * system, /usr/local/bin/node, and npm where Node's own image has it. Nothing here can pull the image itself. Made once, and kept.
 */
export async function baseLayerFile(log: (line: string) => void): Promise<string> {
  const [, node = '', suite = ''] = /^node:([\d.]+)-(\w+)-slim$/.exec(baseName) ?? [];
  if (process.version !== `v${node}`)
    throw new Error(`the images are built on Node ${node}, and this is ${process.version}`);
  const npm = await npmFolder();
  const { version } = JSON.parse(readFileSync(join(npm, 'package.json'), 'utf8')) as { version: string };
  const words = `2 ${suite} ${process.version} ${process.arch} npm ${version}`;
  const key = createHash('sha256').update(words).digest('hex');
  const file = join(nodeCache, `base-${key.slice(0, 16)}.tar`);
  if (existsSync(file)) return file;
  mkdirSync(nodeCache, { recursive: true });
  const work = mkdtempSync(join(nodeCache, 'base-'));
  try {
    const root = join(work, 'root');
    log(
      `assembling a base image of Debian ${suite}, Node ${process.version}, npm ${version} (minutes, once)`,
    );
    // In a mount namespace: it mounts /proc in there.
    await run('unshare', ['--mount', 'debootstrap', '--variant=minbase', suite, root], {
      maxBuffer: 2 ** 26,
    });
    copyFileSync(process.execPath, join(root, 'usr/local/bin/node'));
    cpSync(npm, join(root, 'usr/local/lib/node_modules/npm'), { recursive: true });
    for (const name of ['npm', 'npx'])
      symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(root, 'usr/local/bin', name));
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

/** The npm in PATH, which has no package of its own to be built into an image from. */
async function npmFolder(): Promise<string> {
  const { stdout } = await run('sh', ['-c', 'command -v npm']);
  return dirname(dirname(realpathSync(stdout.trim())));
}
