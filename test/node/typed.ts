import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { findHelm } from '../charts/helm.ts';
import { root } from '../suite.ts';
import { type Attached, imageValues } from './attached.ts';

const run = promisify(execFile);

/** A shell in a folder with the charts, in which somebody types what stands in a page. */
export function createShell(attached: Attached, values: readonly string[]) {
  const helm = findHelm();
  if ('because' in helm) throw new Error(helm.because);
  const folder = mkdtempSync(join(tmpdir(), 'typed-'));
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(join(root, 'charts'), join(folder, 'charts'));
  const program = (name: string, lines: readonly string[]) =>
    writeFileSync(join(bin, name), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  const words = [...imageValues, ...values].map((value) => `'${value}'`).join(' ');
  program('helm', [`if [ "$1" = install ]; then set -- "$@" ${words}; fi`, `exec '${helm.path}' "$@"`]);
  program('kubectl', [
    'case " $* " in *" port-forward "*)',
    // In the background, as the page has it, and there when the next line is typed.
    '  for port in "$@"; do :; done',
    `  if [ -e '${folder}'/forward-$port ]; then kill "$(cat '${folder}'/forward-$port)" 2> /dev/null; fi`,
    `  '${attached.program}' "$@" > '${folder}'/log-$port 2>&1 < /dev/null &`,
    `  echo $! > '${folder}'/forward-$port`,
    '  tries=0',
    `  until grep -q Forwarding '${folder}'/log-$port; do`,
    '    tries=$((tries + 1))',
    `    if [ $tries -gt 300 ]; then cat '${folder}'/log-$port >&2; exit 1; fi`,
    '    sleep 0.1',
    '  done',
    '  exit 0 ;;',
    'esac',
    `exec '${attached.program}' "$@"`,
  ]);
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    KUBECONFIG: attached.kubeconfig,
    KUBECTL_KUBERC: 'false',
    HOME: folder,
  };
  return {
    /** Types one line; answers with its standard output when it has succeeded. */
    async type(line: string, names: Readonly<Record<'NODE' | 'AGENT', string>>): Promise<string> {
      const command = line
        .replaceAll('REGISTRY', 'registry.example')
        .replaceAll(/\b(NODE|AGENT)\b/g, (name) => names[name as 'NODE'])
        .replace(/ &$/, '');
      return (await run('sh', ['-c', command], { cwd: folder, env })).stdout;
    },
    /** Ends what goes on in the background. */
    close: () =>
      run('sh', ['-c', `for pid in '${folder}'/forward-*; do kill "$(cat "$pid")" || true; done`]).catch(
        () => undefined,
      ),
  };
}
