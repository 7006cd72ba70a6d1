import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { root } from '../suite.ts';
import { type Lock, type LockEntry, type Manifest, review } from './lock.ts';
import { policy } from './reviewed.ts';

const read = (name: string) => readFileSync(join(root, name), 'utf8');
const lock = JSON.parse(read('package-lock.json')) as Lock;
const manifest = JSON.parse(read('package.json')) as Manifest;

t.test('the dependencies pass their review', async (t) => {
  t.ok(Object.keys(lock.packages).length > 500);
  t.strictSame(review(lock, manifest, policy), []);
});

t.test('what must not pass is named', async (t) => {
  const hash = `sha512-${'A'.repeat(86)}==`;
  const good: LockEntry = { version: '1.0.0', license: 'MIT', integrity: hash };
  const entry = (more: LockEntry) => ({ lock: { 'node_modules/a/node_modules/b': { ...good, ...more } } });
  const of = (path: string) => `node_modules/a/node_modules/b: ${path}`;
  const reviewed = { version: '1.0.0', on: '2026-01-02', why: 'a reason of some length' };
  const wants = (range: string) => ({
    manifest: { dependencies: { c: range } },
    lock: { '': { dependencies: { c: range } }, 'node_modules/c': good },
    policy: { reviews: { c: reviewed } },
  });
  const rows: readonly (readonly [
    { readonly lock?: Lock['packages']; readonly manifest?: Manifest; readonly policy?: object },
    readonly string[],
  ])[] = [
    [entry({}), []],
    [entry({ license: 'GPL-3.0-only' }), [of('GPL-3.0-only is not allowed in an image')]],
    [entry({ license: 'GPL-3.0-only OR MIT' }), []],
    [entry({ license: '(MIT AND Zlib)' }), [of('(MIT AND Zlib) is not allowed in an image')]],
    [
      entry({ license: 'Apache-2.0 WITH LLVM-exception' }),
      [of('Apache-2.0 WITH LLVM-exception is not allowed in an image')],
    ],
    [entry({ license: 'CC0-1.0', dev: true }), []],
    [entry({ license: 'CC0-1.0' }), [of('CC0-1.0 is not allowed in an image')]],
    [entry({ license: 'CC0-1.0', optional: true }), [of('CC0-1.0 is not allowed in an image')]],
    [
      { lock: { 'node_modules/b': { version: '1.0.0', integrity: hash } } },
      ['node_modules/b: names no licence'],
    ],
    [entry({ integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' }), [of('not pinned by a SHA-512 hash')]],
    [
      { lock: { 'node_modules/b': { version: '1.0.0', license: 'MIT' } } },
      ['node_modules/b: not pinned by a SHA-512 hash'],
    ],
    [
      {
        lock: {
          'node_modules/a': good,
          'node_modules/a/node_modules/b': { version: '1.0.0', license: 'MIT', inBundle: true },
        },
      },
      [],
    ],
    [
      entry({ resolved: 'https://mirror.example/b.tgz' }),
      [of('names where it came from, https://mirror.example/b.tgz')],
    ],
    [entry({ link: true }), [of('a link to a folder')]],
    [entry({ version: 'git+ssh://x' }), [of('git+ssh://x is no version')]],
    [entry({ dependencies: { c: 'github:owner/c' } }), [of('wants c from github:owner/c')]],
    [entry({ optionalDependencies: { c: 'owner/c' } }), [of('wants c from owner/c')]],
    [entry({ dependencies: { c: 'npm:@x/y@^1.0.0 || 2' } }), []],
    [entry({ deprecated: 'use d' }), [of('deprecated, use d')]],
    [
      entry({ hasInstallScript: true }),
      ['b: has an install script, and package.json neither allows nor denies it'],
    ],
    [{ ...entry({ hasInstallScript: true }), manifest: { allowScripts: { b: true } } }, []],
    [{ manifest: { allowScripts: { b: true } } }, ['allowScripts: b has no install script']],
    [wants('^1.0.0'), []],
    [wants('file:../c'), ['c: comes from file:../c']],
    [
      { ...wants('1.0.0'), manifest: { dependencies: { c: '2.0.0' } } },
      ['c: the lock file is of another package.json'],
    ],
    [
      { ...wants('1.0.0'), policy: { reviews: {} } },
      ['c: was never reviewed; add it to test/supply-chain/reviewed.ts'],
    ],
    [
      { ...wants('1.0.0'), policy: { reviews: { c: { ...reviewed, version: '0.9.0' } } } },
      ['c: reviewed at 0.9.0, and 1.0.0 is used'],
    ],
    [
      { ...wants('1.0.0'), policy: { reviews: { c: { ...reviewed, on: 'soon' } } } },
      ['c: its review says neither when nor why'],
    ],
    [{ policy: { reviews: { c: reviewed } } }, ['c: reviewed, and no dependency']],
    [
      { manifest: { overrides: { d: '1.0.0' } } },
      ['overrides: d has no reason here, or no longer an override'],
    ],
    [
      { policy: { overrides: { d: 'a reason of some length' } } },
      ['overrides: d has no reason here, or no longer an override'],
    ],
    [
      { policy: { read: { 'e@1.0.0': 'MIT' } } },
      ['e@1.0.0: its licence was read, and it is no longer there'],
    ],
  ];
  const none = { ...policy, reviews: {}, overrides: {}, read: {} };
  for (const [given, faults] of rows)
    t.strictSame(
      review({ lockfileVersion: 3, packages: given.lock ?? {} }, given.manifest ?? {}, {
        ...none,
        ...given.policy,
      }),
      faults,
      JSON.stringify(given),
    );
  t.match(review({ lockfileVersion: 1, packages: {} }, {}, none), [/lock file version 1/]);
});

t.test('L9 .npmrc switches nothing off, and each of its lines has a reason', async (t) => {
  const lines = read('.npmrc').trimEnd().split('\n');
  const settings = lines.filter((line) => !line.startsWith(';'));
  t.strictSame(settings, ['omit-lockfile-registry-resolved=true', 'omit=peer', 'strict-allow-scripts=true']);
  for (const [index, line] of lines.entries())
    if (settings.includes(line)) t.match(lines[index - 1], /^; .{40}/, `${line}: why stands above it`);
});
