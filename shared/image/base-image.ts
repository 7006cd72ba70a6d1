import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageFromUnknown, Refusal } from '../errors.ts';

/** A package of the distribution. */
export type SystemPackage = {
  readonly name: string;
  readonly version: string;
  /** Debian's word: amd64, arm64, all. */
  readonly architecture: string;
};

/** The image that a program's tree is put on. */
export type BaseImage = {
  /** As a Dockerfile names it, without a digest: `node:24.21.0-trixie-slim`. */
  readonly name: string;
  /** `sha256:…`, where exactly one image was asked for. */
  readonly digest: string | undefined;
  /** Of the distribution, such as `debian-13`. */
  readonly distribution: string;
  readonly packages: readonly SystemPackage[];
  /** The Node in it and what that was built with, by name, as process.versions has them. */
  readonly node: Readonly<Record<string, string>>;
};

/**
 * Reads what is in the image that this process runs in: the build stage and the final stage begin with the same one, and
 * nothing is installed in either. `root` is where its files are, `/` in a build.
 */
export function readBaseImage(
  reference: string,
  deps: { readonly root: string; readonly versions: NodeJS.ProcessVersions },
): BaseImage {
  const [name = '', digest, ...more] = reference.split('@');
  if (name === '' || more.length > 0 || (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest)))
    throw refused(`"${reference}" is no image`, reference);
  const read = (path: string) => {
    try {
      return readFileSync(join(deps.root, path), 'utf8');
    } catch (thrown) {
      throw refused(`its packages cannot be read: ${messageFromUnknown(thrown)}`, reference);
    }
  };
  const release = fieldsOf(read('etc/os-release'), '=');
  const { node, modules: _modules, napi: _napi, ...builtWith } = deps.versions;
  return {
    name,
    digest,
    distribution: `${release.ID ?? 'linux'}-${release.VERSION_ID ?? 'unknown'}`,
    packages: installedPackages(read('var/lib/dpkg/status')),
    node: { node, ...(builtWith as Record<string, string>) },
  };
}

const refused = (because: string, value: string) =>
  new Refusal('malformed_request', `--base: ${because}`, {
    field: '--base',
    value,
    allowed: 'IMAGE or IMAGE@sha256:…, within that image, one of Debian',
    remedy: 'leave --base out where the tree is assembled outside of its image',
  });

/** The packages that dpkg has installed, from its status file (dpkg-query(1)). */
export function installedPackages(status: string): readonly SystemPackage[] {
  return status.split(/\n\n+/).flatMap((paragraph) => {
    const { Package, Version, Architecture, Status = '' } = fieldsOf(paragraph, ': ');
    if (Package === undefined || Version === undefined || !Status.endsWith(' installed')) return [];
    return [{ name: Package, version: Version, architecture: Architecture ?? 'all' }];
  });
}

/** Lines of `key` and value; continued lines, which begin with a space, are left out. */
function fieldsOf(text: string, separator: string): Partial<Record<string, string>> {
  return Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf(separator);
      if (at <= 0 || line.startsWith(' ')) return [];
      return [[line.slice(0, at), line.slice(at + separator.length).replace(/^"(.*)"$/, '$1')]];
    }),
  );
}
