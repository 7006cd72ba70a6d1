import { execFile } from 'node:child_process';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { bundledPackages, root } from '../bundle.ts';
import { messageFromUnknown, Refusal, rpcCodes } from '../errors.ts';
import { noticesOf } from '../image/notices.ts';
import { ownPlatform } from '../image/tree.ts';
import { buildExecutable } from './executable.ts';
import { type Archive, archiveName, krewManifest, platformOf, pluginName, sha256Of } from './krew.ts';

const usage = 'npm run -s cli:release -- [--uri ADDRESS] [DIR]';

/**
 * `npm run cli:release`: the executable of this machine's platform and its archive, in a folder that git ignores. With the address at
 * which the archives will be, Krew's manifest of all of them in that folder, also those that other machines made.
 */
try {
  const { folder, uri } = readArguments(process.argv.slice(2));
  await mkdir(folder, { recursive: true });
  const contents = [pluginName, 'LICENSE', 'THIRD-PARTY-NOTICES.txt'] as const;
  const metafile = await buildExecutable(join(folder, pluginName));
  await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  const notices = noticesOf([...bundledPackages(metafile), `node_modules/node-linux-${process.arch}`]);
  await writeFile(join(folder, 'THIRD-PARTY-NOTICES.txt'), notices);
  const [os = '', arch = ''] = ownPlatform?.split('/') ?? [];
  // The same files give the same bytes.
  const plain = ['--owner=0', '--group=0', '--numeric-owner', '--mtime=@0', '--format=ustar'];
  const archive = join(folder, archiveName({ os, arch }));
  await promisify(execFile)('tar', ['-czf', archive, ...plain, '-C', folder, ...contents]);
  process.stdout.write(`${join(folder, pluginName)}\n${archive}\n`);
  if (uri !== undefined) {
    const manifest = join(folder, `${pluginName}.yaml`);
    await writeFile(manifest, krewManifest(uri, await archivesIn(folder)));
    process.stdout.write(`${manifest}\n`);
  }
} catch (thrown) {
  if (!(thrown instanceof Refusal)) throw thrown;
  process.stderr.write(`cli:release: ${thrown.message}\n  ${thrown.details.remedy ?? ''}\n`);
  process.exitCode = rpcCodes[thrown.code].exit;
}

async function archivesIn(folder: string): Promise<readonly Archive[]> {
  const found = (await readdir(folder)).toSorted().flatMap((file) => {
    const platform = platformOf(file);
    return platform === undefined ? [] : [{ ...platform, file }];
  });
  return Promise.all(
    found.map(async ({ os, arch, file }) => ({ os, arch, sha256: await sha256Of(join(folder, file)) })),
  );
}

function readArguments(argv: readonly string[]): {
  readonly folder: string;
  readonly uri?: string | undefined;
} {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { uri: { type: 'string' } },
    });
    if (positionals.length > 1) throw new Error(`wanted one folder, not ${positionals.length} words`);
    return { folder: resolve(positionals[0] ?? 'dist'), uri: values.uri };
  } catch (thrown) {
    throw new Refusal('malformed_request', messageFromUnknown(thrown), { field: 'arguments', remedy: usage });
  }
}
