import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { stringify } from 'yaml';
import { version } from '../version.ts';

/** How kubectl and Krew call it; by its name Krew links the executable as `kubectl-xidrill`. */
export const pluginName = 'xidrill';

/** The executable of one platform in an archive. */
export type Archive = {
  /** As Go names them: `linux`. */
  readonly os: string;
  /** As Go names them: `amd64`, `arm64`. */
  readonly arch: string;
  /** Of the archive, 64 hexadecimal digits. */
  readonly sha256: string;
};

/** The name of an archive, for a file and at the end of its address. */
export function archiveName({ os, arch }: Pick<Archive, 'os' | 'arch'>): string {
  return `${pluginName}-${os}-${arch}.tar.gz`;
}

/** The platform of an archive by its file name; undefined for any other file. */
export function platformOf(file: string): Pick<Archive, 'os' | 'arch'> | undefined {
  const [, os, arch] = /^xidrill-([a-z0-9]+)-([a-z0-9]+)\.tar\.gz$/.exec(file) ?? [];
  return os === undefined || arch === undefined ? undefined : { os, arch };
}

/** SHA-256 of a file, in hexadecimal. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/**
 * The plugin's manifest for Krew (https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/) as YAML. `base` is the address
 * below which the archives can be fetched, such as that of a release.
 */
export function krewManifest(base: string, archives: readonly Archive[]): string {
  const folder = base.endsWith('/') ? base : `${base}/`;
  const manifest = {
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: pluginName },
    spec: {
      version: `v${version}`,
      shortDescription: 'Says why a GPU fault is not detected or repaired',
      description:
        'Looks at every GPU node of an EKS cluster: is a fault detected, and is the node repaired? Explains what somebody injected\n' +
        'by hand and why nothing happened. Injects GPU faults and shows link by link what follows, where Xidrill is installed.\n',
      caveats: 'doctor and why need nothing in the cluster:\n  kubectl xidrill doctor\n',
      platforms: archives.map((archive) => ({
        selector: { matchLabels: { os: archive.os, arch: archive.arch } },
        uri: `${folder}${archiveName(archive)}`,
        sha256: archive.sha256,
        bin: pluginName,
      })),
    },
  };
  return stringify(manifest, { lineWidth: 0 });
}
