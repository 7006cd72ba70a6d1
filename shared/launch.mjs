/**
 * Runs one of our programs: `node shared/launch.mjs FILE.ts [arguments]`.
 *
 * Plain JavaScript, because it has to start on whatever Node the machine has (20 or newer) and before anything is
 * installed. It installs the locked dependencies when they are missing or stale, then runs the file on a Node that is
 * new enough (package.json, devEngines: 24.16): older ones lose the end of a pseudo terminal's output and cannot load
 * the Kubernetes client.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [file, ...rest] = process.argv.slice(2);
if (file === undefined) fail('usage: node shared/launch.mjs FILE.ts [arguments]');

install();
const target = resolve(root, file);
if (isNewEnough(process.versions.node)) {
  process.argv = [process.execPath, target, ...rest];
  await import(pathToFileURL(target).href);
} else {
  run(packagedNode(), [target, ...rest]);
}

/** Standard output stays clean: `npm run -s crds` is piped into kubectl. */
function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.xidrill-installed');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  process.stderr.write('xidrill: installing the locked dependencies (npm ci)\n');
  const done = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', process.stderr, process.stderr],
    env: { ...process.env, NODE_ENV: 'development' },
  });
  if (done.error !== undefined) fail(`npm could not be started: ${done.error.message}`);
  if (done.status !== 0) fail(`npm ci ended with ${done.status ?? done.signal}; its own lines above say why`);
  writeFileSync(stamp, lock);
}

/** The oldest Node that runs the programs, `24.16.0`. */
function leastNode() {
  const { devEngines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return devEngines.runtime.version.replace(/^>=/, '');
}

function isNewEnough(version) {
  const [left, right] = [version, leastNode()].map((text) => text.split('.').map(Number));
  const at = left.findIndex((part, index) => part !== right[index]);
  return at === -1 || left[at] > right[at];
}

function packagedNode() {
  const path = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (!existsSync(path)) {
    fail(
      `Node ${leastNode()} or newer is needed, this is ${process.versions.node}, and no packaged one fits ` +
        `${process.platform}-${process.arch}: install Node ${leastNode().split('.')[0]} and run this again`,
    );
  }
  return path;
}

function run(node, args) {
  const child = spawn(node, args, { stdio: 'inherit', cwd: process.cwd() });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (cause) => fail(`${node} could not be started: ${cause.message}`));
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 143)));
}

function fail(message) {
  process.stderr.write(`xidrill: ${message}\n`);
  process.exit(4);
}
