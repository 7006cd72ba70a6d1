import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, 'node_modules', '.bin');

export type Counts = { readonly passed: number; readonly failed: number; readonly skipped: number };

/** Runs one of our development tools; resolves to its exit code. */
export function tool(name: string, args: readonly string[]): Promise<number> {
  const child = spawn(join(bin, name), args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: environment(),
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/** tap starts test files with `node` from PATH: it has to be the one that runs this. */
function environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`,
    ...more,
  };
}

/**
 * Runs test files under tap and counts assertions. A line for each file as it ends, and at the end what failed, with
 * its diagnosis: tap's own reporters draw on the screen even where there is none.
 */
export async function runTap(files: readonly string[], options: readonly string[]): Promise<Counts> {
  await buildTap();
  const child = spawn(join(bin, 'tap'), ['run', '--reporter=tap', ...options, ...files], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment({ NO_COLOR: '1' }),
  });
  return countedRun(child, (line) => {
    if (/^(not )?ok \d+ - test\//.test(line)) process.stdout.write(`${line.replace(' {', '')}\n`);
    if (/^\s*# measured: /.test(line)) process.stdout.write(`${line.trim()}\n`);
  });
}

/**
 * Runs one test file as the program that it is, without tap's runner: beside a run of tap in the same tree, since two of
 * those share their `.tap` folder. Counts as {@link runTap} does.
 */
export async function runAlone(file: string): Promise<Counts> {
  await buildTap();
  const began = Date.now();
  const child = spawn(process.execPath, [file], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment({ NO_COLOR: '1' }),
  });
  const counts = await countedRun(child, () => undefined);
  process.stdout.write(`${counts.failed > 0 ? 'not ok' : 'ok'} - ${file} # time=${Date.now() - began}ms\n`);
  return counts;
}

/**
 * Reads what a child says in TAP until it ends; `onLine` gets each line as it comes. What tap can no longer report there, such
 * as a subtest of a test that has ended, it only prints on standard error, and its exit code stays 0 (@tapjs/core 4.6.0, base.js,
 * `threw`): each of those counts as failed.
 */
async function countedRun(
  child: ChildProcessByStdio<null, Readable, Readable>,
  onLine: (line: string) => void,
): Promise<Counts> {
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
  let late = 0;
  createInterface(child.stderr).on('line', (line) => {
    if (line === beginsDiagnosis) late += 1;
    process.stderr.write(`${line}\n`);
  });
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(line);
    onLine(line);
  }
  const code = await ended;
  const counted = countTap(lines);
  const counts = { ...counted, failed: counted.failed + late };
  if (late > 0)
    process.stdout.write(`FAILED  ${late} times something came after the test that it was of had ended\n`);
  if (counts.failed > 0 || code !== 0) process.stdout.write(`${failuresIn(lines).join('\n')}\n`);
  // Without a failed assertion a bad exit is tap's own word: thresholds, a crash, or nothing that ran.
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** How what tap prints of an error begins. */
const beginsDiagnosis = '  ---';

/**
 * With a plugin switched off, the first run in a fresh checkout would still use the old set (tap 21). The stamp lies in
 * what is built, so that a new installation is built again, and nothing else: two builds at once break each other.
 */
function buildTap(): Promise<void> {
  built ??= buildTapNow();
  return built;
}

let built: Promise<void> | undefined;

async function buildTapNow(): Promise<void> {
  const stamp = join(root, 'node_modules', '@tapjs', 'test', 'test-built', '.xidrill-built');
  const wanted = readFileSync(join(root, '.taprc'), 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  if ((await tool('tap', ['build'])) !== 0) throw new Error('tap build failed; its own lines above say why');
  writeFileSync(stamp, wanted);
}

const result = /^\s*(not )?ok \d+(.*)$/;

/** Assertions, not files or groups: those say how long they took. */
function countTap(lines: readonly string[]): Counts {
  let passed = 0;
  let failed = 0;
  const skips: string[] = [];
  for (const line of lines) {
    const match = result.exec(line);
    const skip = /# SKIP\s*(.*)$/i.exec(match?.[2] ?? '')?.[1];
    if (match === null || (skip === undefined && line.includes(' # time='))) continue;
    if (skip !== undefined) skips.push(skip === '' ? 'without a reason' : skip);
    else if (match[1] === undefined) passed += 1;
    else failed += 1;
  }
  for (const reason of new Set(skips)) process.stdout.write(`skipped: ${reason}\n`);
  return { passed, failed, skipped: skips.length };
}

/** Failed results with the lines that explain them, and what tap says at the very end (coverage, time-outs). */
function failuresIn(lines: readonly string[]): readonly string[] {
  const told: string[] = [];
  let isFailure = false;
  for (const line of lines) {
    const match = result.exec(line);
    if (match !== null) isFailure = match[1] !== undefined && !/# (TODO|SKIP)/i.test(line);
    else if (/^\s*(# Subtest|\d+\.\.\d+)/.test(line)) isFailure = false;
    if (isFailure) told.push(line);
  }
  const coverage = lines.filter((line) => /^All files|^ERROR: Coverage/.test(line));
  return [...told.slice(0, 400), ...coverage, ...lines.slice(-15)];
}

export function add(left: Counts, right: Counts): Counts {
  return {
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
  };
}

/** Whether everything that a skip can be for is here: root, the kernel log and a C compiler. */
export function couldRunAll(): boolean {
  const isRoot = process.getuid?.() === 0;
  const hasKernelLog = existsSync('/dev/kmsg') && statSync('/dev/kmsg').isCharacterDevice();
  const hasCompiler = ['/usr/bin/cc', '/usr/bin/gcc'].some((path) => existsSync(path));
  // The npm package that brings helm has it for this one only.
  const hasHelm = process.arch === 'x64' || process.env.HELM !== undefined;
  return isRoot && hasKernelLog && hasCompiler && hasHelm;
}

/** The line that CI counts by. */
export function report(counts: Counts): void {
  process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
}
