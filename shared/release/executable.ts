import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Metafile } from 'esbuild';
import { bundleCli, cliFlags } from '../cli-bundle.ts';
import { Refusal } from '../errors.ts';
import { withNote } from './elf-note.ts';

/*
 * Node's single executables, https://nodejs.org/docs/latest-v24.x/api/single-executable-applications.html: the name of the note that
 * holds the blob, and the text whose last character says that there is one. Node 24 names postject for writing them, whose newest
 * version, 1.0.0-alpha.6, is of 2023; Node's own --build-sea came with 25.5.
 */
const noteName = 'NODE_SEA_BLOB';
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:';

/**
 * Writes `xidrill` as one executable, which needs no Node where it runs: the command line's bundle in a copy of the Node that runs
 * this, for Linux of this architecture. Resolves with what went into the bundle; refuses with `malformed_request` where that Node
 * cannot be used.
 */
export async function buildExecutable(file: string): Promise<Metafile> {
  if (process.platform !== 'linux') throw unsuitable(`this is ${process.platform}, not linux`);
  const folder = await mkdtemp(join(tmpdir(), 'xidrill-executable-'));
  const at = (name: string) => join(folder, name);
  try {
    // CommonJS is all that Node 24 takes for it.
    const { metafile } = await bundleCli(at('main.cjs'), 'cjs');
    const config = {
      main: at('main.cjs'),
      output: at('blob'),
      disableExperimentalSEAWarning: true,
      execArgv: cliFlags,
    };
    await writeFile(at('config.json'), JSON.stringify(config));
    // Without NODE_OPTIONS: what is loaded for tests is no part of it.
    await promisify(execFile)(process.execPath, ['--experimental-sea-config', at('config.json')], {
      env: {},
    });
    const node = await readFile(process.execPath);
    const start = node.indexOf(`${fuse}0`);
    if (start < 0 || node.includes(`${fuse}0`, start + 1)) throw unsuitable('it has not one fuse');
    node.write('1', start + fuse.length, 'latin1');
    await writeFile(file, withNote(node, noteName, await readFile(at('blob'))), { mode: 0o755 });
    return metafile;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function unsuitable(because: string): Refusal {
  return new Refusal(
    'malformed_request',
    `${process.execPath} cannot become a single executable: ${because}`,
    {
      field: 'executable',
      remedy: 'npm run -s cli:bundle -- xidrill.mjs writes one file that runs on Node 24 anywhere',
    },
  );
}
