import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A tar file with what an image adds, and the digest of its bytes. */
export type Layer = { readonly file: string; readonly digest: string };

/** An image as its configuration and layers say it (OCI image specification, config.md). */
export type ImageSpec = {
  /** As pods name it. */
  readonly name: string;
  readonly config: {
    readonly Entrypoint?: readonly string[];
    readonly Env?: readonly string[];
    readonly User?: string;
    readonly WorkingDir?: string;
    readonly Labels?: Readonly<Record<string, string>>;
  };
  readonly layers: readonly Layer[];
};

/** A layer of everything in a folder, owned by root. */
export async function layerOf(folder: string, file: string): Promise<Layer> {
  const owner = ['--owner=0', '--group=0', '--numeric-owner'];
  await run('tar', ['--sort=name', ...owner, '-C', folder, '-cf', file, '.']);
  return layerIn(file);
}

/** The layer that a tar file is. */
export async function layerIn(file: string): Promise<Layer> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return { file, digest: hash.digest('hex') };
}

/** Writes one archive of all of them, as `docker save` does and `ctr image import` takes it; layers are shared. */
export async function writeArchive(
  images: readonly ImageSpec[],
  staging: string,
  file: string,
): Promise<void> {
  mkdirSync(staging);
  const manifest = images.map(({ name, config, layers }) => {
    const text = JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
      history: layers.map(() => ({ created_by: 'test/node/images.ts' })),
    });
    const digest = createHash('sha256').update(text).digest('hex');
    writeFileSync(join(staging, `${digest}.json`), text);
    for (const { file: layer, digest: of } of layers)
      if (!existsSync(join(staging, `${of}.tar`))) symlinkSync(layer, join(staging, `${of}.tar`));
    return {
      Config: `${digest}.json`,
      RepoTags: [name],
      Layers: layers.map(({ digest: of }) => `${of}.tar`),
    };
  });
  writeFileSync(join(staging, 'manifest.json'), JSON.stringify(manifest));
  await run('tar', ['--dereference', '-C', staging, '-cf', file, '.']);
}
