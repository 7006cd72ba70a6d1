import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const source = fileURLToPath(new URL('./libnvidia-ml.c', import.meta.url));

export type StubLibrary = {
  readonly path: string;
  readonly folder: string;
  /** Lines of `FUNCTION GPU ACTION`, as the stub's source describes; they replace those before. */
  fault(...lines: readonly string[]): void;
  /** Resolves when a native call has begun to hang. */
  hanging(): Promise<void>;
};

/** Why the stub cannot be built, or false: for tap's `skip`. */
export const noCompiler =
  compiler() === undefined ? 'no C compiler (cc, gcc) to build the stub library with' : false;

/** Gives the test a stub library with faults of its own, which children of this process know by the environment. */
export function buildStubLibrary(t: Test, ...flags: readonly string[]): StubLibrary {
  const path = compile(flags);
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-nvml-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const faults = join(folder, 'faults');
  process.env.NVML_STUB_FAULTS = faults;
  return {
    path,
    folder,
    fault: (...lines) => writeFileSync(faults, lines.map((line) => `${line}\n`).join('')),
    async hanging() {
      const mark = `${faults}.hanging`;
      const changes = watch(folder);
      while (!existsSync(mark)) await once(changes, 'change');
      changes.close();
      rmSync(mark);
    },
  };
}

const compiled = new Map<string, string>();

function compile(flags: readonly string[]): string {
  const known = compiled.get(flags.join(' '));
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-nvml-library-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'libnvidia-ml.so.1');
  const built = spawnSync(
    compiler() ?? 'cc',
    ['-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', ...flags, '-o', path, source],
    { encoding: 'utf8' },
  );
  if (built.status !== 0) throw new Error(`the stub library cannot be built: ${built.error ?? built.stderr}`);
  compiled.set(flags.join(' '), path);
  return path;
}

function compiler(): string | undefined {
  return ['cc', 'gcc'].find((name) => spawnSync(name, ['--version']).status === 0);
}
