import { chmodSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';
import { bytesOf, commonJsNames, root } from './bundle.ts';

/** One file that is the whole command line; it runs wherever it is copied to, on Node 24 or later. */
export type CliBundle = { readonly file: string; readonly bytes: number; readonly metafile: Metafile };

/** As it starts itself. Measured with 300 nodes: a small young generation takes 20 MiB less, and no longer. */
export const cliFlags = ['--max-semi-space-size=2'] as const;

/**
 * Writes it to `file`, such as `xidrill.mjs`. What a command alone needs is evaluated when that command is run: dynamic imports
 * stay lazy inside the one file. `cjs`: as CommonJS, the only format that Node 24 takes into a single executable.
 */
export async function bundleCli(file: string, format: 'esm' | 'cjs' = 'esm'): Promise<CliBundle> {
  const target = resolve(file);
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['coordinator/cli/main.ts'],
    outfile: target,
    bundle: true,
    platform: 'node',
    format,
    target: 'node24',
    // Without their names, which stack traces would show: they are 13 MiB of a process that lives for a second.
    minify: true,
    ...(format === 'cjs'
      ? {}
      : { banner: { js: `#!/usr/bin/env -S node ${cliFlags.join(' ')}\n${commonJsNames}` } }),
    legalComments: 'none',
    metafile: true,
    define: {
      // Undici's experimental parser is never switched on, so that it can be left out.
      'process.env.UNDICI_USE_MILO': 'undefined',
    },
    plugins: [leaveOut, lazyBuiltins],
    logLevel: 'warning',
  });
  chmodSync(target, 0o755);
  return { file: target, bytes: bytesOf(target), metafile };
}

/** What the command line never gets to, 0.7 MB; whoever did would get the reason. */
const neverUsed: readonly (readonly [path: RegExp, because: string])[] = [
  // Undici takes them where WebAssembly has no SIMD: not on x64 and arm64, for which Node 24 is made.
  [/(?:^|\/)llhttp\/llhttp-wasm\.js$/, 'this processor needs undici without SIMD'],
  [/(?:^|\/)milo\/(?:no-)?simd\.js$/, 'the experimental parser is off'],
  // A class for each kind and group of the Kubernetes API; we ask by URL.
  [/^\.\/gen\/index\.js$/, 'the generated API is not used'],
  // Fastify takes them for `inject`, which is for tests, and for schemas of answers, which we have for documents only.
  [/^light-my-request$/, 'inject is for tests'],
  [/^fast-json-stringify$/, 'answers have no serializer'],
];

/** They are in the bundle as a function that throws; each is required when it is used. */
const leaveOut: Plugin = {
  name: 'leave-out',
  setup({ onResolve, onLoad }) {
    for (const [filter, because] of neverUsed)
      onResolve({ filter }, ({ path }) => ({ path, namespace: 'left-out', pluginData: because }));
    onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path, pluginData }) => ({
      contents: `module.exports = () => { throw new Error(${JSON.stringify(`${path} is left out of this file: ${pluginData}`)}) }`,
    }));
  },
};

/**
 * Modules of Node are loaded by the code that needs them. Left as they are, the imports of all commands would be hoisted to the
 * head of the file, and Node would load http2, tls and the others to print a version.
 */
const lazyBuiltins: Plugin = {
  name: 'lazy-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /.*/ }, ({ path, kind }) =>
      isBuiltin(path) && kind !== 'require-call' ? { path, namespace: 'builtin' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)})`,
    }));
  },
};

// Not `import.meta.main`: that is false below launch.mjs, which says in argv what it runs.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file = 'xidrill.mjs'] = process.argv.slice(2);
  const { bytes } = await bundleCli(file);
  process.stdout.write(`${file}: ${bytes} bytes\n`);
}
