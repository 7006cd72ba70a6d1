import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import t from 'tap';
import { installedPackages, readBaseImage } from '../../../shared/image/base-image.ts';
import { assembleTree, platforms } from '../../../shared/image/tree.ts';
import { root } from '../../suite.ts';

type Component = {
  readonly type: string;
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly components?: readonly Component[];
};
type Bill = {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
};

const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-bill-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** CycloneDX's own schemas, as its library brings them. */
const schemas = join(
  dirname(createRequire(import.meta.url).resolve('@cyclonedx/cyclonedx-library/package.json')),
  'res/schema',
);
const schema = (name: string) =>
  JSON.parse(readFileSync(join(schemas, `${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats.default(ajv);
// Two that ajv-formats does not know; what has them here is no address of ours.
for (const format of ['iri-reference', 'idn-email']) ajv.addFormat(format, true);
// By the names with which bom-1.6 refers to them.
for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs'])
  ajv.addSchema({ ...schema(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` });
const isBill = ajv.compile(schema('bom-1.6'));

/** An image of Debian, as much of it as is read. */
const base = join(folder, 'base');
const write = (path: string, text: string) => {
  mkdirSync(dirname(join(base, path)), { recursive: true });
  writeFileSync(join(base, path), text);
};
write('etc/os-release', 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="13"\n');
const status = [
  'Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-12+deb13u1\nDescription: library\n Package: not-one',
  'Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1',
  'Package: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 1:2026a-0',
  '',
].join('\n\n');
write('var/lib/dpkg/status', status);
const digest = `sha256:${'a'.repeat(64)}`;
const image = readBaseImage(`node:24.21.0-trixie-slim@${digest}`, { root: base, versions: process.versions });

async function billOf(program: string, platform: string, name: string): Promise<Bill> {
  const tree = await assembleTree({ program, folder: join(folder, name), platform, base: image });
  return JSON.parse(readFileSync(join(tree.folder, 'sbom.cdx.json'), 'utf8')) as Bill;
}
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, { readonly version: string; readonly integrity: string }>>;
};
const flat = (components: readonly Component[]): readonly Component[] =>
  components.flatMap((component) => [component, ...flat(component.components ?? [])]);

for (const program of ['agent', 'coordinator'])
  for (const platform of platforms)
    t.test(`${program} for ${platform}`, async (t) => {
      const name = `${program}-${platform.replace('/', '-')}`;
      const bill = await billOf(program, platform, name);
      t.ok(isBill(bill), JSON.stringify(isBill.errors?.slice(0, 3)));

      const refs = flat([bill.metadata.component, ...bill.components]).map(
        (component) => component['bom-ref'],
      );
      t.equal(new Set(refs).size, refs.length, 'each is there once');
      for (const { ref, dependsOn } of bill.dependencies)
        t.strictSame(
          [ref, ...dependsOn].filter((known) => !refs.includes(known)),
          [],
          ref,
        );
      // Whatever is in the bundle, somebody asked for.
      const reached = new Set([bill.metadata.component['bom-ref']]);
      for (const ref of reached)
        for (const next of bill.dependencies.find((each) => each.ref === ref)?.dependsOn ?? [])
          reached.add(next);
      const libraries = bill.components.filter(({ type }) => type === 'library');
      t.strictSame(
        libraries.map((each) => each['bom-ref']).filter((ref) => !reached.has(ref)),
        [],
      );

      // The same packages as in the notices, which are made of what is installed, and the compiled code besides.
      const notices = readFileSync(join(folder, name, 'THIRD-PARTY-NOTICES.txt'), 'utf8');
      const noticed = [...notices.matchAll(/^-{80}\n(\S+) (\S+), /gm)].map(
        ([, name, version]) => `${name} ${version}`,
      );
      const arch = platform === 'linux/amd64' ? 'x64' : 'arm64';
      const native = [`@lydell/node-pty-linux-${arch}`, `@yuuang/ffi-rs-linux-${arch}-gnu`].map(
        (name) => `${name} ${lock.packages[`node_modules/${name}`]?.version}`,
      );
      t.ok(noticed.length > 20, `${noticed.length} packages`);
      t.strictSame(
        libraries.map(({ name, version }) => `${name} ${version}`).toSorted(),
        [...new Set([...noticed, ...(program === 'agent' ? native : [])])].toSorted(),
      );
      const known = new Set(
        Object.values(lock.packages).map(({ integrity }) =>
          Buffer.from((integrity ?? '').replace('sha512-', ''), 'base64').toString('hex'),
        ),
      );
      for (const { name, hashes } of libraries)
        t.ok(
          hashes?.length === 1 && known.has(hashes[0]?.content ?? ''),
          `${name} has a hash of the lock file`,
        );
    });

t.test('the image below, and Node', async (t) => {
  const { components } = await billOf('coordinator', 'linux/amd64', 'below');
  const container = components.find(({ type }) => type === 'container');
  t.match(container, {
    name: 'node',
    version: '24.21.0-trixie-slim',
    hashes: [{ alg: 'SHA-256', content: 'a'.repeat(64) }],
  });
  t.strictSame(
    container?.components?.map((each) => each['bom-ref']),
    [
      'pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&distro=debian-13',
      'pkg:deb/debian/tzdata@1%3A2026a-0?arch=all&distro=debian-13',
    ],
  );
  const node = components.find(({ type }) => type === 'platform');
  t.match(node, { name: 'node', version: process.versions.node });
  const openssl = node?.components?.find(({ name }) => name === 'openssl');
  t.equal(openssl?.version, process.versions.openssl, 'with what it was built with');
});

t.test('the same tree gives the same document, and without an image says nothing of one', async (t) => {
  const [one, two] = [
    await billOf('coordinator', 'linux/amd64', 'one'),
    await billOf('coordinator', 'linux/amd64', 'two'),
  ];
  t.strictSame(one, two);
  const { folder: plain } = await assembleTree({
    program: 'coordinator',
    folder: join(folder, 'plain'),
    platform: 'linux/amd64',
  });
  const bill = JSON.parse(readFileSync(join(plain, 'sbom.cdx.json'), 'utf8')) as Bill;
  t.ok(isBill(bill));
  t.strictSame([...new Set(bill.components.map(({ type }) => type))], ['library']);
});

t.test('the schema would have said what is wrong', async (t) => {
  const bill = await billOf('coordinator', 'linux/amd64', 'wrong');
  for (const wrong of [
    { ...bill, specVersion: 1.6 },
    { ...bill, components: [{ name: 'x' }] },
    { ...bill, components: [{ type: 'library', name: 'x', licenses: [{ license: { id: 'No-Such' } }] }] },
    { ...bill, components: [{ type: 'library', name: 'x', hashes: [{ alg: 'SHA-512', content: 'zz' }] }] },
    { ...bill, components: [...bill.components, bill.components[0]] },
    { ...bill, unknown: true },
  ])
    t.notOk(isBill(wrong));
});

t.test('what is no image, or cannot be read, is refused', async (t) => {
  const versions = process.versions;
  for (const reference of ['', '@', `node@${digest}@${digest}`, 'node@sha256:12', 'node@latest'])
    t.throws(
      () => readBaseImage(reference, { root: base, versions }),
      { message: /^--base: ".*" is no image/ },
      reference,
    );
  t.throws(() => readBaseImage('node:24', { root: join(folder, 'nothing'), versions }), {
    message: /^--base: its packages cannot be read: ENOENT/,
  });
  t.strictSame(installedPackages(''), []);
});
