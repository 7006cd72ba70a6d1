import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

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
 * generation is 3 to 5 MiB more. The old space bounds leaks, it is not what they need.
 */
export const nodeFlags = {
  agent: [...interpretive, '--max-semi-space-size=1', '--max-old-space-size=96'],
  coordinator: [...interpretive, '--max-semi-space-size=2', '--max-old-space-size=384'],
} as const;

/** Goes with the flags: glibc would otherwise reserve an arena per thread, 3 MiB more. */
export const nodeEnvironment = { MALLOC_ARENA_MAX: '1' } as const;

const root = fileURLToPath(new URL('..', import.meta.url));

/** CommonJS dependencies ask for these; an ES module has none of them. */
const commonJsNames =
  "import{createRequire as c}from'module';import{fileURLToPath as f}from'url';import{dirname as d}from'path';" +
  'const require=c(import.meta.url),__filename=f(import.meta.url),__dirname=d(__filename);';

/** Both are loaded by these names at run time, for the machine that the bundle is made on. */
const nativePackages = [`@yuuang/ffi-rs-linux-${process.arch}-gnu`, `@lydell/node-pty-linux-${process.arch}`];

/** Writes agent.mjs, nvml-child.mjs, coordinator.mjs and the native packages into the folder. */
export async function bundle(outDir: string): Promise<Bundle> {
  const folder = resolve(outDir);
  await build({
    absWorkingDir: root,
    entryPoints: {
      agent: 'agent/main.ts',
      'nvml-child': 'agent/nvml/child.ts',
      coordinator: 'coordinator/main.ts',
    },
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
    logLevel: 'warning',
  });
  for (const name of nativePackages) copyPackage(name, folder);
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
      native: nativePackages.reduce((sum, name) => sum + bytesOf(join(folder, 'node_modules', name)), 0),
    },
  };
}

function copyPackage(name: string, folder: string): void {
  const from = join(root, 'node_modules', name);
  if (!existsSync(from)) {
    throw new Error(
      `${name} is not installed: a bundle is made on Linux with glibc, with optional dependencies`,
    );
  }
  const to = join(folder, 'node_modules', name);
  mkdirSync(to, { recursive: true });
  cpSync(from, to, { recursive: true, dereference: true });
}

function bytesOf(path: string): number {
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
