import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { bundledPackages, type NativePackage, type ProgramName, packageFolderOf, root } from '../bundle.ts';
import { version } from '../version.ts';
import type { BaseImage } from './base-image.ts';

/** A component of CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), as much of it as is written. */
type Component = {
  readonly type: 'application' | 'library' | 'platform' | 'container';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version?: string;
  readonly licenses?: readonly object[];
  readonly hashes?: readonly { readonly alg: 'SHA-256' | 'SHA-512'; readonly content: string }[];
  readonly purl?: string;
  readonly cpe?: string;
  readonly components?: readonly Component[];
};

type LockEntry = {
  readonly name?: string;
  readonly version: string;
  readonly integrity: string;
  readonly license?: string;
};

/**
 * The bill of materials of a program's tree as a CycloneDX 1.6 document: each npm package that went into its bundles,
 * with the hash of the lock file, and what asked for it; with `base`, the image below as well. The same tree gives the
 * same document: it has no time and no number of its own.
 */
export function billOfMaterials(asked: {
  readonly program: ProgramName;
  /** `linux/amd64` */
  readonly platform: string;
  readonly metafile: Metafile;
  /** Compiled code beside the bundle. */
  readonly native: readonly NativePackage[];
  readonly base: BaseImage | undefined;
}): object {
  const { program, platform, metafile, native, base } = asked;
  const own: Component = {
    type: 'application',
    'bom-ref': `xidrill-${program}`,
    name: `xidrill-${program}`,
    version,
    licenses: licences('Apache-2.0'),
  };
  const lock = lockEntries();
  const folders = [
    ...bundledPackages(metafile).map(lockPath),
    ...native.map(({ name }) => `node_modules/${name}`),
  ];
  const refs = new Map(folders.map((folder) => [folder, purlOf(folder, lock)]));
  const libraries = new Map(folders.map((folder) => [purlOf(folder, lock), library(folder, lock)]));
  const beneath = base === undefined ? [] : baseComponents(base);
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      lifecycles: [{ phase: 'build' }],
      component: own,
      properties: [
        { name: 'xidrill:platform', value: platform },
        // The packages of the image below are those for the machine that builds; other builds may differ in a revision.
        ...(base === undefined
          ? []
          : [{ name: 'xidrill:base-image-read-on', value: `${process.platform}/${process.arch}` }]),
      ],
    },
    components: [...libraries.values(), ...beneath],
    dependencies: dependencies(own['bom-ref'], metafile, refs, native),
    compositions: [
      { aggregate: 'complete', dependencies: [own['bom-ref'], ...libraries.keys()] },
      // npm and yarn come with the image too, and are not taken apart.
      ...beneath.slice(0, 1).map((image) => ({ aggregate: 'incomplete', assemblies: [image['bom-ref']] })),
    ],
  };
}

function lockEntries(): Readonly<Record<string, LockEntry>> {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockEntry>>;
  };
  return packages;
}

/** A package's folder as the lock file names it: from the outermost node_modules, wherever that really lies. */
const lockPath = (folder: string) => folder.slice(Math.max(0, folder.indexOf('node_modules/')));

/** The entry of a package's folder. */
function entryOf(folder: string, lock: Readonly<Record<string, LockEntry>>) {
  const entry = lock[folder];
  if (entry === undefined)
    throw new Error(`package-lock.json does not know ${folder}, which went into the bundle`);
  return { ...entry, name: entry.name ?? folder.split('node_modules/').at(-1) ?? folder };
}

/** `pkg:npm/%40scope/name@1.0.0` (https://github.com/package-url/purl-spec). */
function purlOf(folder: string, lock: Readonly<Record<string, LockEntry>>): string {
  const { name, version } = entryOf(folder, lock);
  return `pkg:npm/${name.replace('@', '%40')}@${encodeURIComponent(version)}`;
}

function library(folder: string, lock: Readonly<Record<string, LockEntry>>): Component {
  const { name, version, integrity, license } = entryOf(folder, lock);
  return {
    type: 'library',
    'bom-ref': purlOf(folder, lock),
    name,
    version,
    ...(license === undefined ? {} : { licenses: licences(license) }),
    hashes: [
      { alg: 'SHA-512', content: Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex') },
    ],
    purl: purlOf(folder, lock),
  };
}

/** One licence of SPDX's list, or an expression of several. */
const licences = (spdx: string) => [/[ (]/.test(spdx) ? { expression: spdx } : { license: { id: spdx } }];

/** Which package asks for which: by an import in the bundle, or by loading compiled code. */
function dependencies(
  own: string,
  metafile: Metafile,
  refs: ReadonlyMap<string, string>,
  native: readonly NativePackage[],
): readonly { readonly ref: string; readonly dependsOn: readonly string[] }[] {
  const edges = new Map<string, Set<string>>([own, ...refs.values()].map((ref) => [ref, new Set<string>()]));
  const refOf = (path: string) => refs.get(lockPath(packageFolderOf(path) ?? '')) ?? own;
  for (const [path, { imports }] of Object.entries(metafile.inputs))
    for (const imported of imports) {
      if (imported.external === true) continue;
      const [from, to] = [refOf(path), refOf(imported.path)];
      if (from !== to && to !== own) edges.get(from)?.add(to);
    }
  for (const { name, loadedBy } of native) {
    const to = refs.get(`node_modules/${name}`);
    if (to !== undefined) edges.get(refs.get(`node_modules/${loadedBy}`) ?? own)?.add(to);
  }
  return [...edges].map(([ref, to]) => ({ ref, dependsOn: [...to].toSorted() }));
}

/** The image first, then Node with what it was built with. */
function baseComponents({ name, digest, distribution, packages, node }: BaseImage): readonly Component[] {
  const { node: release = '', ...builtWith } = node;
  const [repository = name, tag] = name.split(/:(?=[^/]*$)/);
  const container: Component = {
    type: 'container',
    'bom-ref': `image:${name}`,
    name: repository,
    ...(tag === undefined ? {} : { version: tag }),
    ...(digest === undefined
      ? {}
      : { hashes: [{ alg: 'SHA-256', content: digest.replace('sha256:', '') }] as const }),
    components: packages.map(({ name, version, architecture }) => {
      const purl = `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}&distro=${distribution}`;
      return { type: 'library', 'bom-ref': purl, name, version, purl };
    }),
  };
  const runtime: Component = {
    type: 'platform',
    'bom-ref': `pkg:generic/node@${release}`,
    name: 'node',
    version: release,
    purl: `pkg:generic/node@${release}`,
    cpe: `cpe:2.3:a:nodejs:node.js:${release}:*:*:*:*:*:*:*`,
    components: Object.entries(builtWith).map(([part, version]) => ({
      type: 'library',
      'bom-ref': `node/${part}@${version}`,
      name: part,
      version,
    })),
  };
  return [container, runtime];
}
