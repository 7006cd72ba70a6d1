import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const at = (path: string) => fileURLToPath(new URL(`./page/${path}`, import.meta.url));

/**
 * The files that the page sends to a browser, by name, as JSON that the program imports: it has to run as one file too. The client's
 * library is bundled into it, so that nothing is fetched from elsewhere.
 */
export async function renderAssets(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: { client: at('assets/client.js'), style: at('assets/style.css') },
    outdir: at('assets'),
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none',
    logLevel: 'warning',
  });
  const of = (name: string) => outputFiles.find(({ path }) => path.endsWith(name))?.text.trim();
  const assets = {
    style: of('client.css') ?? of('style.css'),
    client: of('client.js'),
    icon: readFileSync(at('assets/icon.svg'), 'utf8').trim(),
  };
  return `${JSON.stringify(assets, null, 2)}\n`;
}

// Not `import.meta.main`: that is false below launch.mjs, which says in argv what it runs.
if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(at('assets.json'), await renderAssets());
