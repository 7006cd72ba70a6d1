import { execFile } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { serveNodes } from '../../coordinator/rehearsal/accounts.ts';
import { cliFlags } from '../../shared/cli-bundle.ts';
import { commandsIn, page, partOf } from '../pages.ts';
import { root } from '../suite.ts';
import { startServe } from './served.ts';

const run = promisify(execFile);

const readme = page('README.md');
/**
 * The commands that a reader runs on `npm run serve`, and those of kubectl for a first drill. Those of an installation and with a
 * token run on a real API server: test/node/install.test.ts.
 */
const examples = [
  ...commandsIn(readme).filter(
    ({ command }) =>
      /127\.0\.0\.1|serve\.kubeconfig|cli -- why|^xidrill /.test(command) &&
      !command.includes('create token'),
  ),
  ...commandsIn(partOf(readme, 'A first drill on a cluster')).filter(({ command }) =>
    /^kubectl (apply|-n xidrill (get|wait))/.test(command),
  ),
];
t.ok(examples.length >= 15, 'the README has examples');
t.same(
  examples.filter(
    ({ command, expected }) => expected === undefined && /^curl (?!.* > [\w.]+$)/.test(command),
  ),
  [],
  'every example of curl that prints something says what to expect',
);

const served = await startServe(t, ['--speed', '60']);
const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-readme-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const missing = new Map<string, string | false>();
for (const program of ['curl', 'jq', 'kubectl']) {
  const found = await run(program, program === 'kubectl' ? ['version', '--client'] : ['--version']).then(
    () => false as const,
    () => `${program} is not installed on this machine`,
  );
  missing.set(program, found);
}

// The command line by its name, as the bundle has it once it is on PATH.
writeFileSync(
  join(folder, 'xidrill'),
  `#!/bin/sh\nexec "${process.execPath}" ${cliFlags.join(' ')} "${join(root, 'coordinator/cli/main.ts')}" "$@"\n`,
  { mode: 0o755 },
);
const env = { ...process.env, KUBECONFIG: served.kubeconfig, PATH: `${folder}:${process.env.PATH}` };
/** The addresses of the page, and those of this process. */
const places = [
  ['127.0.0.1:8475', served.rest],
  ['127.0.0.1:8474', served.control],
  ['127.0.0.1:9475', served.agents[serveNodes.gpu.name] ?? ''],
] as const;

for (const round of ['first', 'second'] as const) {
  await t.test(`N12: the README, line by line, the ${round} time on one serve`, async (t) => {
    for (const { command, expected = '' } of examples) {
      const skip = [...missing].find(([program, why]) => why !== false && command.includes(program))?.[1];
      if (skip) {
        t.pass(command, { skip });
        continue;
      }
      const here = places.reduce(
        (text, [shown, url]) => text.replaceAll(shown, url.slice('http://'.length)),
        command.replaceAll('NODE', serveNodes.gpu.name).replaceAll('npm run', `npm --prefix ${root} run`),
      );
      // Exit codes: a broken link was found, or the text does not decide it.
      const { stdout } = await run('sh', ['-c', here], { cwd: folder, env }).catch((thrown) => {
        if (/(?:cli --|^xidrill) (why|doctor)/.test(command) && [1, 3].includes(thrown.code))
          return thrown as { stdout: string };
        throw thrown;
      });
      t.ok(stdout.includes(expected), `${command.slice(0, 100)} → ${expected}`, {
        answered: stdout.slice(0, 600),
      });
    }
  });
}
