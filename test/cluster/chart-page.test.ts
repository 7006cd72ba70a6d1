import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { findHelm, type Helm } from '../charts/helm.ts';
import { commandsIn, page, partOf } from '../pages.ts';
import { controlPlaneBinaries } from './controlplane/build.ts';
import { assertNoToken, install } from './installation.ts';
import { root } from './processes.ts';

t.setTimeout(900_000);
const run = promisify(execFile);

/** The commands of one part of a page, each with what its output has to contain. */
const commandsOf = (path: string, heading: string) => commandsIn(partOf(page(path), heading));

const found = findHelm();
if ('because' in found) t.pass('', { skip: found.because });
else t.test('what stands in the pages works as it stands there', (t) => pages(t, found));

/** By a shell, from the repository's root. */
async function pages(t: Test, helm: Helm): Promise<void> {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-page-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { kubectl } = await controlPlaneBinaries({ log: () => undefined });

  /** helm and kubectl as a person has them in PATH. */
  function environment(kubeconfig: string, values: readonly string[]): NodeJS.ProcessEnv {
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    const program = (name: string, lines: readonly string[]) =>
      writeFileSync(join(bin, name), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
    const words = values.map((value) => `'${value}'`).join(' ');
    program('helm', [
      `if [ "$1" = install ]; then set -- "$@" ${words}; fi`,
      // No kubelet runs its pod here; test/node has some.
      'if [ "$1" = test ]; then exit 0; fi',
      `exec '${helm.path}' "$@"`,
    ]);
    program('kubectl', [
      // Pods serve on this machine's own address here.
      'case " $* " in *" port-forward "*) exit 0 ;; esac',
      `exec '${kubectl}' "$@"`,
    ]);
    return { ...process.env, PATH: `${bin}:${process.env.PATH}`, KUBECONFIG: kubeconfig, HOME: folder };
  }

  let env: NodeJS.ProcessEnv = {};
  const [first, ...next] = commandsOf('README.md', 'Install on EKS');
  const type = async (line: string) => {
    const command = line.replaceAll('REGISTRY', 'registry.example').replaceAll('NODE', 'drilled');
    return (await run('sh', ['-c', command], { cwd: root, env })).stdout;
  };
  const installed = await install(t, helm, {
    name: 'xidrill',
    namespace: 'xidrill',
    async by(kubeconfig, values) {
      env = environment(kubeconfig, values);
      const said = await type(first?.command ?? '');
      t.match(said, /The agents are DISARMED/, first?.command ?? '');
    },
  });
  const { ports, runAgent, runCoordinator } = installed;
  const leaving = next.findIndex(({ command }) => command.startsWith('helm uninstall'));
  t.ok(leaving > 1);

  for (const { command } of next.slice(0, leaving)) {
    await t.resolves(type(command), command);
  }
  const pods = [await runAgent(), await runCoordinator()];
  const called = [
    ...commandsOf('charts/xidrill/README.md', 'Who may do what'),
    ...commandsOf('README.md', 'A first drill on a cluster'),
  ];
  t.equal(called.filter(({ expected }) => expected !== undefined).length, 3);
  for (const { command, expected = '' } of called) {
    const here = command
      .replaceAll('127.0.0.1:8475', `127.0.0.1:${ports.coordinator}`)
      .replaceAll('127.0.0.1:9475', `127.0.0.1:${ports.agent}`)
      .replaceAll(/( |> )([a-z]+-ca\.crt)/g, `$1${folder}/$2`);
    const said = await type(here);
    // The rollout that follows from it.
    if (command.startsWith('helm upgrade')) {
      await pods.shift()?.kill();
      pods.unshift(await runAgent());
    }
    t.ok(said.includes(expected), `${command} → ${expected}`, { said });
  }
  for (const { command } of commandsOf('charts/xidrill/README.md', 'Upgrade'))
    await t.resolves(type(command), command);
  await Promise.all(pods.map((pod) => pod.kill()));
  assertNoToken(t, installed);

  const chartPage = page('charts/xidrill/README.md');
  const [start = '', end = ''] = [chartPage.split('\n## ')[0], chartPage.split('\n## Uninstall\n')[1]];
  for (const { command } of [
    ...next.slice(leaving),
    // Once more, by the other page.
    ...commandsIn(start),
    { command: 'helm uninstall xidrill --namespace xidrill' },
    ...commandsIn(end),
  ])
    await t.resolves(type(command), command);
  const left = await installed.kubectl(['get', 'crd', '-o', 'name']);
  t.notMatch(left, /xidrill/);
}
