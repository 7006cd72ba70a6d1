import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';
import { Refusal } from './errors.ts';

/** What `bundle` leaves in a folder that runs by itself, wherever it is copied to. */
export type Bundle = {
  readonly agent: string;
  /** Beside the agent, which looks for it there. */
  readonly nvmlChild: string;
  readonly coordinator: string;
  readonly bytes: {
    readonly agent: number;
    readonly nvmlChild: number;
    readonly coordinator: number;
    /** The packages with compiled code, which no bundler can take in. */
    readonly native: number;
  };
};

/** No optimising compilers: what they do and leave behind is most of what memory grows by in use. */
const interpretive = ['--no-opt', '--no-maglev', '--v8-pool-size=1'] as const;

/**
 * How an image starts the programs; the benchmarks start them the same way. Measured: the agent is 8 MiB smaller idle
 * and 25 MiB smaller after a thousand orders, the coordinator 6 MiB idle, for 0.1 ms more an order; a small young
 * generation is 3 to 5 MiB more. With 100 nodes --optimize-for-size is 4 MiB of the coordinator, for 40 ms of its start. The
 * old space bounds leaks, it is not what they need.
 */
export const nodeFlags = {
  agent: [...interpretive, '--max-semi-space-size=1', '--max-old-space-size=96'],
  coordinator: [
    ...interpretive,
    '--optimize-for-size',
    '--max-semi-space-size=2',
    '--max-old-space-size=384',
  ],
} as const;

/** Goes with the flags: glibc would otherwise reserve an arena per thread, 3 MiB more. */
export const nodeEnvironment = { MALLOC_ARENA_MAX: '1' } as const;

/** The repository's folder, with a separator at its end. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** CommonJS dependencies ask for these; an ES module has none of them. Put before a bundle. */
export const commonJsNames =
  // Long names: esbuild does not know of these, and gives the short ones to the code below.
  "import{createRequire as $createRequire}from'module';import{fileURLToPath as $fileUrlToPath}from'url';" +
  "import{dirname as $dirname}from'path';" +
  'const require=$createRequire(import.meta.url),__filename=$fileUrlToPath(import.meta.url),__dirname=$dirname(__filename);';

/** The files that a program is made of, each with its source. The agent looks for its NVML child beside itself. */
const entryPoints = {
  agent: { agent: 'agent/main.ts', 'nvml-child': 'agent/nvml/child.ts' },
  coordinator: { coordinator: 'coordinator/main.ts' },
} as const;

/** What is bundled: the two programs, and the child that loads NVML. */
export type ProgramName = keyof typeof entryPoints;

/** In the order in which they are bundled. */
export const programNames = Object.keys(entryPoints) as ProgramName[];

/** Compiled code, which no bundler can take in: the package that asks for it, and where it lies by architecture. */
const compiled: Readonly<Record<string, (arch: string) => string>> = {
  'ffi-rs': (arch) => `@yuuang/ffi-rs-linux-${arch}-gnu`,
  'node-pty': (arch) => `@lydell/node-pty-linux-${arch}`,
};

/** One file for each entry point of the programs, minified; tells what went into them. */
export async function compile(programs: readonly ProgramName[], folder: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: Object.assign({}, ...programs.map((program) => entryPoints[program])),
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    minify: true,
    // Less code to keep in memory is worth it, stack traces and logs without names are not.
    keepNames: true,
    external: ['@yuuang/*', '@lydell/*', '*.node'],
    banner: { js: commonJsNames },
    // Gathered by the image's tree, in one file.
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  return metafile;
}

/** Folders of the npm packages that went into a bundle, below the repository's root. */
export function bundledPackages({ inputs }: Metafile): readonly string[] {
  const folders = Object.keys(inputs).flatMap((path) => packageFolderOf(path) ?? []);
  return [...new Set(folders)].toSorted();
}

/** The folder of the npm package that a bundled file is of; undefined for a file of ours. */
export function packageFolderOf(path: string): string | undefined {
  return /^(.*\bnode_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
}

/** A package with compiled code, and the bundled package that loads it at run time. */
export type NativePackage = { readonly name: string; readonly loadedBy: string };

/** The packages with compiled code that a bundle loads at run time on this architecture (`x64`, `arm64`). */
export function nativePackages(metafile: Metafile, arch: string): readonly NativePackage[] {
  const bundled = bundledPackages(metafile).map((folder) => folder.split('node_modules/').at(-1) ?? '');
  return bundled.flatMap((loadedBy) => {
    const name = Object.hasOwn(compiled, loadedBy) ? compiled[loadedBy]?.(arch) : undefined;
    return name === undefined ? [] : [{ name, loadedBy }];
  });
}

/** Copies what is loaded of such a package; its page for npm stays behind. */
export function copyNative(name: string, from: string, folder: string): void {
  if (!existsSync(from)) {
    throw new Refusal('package_missing', `${name} is not installed`, {
      field: 'package',
      value: name,
      remedy: 'run npm ci on Linux with glibc, with optional dependencies',
    });
  }
  const to = join(folder, 'node_modules', name);
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(from)) {
    if (file === 'package.json' || file.endsWith('.node')) cpSync(join(from, file), join(to, file));
  }
}

/** Writes agent.mjs, nvml-child.mjs, coordinator.mjs and the native packages of this machine into the folder. */
export async function bundle(outDir: string): Promise<Bundle> {
  const folder = resolve(outDir);
  const native = nativePackages(await compile(programNames, folder), process.arch).map(({ name }) => name);
  for (const name of native) copyNative(name, join(root, 'node_modules', name), folder);
  const at = (name: string) => join(folder, name);
  const files = {
    agent: at('agent.mjs'),
    nvmlChild: at('nvml-child.mjs'),
    coordinator: at('coordinator.mjs'),
  };
  return {
    ...files,
    bytes: {
      agent: bytesOf(files.agent),
      nvmlChild: bytesOf(files.nvmlChild),
      coordinator: bytesOf(files.coordinator),
      native: native.reduce((sum, name) => sum + bytesOf(join(folder, 'node_modules', name)), 0),
    },
  };
}

/** Size of a file, or of all files below a folder. */
export function bytesOf(path: string): number {
  const found = statSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

// Not `import.meta.main`: that is false below launch.mjs, which says in argv what it runs.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const outDir = process.argv[2];
  if (outDir === undefined) {
    process.stderr.write('usage: node shared/bundle.ts DIR\n');
    process.exit(2);
  }
  process.stdout.write(`${JSON.stringify(await bundle(outDir), null, 2)}\n`);
}
