import { cp, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { built, type Go, type GoModule, type Log } from '../controlplane/go-build.ts';

/** Versions of Karpenter's core whose repair is tested: the last that forces it, and the first that does not. */
export const karpenterVersions = ['1.14.3', '1.15.0'] as const;
export type KarpenterVersion = (typeof karpenterVersions)[number];

/** A Karpenter of one version, with the files of its definitions, for kubectl apply. */
export type KarpenterBuild = { readonly program: string; readonly definitions: readonly string[] };

const folder = import.meta.dirname;
const modulePath = 'sigs.k8s.io/karpenter';

/** As the module's checksum database has them: the copy that is built from is not checked by go.sum. */
const sums: Readonly<Record<KarpenterVersion, string>> = {
  '1.14.3': 'h1:xw68Jf6t+GiLOx/SfgRfXIZZ/nEierbSjTTl9q7zFa8=',
  '1.15.0': 'h1:5SEptlAvsOZbNg4qg8OSdF1qi6BEZHZLA020nXY7jGw=',
};

const definitionFiles = [
  'pkg/apis/crds/karpenter.sh_nodeclaims.yaml',
  'pkg/apis/crds/karpenter.sh_nodeoverlays.yaml',
  'pkg/apis/crds/karpenter.sh_nodepools.yaml',
  'kwok/apis/crds/karpenter.kwok.sh_kwoknodeclasses.yaml',
];

/** Where Karpenter of this version lies, after building it where it is missing. */
export async function karpenterOf(version: KarpenterVersion, log: Log): Promise<KarpenterBuild> {
  const dir = await built(moduleOf(version), ['karpenter'], log);
  return {
    program: join(dir, 'karpenter'),
    definitions: definitionFiles.map((file) => join(dir, basename(file))),
  };
}

function moduleOf(version: KarpenterVersion): GoModule {
  const own = join(folder, version);
  const files = [join(folder, 'main.go'), ...['core.go', 'go.mod', 'go.sum'].map((file) => join(own, file))];
  return {
    name: `karpenter-${version}`,
    folder: own,
    sources: [...files, import.meta.filename],
    packages: { karpenter: '.' },
    keeps: definitionFiles.map((file) => join('source', file)),
    async prepare(into, go) {
      for (const file of files) await cp(file, join(into, basename(file)));
      await copySource(version, { into: join(into, 'source'), from: into }, go);
    },
  };
}

/**
 * A copy of the module with two changes. Its go.mod asks for the newest patch of Go, and any of that minor version builds it.
 * And its servers listen on all interfaces, which no test may: they get the loopback address.
 */
async function copySource(
  version: KarpenterVersion,
  { into, from }: { readonly into: string; readonly from: string },
  go: Go,
): Promise<void> {
  // Go downloads it and then complains of the version that it asks for.
  const answer = await go(['mod', 'download', '-json', `${modulePath}@v${version}`], {
    in: from,
    mayFail: true,
  });
  const { Sum: sum, Error: fault } = JSON.parse(answer.join('\n')) as { Sum?: string; Error?: string };
  if (sum !== sums[version])
    throw new Error(
      `${modulePath} ${version} has checksum ${sum ?? 'none'}, not ${sums[version]}: ${fault ?? ''}`,
    );
  const [cache = ''] = await go(['env', 'GOMODCACHE'], { in: from });
  await cp(join(cache, `${modulePath}@v${version}`), into, { recursive: true, mode: 0 });
  await edit(join(into, 'go.mod'), /^go 1\.26\.\d+$/m, 'go 1.26.0', 1);
  await edit(join(into, 'pkg/operator/operator.go'), /Sprintf\(":%d"/g, 'Sprintf("127.0.0.1:%d"', 2);
}

async function edit(file: string, pattern: RegExp, by: string, times: number): Promise<void> {
  const text = await readFile(file, 'utf8');
  const found = text.match(pattern)?.length ?? 0;
  if (found !== times) throw new Error(`${file} has ${found} of ${pattern}, not ${times}`);
  await writeFile(file, text.replace(pattern, by));
}

const kwokFolder = join(import.meta.dirname, '..', 'kwok');

const kwokModule: GoModule = {
  name: 'kwok',
  folder: kwokFolder,
  sources: ['go.mod', 'go.sum', 'tools.go'].map((file) => join(kwokFolder, file)),
  packages: { kwok: 'sigs.k8s.io/kwok/cmd/kwok' },
};

/** Where kwok lies, which plays the kubelets, after building it where it is missing. */
export async function kwokProgram(log: Log): Promise<string> {
  return join(await built(kwokModule, ['kwok'], log), 'kwok');
}
