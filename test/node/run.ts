import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlPlaneBinaries, nodeBinaries } from '../cluster/controlplane/build.ts';
import { guarded } from '../cluster/controlplane/guard.ts';
import { add, type Counts, report } from '../suite.ts';
import { baseLayerFile } from './base.ts';
import { makeCgroup } from './cgroups.ts';
import { corednsProgram } from './coredns/build.ts';
import { kubeRouterProgram } from './kube-router/build.ts';
import { differences, readMachine, runVariable } from './machine.ts';
import { programImages } from './program-images.ts';
import { installPackages, whyNot } from './requirements.ts';

/**
 * `npm run test:node`: the chart's pods on real nodes. Installs and builds what is missing, then starts the cluster and its
 * tests in namespaces of their own (inside.ts), and compares what this machine was before and is afterwards.
 */
const started = performance.now();
const log = (line: string) =>
  process.stdout.write(`${Math.round((performance.now() - started) / 1000)} s: ${line}\n`);

const because = whyNot();
if (because === undefined) await test();
else {
  process.stdout.write(`skipped: no real node here: ${because}\n`);
  report({ passed: 0, failed: 0, skipped: 1 });
}

async function test(): Promise<void> {
  await installPackages(log);
  await controlPlaneBinaries({ log });
  const binaries = await nodeBinaries({ log });
  const kubeRouter = await kubeRouterProgram(log);
  const coredns = await corednsProgram(log);
  const baseLayer = await baseLayerFile(log);

  const id = `xidrill-node-${randomBytes(4).toString('hex')}`;
  const before = readMachine(id);
  const folder = mkdtempSync(join(realpathSync(tmpdir()), `${id}-`));
  const { guardian, gone } = guard(folder, id);
  makeCgroup(id);
  const images = await programImages(join(folder, 'images'), { baseLayer, coredns }, log);
  log('images are made');
  const result = join(folder, 'counts.json');
  const { code, signal } = await inside(id, { folder, id, images, binaries, kubeRouter, result });
  let counts: Counts = existsSync(result)
    ? (JSON.parse(readFileSync(result, 'utf8')) as Counts)
    : { passed: 0, failed: 0, skipped: 0 };
  if (counts.failed === 0 && code !== 0) {
    process.stdout.write(`FAILED  the tests on real nodes ended with ${signal ?? code}\n`);
    counts = add(counts, { passed: 0, failed: 1, skipped: 0 });
  }

  guardian.stdin?.end();
  await gone;
  const left = differences(before, readMachine(id));
  for (const line of left.slice(0, 50)) process.stdout.write(`left on this machine: ${line}\n`);
  counts = add(counts, { passed: left.length === 0 ? 1 : 0, failed: left.length === 0 ? 0 : 1, skipped: 0 });
  log(left.length === 0 ? 'this machine is as it was' : 'this machine is not as it was');
  report(counts);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}

/** Removes the run's folder and cgroups when this process has ended, or its standard input has. */
function guard(folder: string, id: string) {
  const script = join(import.meta.dirname, 'guardian.sh');
  const guardian = spawn('sh', [script, folder, id], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  });
  const gone = new Promise<void>((resolve) => guardian.once('exit', () => resolve()));
  return { guardian, gone };
}

/** Runs inside.ts as what ends with this process, and everything that it started with it. */
function inside(
  run: string,
  given: Readonly<Record<'folder' | 'id' | 'images' | 'binaries' | 'kubeRouter' | 'result', string>>,
): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }> {
  const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'];
  // A shell as the first process of the namespace: it buries what others leave behind.
  const shell = ['sh', '-c', '"$@"; exit $?', 'sh', process.execPath, join(import.meta.dirname, 'inside.ts')];
  const [program, args] = guarded('unshare', [
    ...namespaces,
    ...shell,
    JSON.stringify(given),
    ...process.argv.slice(2),
  ]);
  const child: ChildProcess = spawn(program, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    // What is left in a temporary folder goes with the run's.
    env: { ...process.env, [runVariable]: run, TMPDIR: given.folder },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}
