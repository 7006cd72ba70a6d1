import t from 'tap';
import { parse } from 'yaml';
import { archiveName, krewManifest, platformOf } from '../../../shared/release/krew.ts';
import { version } from '../../../shared/version.ts';

type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly version: string;
    readonly shortDescription: string;
    readonly platforms: readonly Record<string, unknown>[];
  };
};

const [a, b] = ['a', 'b'].map((digit) => digit.repeat(64));
const archives = [
  { os: 'linux', arch: 'amd64', sha256: a as string },
  { os: 'linux', arch: 'arm64', sha256: b as string },
];

// ValidatePlugin of https://github.com/kubernetes-sigs/krew/blob/master/internal/index/validation/validate.go. Krew 0.4.3 has installed the
// archive of `npm run cli:release` by its manifest, by hand: kubectl xidrill ran.
t.test('the manifest is what Krew takes', async (t) => {
  const { apiVersion, kind, metadata, spec } = parse(
    krewManifest('https://example.com/download/v1', archives),
  ) as Manifest;
  t.equal(apiVersion, 'krew.googlecontainertools.github.com/v1alpha2');
  t.equal(kind, 'Plugin');
  t.match(metadata.name, /^[\w-]+$/);
  t.equal(spec.version, `v${version}`);
  t.match(spec.version, /^v\d+\.\d+\.\d+(-[\w.]+)?$/, 'a semantic version with a v');
  t.match(spec.shortDescription, /^[^\r\n]{1,50}$/, 'one line, of the length that krew search shows');
  t.strictSame(
    spec.platforms,
    archives.map(({ arch, sha256 }) => ({
      selector: { matchLabels: { os: 'linux', arch } },
      uri: `https://example.com/download/v1/xidrill-linux-${arch}.tar.gz`,
      sha256,
      bin: 'xidrill',
    })),
  );
  t.equal(krewManifest('https://a/b/', archives), krewManifest('https://a/b', archives));
});

t.test('an archive is known by its name', async (t) => {
  for (const { os, arch } of archives) t.strictSame(platformOf(archiveName({ os, arch })), { os, arch });
  for (const other of [
    'xidrill',
    'xidrill.yaml',
    'xidrill-linux-amd64.tar.gz.sha256',
    'xidrill-linux.tar.gz',
  ])
    t.equal(platformOf(other), undefined, other);
});
