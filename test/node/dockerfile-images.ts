import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ProgramName } from '../../shared/bundle.ts';
import { ownPlatform } from '../../shared/image/tree.ts';
import { guarded } from '../cluster/controlplane/guard.ts';
import { instructionsOf, stagesOf, textsOf } from '../shared/image/dockerfile.ts';
import { root } from '../suite.ts';
import { baseName, nodeCache } from './base.ts';
import { type ImageSpec, type Layer, layerIn, writeArchive } from './images.ts';

const run = promisify(execFile);

/** An image's configuration and what its Dockerfile's final stage added to the base image. */
type Built = Pick<ImageSpec, 'config' | 'layers'>;

/** What is kept of an image; its layers below are the base image's. */
const kept = { config: 'config.json', layer: 'layer.tar' } as const;
/** Of each program: the images of that many states of its sources are kept. */
const keptStates = 3;

/**
 * Builds both Dockerfiles as they are, with buildah on the base image of `base.ts`, and keeps the results by the digest of
 * what goes in. Each image is the base layer and one more, as its final stage copies one tree.
 */
export async function dockerfileImages(
  base: Layer,
  folder: string,
  log: (line: string) => void,
): Promise<Readonly<Record<ProgramName, Built>>> {
  const wanted = (['agent', 'coordinator'] as const).map((program) => ({
    program,
    at: join(nodeCache, `image-${program}-${digestOf(program, base)}`),
  }));
  const missing = wanted.filter(({ at }) => !existsSync(at));
  if (missing.length > 0) {
    const builder = await createBuilder(base, folder);
    for (const { program, at } of missing) {
      log(`building Dockerfile.${program} (a minute, once for these sources)`);
      await builder.build(program, at);
    }
    builder.remove();
  }
  const [agent, coordinator] = await Promise.all(
    wanted.map(async ({ program, at }) => {
      const layer = await layerIn(join(at, kept.layer));
      log(`Dockerfile.${program}: its final stage adds ${statSync(layer.file).size} bytes`);
      forgetOlder(program);
      const config = JSON.parse(readFileSync(join(at, kept.config), 'utf8')) as ImageSpec['config'];
      return { config, layers: [base, layer] };
    }),
  );
  if (agent === undefined || coordinator === undefined) throw new Error('an image is missing');
  return { agent, coordinator };
}

/** Of everything that a build reads: the Dockerfile, what its COPY instructions name, and the base image. */
function digestOf(program: ProgramName, base: Layer): string {
  const dockerfile = `Dockerfile.${program}`;
  const copied = textsOf(stagesOf(instructionsOf(dockerfile)).build, 'COPY').flatMap((text) =>
    text.split(' ').slice(0, -1),
  );
  const files = copied.flatMap((name) =>
    statSync(join(root, name)).isDirectory() ? globSync(`${name}/**`, { cwd: root }) : [name],
  );
  const hash = createHash('sha256').update(`1 ${base.digest}`);
  for (const name of [dockerfile, ...files.toSorted()])
    if (statSync(join(root, name)).isFile())
      hash.update(`\0${name}\0`).update(readFileSync(join(root, name)));
  return hash.digest('hex').slice(0, 16);
}

function forgetOlder(program: ProgramName): void {
  const states = readdirSync(nodeCache)
    .filter((name) => name.startsWith(`image-${program}-`))
    .map((name) => join(nodeCache, name))
    .toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const state of states.slice(keptStates)) rmSync(state, { recursive: true, force: true });
}

/** buildah with a store of its own. What it mounts is in a mount namespace that ends with each command. */
async function createBuilder(base: Layer, folder: string) {
  mkdirSync(folder);
  const store = join(folder, 'store');
  const buildah = async (command: string, ...args: readonly string[]) => {
    const where = ['--root', store, '--runroot', join(folder, 'run'), '--storage-driver', 'overlay'];
    const words = ['buildah', ...where, command, ...args];
    // What a RUN instruction has started ends with this process too.
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'];
    const [program, all] = guarded('unshare', [...namespaces, 'sh', '-c', '"$@"; exit $?', 'sh', ...words]);
    try {
      return (await run(program, all, { cwd: root, maxBuffer: 2 ** 26 })).stdout;
    } catch (thrown) {
      const { stdout = '', stderr = '' } = thrown as Partial<Record<'stdout' | 'stderr', string>>;
      throw new Error(`${words.join(' ')}: ${(stdout + stderr).slice(-4000)}`);
    }
  };
  const archive = join(folder, 'base.tar');
  const environment = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];
  const image = { name: `docker.io/library/${baseName}`, config: { Env: environment }, layers: [base] };
  await writeArchive([image], join(folder, 'base'), archive);
  await buildah('pull', `docker-archive:${archive}`);
  rmSync(archive);

  // npm's registry and whom this machine believes, for the time of RUN alone; nothing of it is in a layer.
  const npmrc = join(folder, 'npmrc');
  const registry = await npmSetting('registry');
  const cafile = (await npmSetting('cafile')) ?? process.env.NODE_EXTRA_CA_CERTS;
  const settings = Object.entries({ registry, cafile }).filter(([, value]) => value !== undefined);
  writeFileSync(npmrc, settings.map(([name, value]) => `${name}=${value}\n`).join(''));
  const packages = join(nodeCache, 'npm');
  mkdirSync(packages, { recursive: true });
  const volumes = [
    `${npmrc}:/root/.npmrc:ro`,
    `${packages}:/root/.npm`,
    ...(cafile === undefined ? [] : [`${cafile}:${cafile}:ro`]),
  ];

  return {
    async build(program: ProgramName, at: string): Promise<void> {
      const tag = `xidrill.test/${program}`;
      // BuildKit sets TARGETPLATFORM by itself; buildah does where a platform is named.
      const platform = ['--platform', ownPlatform ?? ''];
      await buildah(
        ...(['bud', '--isolation=chroot', '--pull-never', '--format=docker'] as const),
        ...platform,
        ...volumes.map((volume) => `--volume=${volume}`),
        ...['--file', `Dockerfile.${program}`, '--tag', tag, '.'],
      );
      const out = join(folder, program);
      await buildah('push', '--disable-compression', '--quiet', tag, `dir:${out}`);
      const named = (digest: string) => join(out, digest.replace('sha256:', ''));
      const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as {
        config: { digest: string };
        layers: readonly { digest: string }[];
      };
      const [below, layer, ...more] = manifest.layers.map(({ digest }) => digest);
      if (below !== `sha256:${base.digest}` || layer === undefined || more.length > 0)
        throw new Error(`not the base image and one layer: ${JSON.stringify(manifest)}`);
      const { config } = JSON.parse(readFileSync(named(manifest.config.digest), 'utf8')) as {
        config: object;
      };
      // By rename: somebody else may look at the same time.
      const partial = mkdtempSync(join(nodeCache, 'partial-'));
      writeFileSync(join(partial, kept.config), JSON.stringify(config));
      await run('cp', [named(layer), join(partial, kept.layer)]);
      rmSync(at, { recursive: true, force: true });
      renameSync(partial, at);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function npmSetting(name: string): Promise<string | undefined> {
  const { stdout } = await run('npm', ['config', 'get', name], { cwd: '/' });
  const value = stdout.trim();
  return value === 'null' || value === 'undefined' ? undefined : value;
}
