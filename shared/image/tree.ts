import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import type { Metafile } from 'esbuild';
import {
  bundledPackages,
  bytesOf,
  compile,
  copyNative,
  nativePackages,
  type ProgramName,
  programNames,
  root,
} from '../bundle.ts';
import { bundleCli, cliFlags } from '../cli-bundle.ts';
import { Refusal } from '../errors.ts';
import { nodeRange, version } from '../version.ts';
import type { BaseImage } from './base-image.ts';
import { billOfMaterials } from './bill-of-materials.ts';
import { installFor } from './foreign.ts';
import { noticesOf } from './notices.ts';

/** What an image can be built for: the name that container tools use, and Node's word for the architecture. */
const architectures = { 'linux/amd64': 'x64', 'linux/arm64': 'arm64' } as const;

type Platform = keyof typeof architectures;

/** As container tools name them, `linux/amd64`. */
export const platforms = Object.keys(architectures) as Platform[];

/** The platform of this machine, where it is one of ours. */
export const ownPlatform: Platform | undefined = platforms.find(
  (platform) => process.platform === 'linux' && architectures[platform] === process.arch,
);

/** The files of an image, assembled in a folder. */
export type Tree = {
  readonly program: ProgramName;
  readonly platform: Platform;
  /** Absolute path. */
  readonly folder: string;
  /** Below the folder. */
  readonly files: readonly string[];
  /** Of all files together. */
  readonly bytes: number;
};

/**
 * Assembles exactly the files that the final stage of an image copies: bundles, the compiled code of one platform, a
 * package.json that says what this is, the licence texts, and the bill of materials (sbom.cdx.json, CycloneDX). Refuses a folder with something in it: what an image
 * ships is what this function wrote.
 */
export async function assembleTree(asked: {
  readonly program: string;
  readonly folder: string;
  readonly platform: string;
  /** The image below, where the tree is assembled in it: its packages then stand in the bill of materials. */
  readonly base?: BaseImage;
}): Promise<Tree> {
  const program = knownProgram(asked.program);
  const platform = knownPlatform(asked.platform);
  const folder = resolve(asked.folder);
  assertEmpty(folder);
  const metafile = await compiledWithTools(program, folder);
  const arch = architectures[platform];
  const compiled = nativePackages(metafile, arch);
  const native = compiled.map(({ name }) => name);
  if (arch === process.arch)
    for (const name of native) copyNative(name, join(root, 'node_modules', name), folder);
  else await installFor(arch, native, (name, from) => copyNative(name, from, folder));
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  write('package.json', `${JSON.stringify(packageJson(program), null, 2)}\n`);
  write('LICENSE', readFileSync(join(root, 'LICENSE'), 'utf8'));
  write('THIRD-PARTY-NOTICES.txt', noticesOf(bundledPackages(metafile)));
  const bill = billOfMaterials({ program, platform, metafile, native: compiled, base: asked.base });
  write('sbom.cdx.json', `${JSON.stringify(bill, null, 2)}\n`);
  return { program, platform, folder, files: filesBelow(folder), bytes: bytesOf(folder) };
}

/** On PATH. The bundle keeps its ending, by which every Node takes it for a module. */
const launcher = `#!/bin/sh\nexec node ${cliFlags.join(' ')} "$(dirname "$0")/../xidrill.mjs" "$@"\n`;

/** The program, and in the coordinator's image the command line beside it: a pipeline takes the image for a step. */
async function compiledWithTools(
  program: ProgramName,
  folder: string,
): Promise<Pick<Metafile, 'inputs' | 'outputs'>> {
  const own = await compile([program], folder);
  if (program !== 'coordinator') return own;
  const { metafile } = await bundleCli(join(folder, 'xidrill.mjs'));
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin', 'xidrill'), launcher, { mode: 0o755 });
  const inputs = { ...own.inputs };
  // A file of both is asked for more by one of them: the command line leaves things out.
  for (const [path, input] of Object.entries(metafile.inputs))
    inputs[path] = { ...input, imports: [...(inputs[path]?.imports ?? []), ...input.imports] };
  return {
    inputs,
    outputs: { ...own.outputs, ...metafile.outputs },
  };
}

function knownProgram(name: string): ProgramName {
  const found = programNames.find((known) => known === name);
  if (found !== undefined) return found;
  throw new Refusal('malformed_request', `there is no program "${name}"`, {
    field: 'program',
    value: name,
    allowed: programNames,
    remedy: `name one of ${programNames.join(', ')}`,
  });
}

function knownPlatform(name: string): Platform {
  const found = platforms.find((known) => known === name);
  if (found !== undefined) return found;
  throw new Refusal('malformed_request', `there is no image for platform "${name}"`, {
    field: '--platform',
    value: name,
    allowed: platforms,
    remedy: `give --platform one of ${platforms.join(', ')}`,
  });
}

function assertEmpty(folder: string): void {
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    return;
  }
  const isFolder = statSync(folder).isDirectory();
  if (isFolder && readdirSync(folder).length === 0) return;
  throw new Refusal('folder_not_empty', `${folder} ${isFolder ? 'is not empty' : 'is no folder'}`, {
    field: 'DIR',
    value: folder,
    allowed: 'an empty folder, or one that does not exist',
    remedy: 'name another folder: everything in this one would be in the image',
  });
}

function packageJson(program: ProgramName): object {
  return {
    name: `xidrill-${program}`,
    version,
    license: 'Apache-2.0',
    private: true,
    type: 'module',
    main: `${program}.mjs`,
    engines: { node: nodeRange },
  };
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .toSorted();
}
