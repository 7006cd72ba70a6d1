import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { SuiteReport } from '../../coordinator/report/model.ts';
import { bundleCli } from '../../shared/cli-bundle.ts';
import { findHelm, type Helm } from '../charts/helm.ts';
import { release } from '../charts/render.ts';
import { kubeconfig } from './controlplane/start.ts';
import { install } from './installation.ts';

t.setTimeout(600_000);
const found = findHelm();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

/** Without the options that tap gives to every Node below it. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _tap, ...env } = process.env;
  return env;
}

async function stories(helm: Helm): Promise<void> {
  const { plane, kubectl, node, runAgent, runCoordinator, startNma } = await install(t, helm, [
    '--set=agent.armed=true',
  ]);
  const { namespace } = release;
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const { file: program } = await bundleCli(join(folder, 'xidrill.mjs'));

  /** The bundled command line as an account that is bound to a role of the chart, or to none. */
  async function as(account: string) {
    const token = (await kubectl(['-n', namespace, 'create', 'token', account])).trim();
    const file = join(folder, `${account}.kubeconfig`);
    writeFileSync(file, kubeconfig(plane.url, readFileSync(plane.caFile), token));
    return (...argv: readonly string[]) =>
      new Promise<{ readonly code: number; readonly out: string; readonly err: string }>((resolve) => {
        const words = [program, ...argv, '--kubeconfig', file, '-n', namespace];
        execFile(process.execPath, words, { env: environment() }, (thrown, out, err) =>
          resolve({ code: Number(thrown?.code ?? 0), out, err }),
        );
      });
  }

  t.test('a drill by the command line, with the rights of the operator role and without REST', async (t) => {
    await kubectl(['label', 'node', node, 'xidrill.dev/drill=allowed']);
    await runAgent();
    await runCoordinator();
    await startNma();
    const operator = await as('operator');

    const passed = await operator('drill', 'task-blocked', '--node', node, '--name', 'by-cli', '--wait');
    t.equal(passed.code, 0, passed.out + passed.err);
    t.match(passed.out, /drilled: reached ✓ order[\s\S]*drilled: reached ✓ detection[\s\S]*✓ pass: /);
    t.match(await operator('list'), { code: 0, out: /by-cli +Completed +pass +task-blocked +1 / });
    t.match(await operator('show', 'by-cli', '-o', 'json'), { code: 0, out: /"verdict": "pass"/ });

    const dry = await operator('drill', 'task-blocked', '--node', node, '--dry-run');
    t.match(dry, {
      code: 0,
      out: /# which nodes it would take you may not see\n[\s\S]*# not read: kubectl auth can-i list nodes/,
    });

    // The switch is a ConfigMap, which the role covers by its name alone, where there is none yet as well.
    t.match(await operator('killswitch', 'engage', '--reason', 'try'), {
      code: 0,
      out: /^✗ engaged .*: try/,
    });
    t.match(await operator('drill', 'task-blocked', '--node', node, '--wait'), { code: 4, out: /try/ });
    t.match(await operator('killswitch', 'release'), { code: 0, out: /^✓ released/ });
    t.match(await operator('killswitch'), { code: 0, out: /^✓ released .*\(by field manager xidrill\)/ });
    await t.rejects(
      kubectl([
        ...[
          '-n',
          namespace,
          'create',
          'configmap',
          'another',
          `--as=system:serviceaccount:${namespace}:operator`,
        ],
      ]),
      /cannot create resource "configmaps"/,
      'no other ConfigMap',
    );

    const created = await operator('drill', 'task-blocked', '--none', '5m', '--node', node, '--name', 'long');
    t.match(created, { code: 0, out: /long was created/ });
    t.match(await operator('abort', 'long'), { code: 0, out: /long is being aborted/ });
    t.match(await operator('watch', 'long'), { code: 4, out: /– aborted: / });
  });

  t.test(
    'a suite that is killed while it waits goes on, with the same rights, and injects nothing twice',
    async (t) => {
      const operator = await as('operator');
      const suite = join(folder, 'suite.yaml');
      const report = join(folder, 'report.json');
      writeFileSync(
        suite,
        `name: nightly\ndrills:\n  - {name: path, fault: {name: task-blocked}, target: {selector: {names: [${node}]}}}\n`,
      );
      const words = ['run', suite, '--run', 'build-7', '--report', `json=${report}`];
      const killed = spawn(
        process.execPath,
        [program, ...words, '--kubeconfig', join(folder, 'operator.kubeconfig'), '-n', namespace],
        { env: environment(), stdio: ['ignore', 'ignore', 'pipe'] },
      );
      let seen = '';
      killed.stderr.on('data', (chunk) => {
        seen += String(chunk);
        // Its first state was read, so that it has been created.
        if (seen.includes('path: nightly-path-')) killed.kill('SIGKILL');
      });
      const [, signal] = (await once(killed, 'close')) as [number | null, string | null];
      t.equal(signal, 'SIGKILL', seen);

      const again = await operator(...words);
      t.equal(again.code, 0, again.out + again.err);
      t.match(again.out, /✓ path +pass[\s\S]*1 of 1 drills passed\./);
      const written = JSON.parse(readFileSync(report, 'utf8')) as SuiteReport;
      const [drill] = written.drills;
      t.equal(drill?.report?.nodes[0]?.receipts.length, 1, 'one order');
      const { out } = await operator('list', '-o', 'name');
      t.equal(out.split('\n').filter((line) => line.includes('/nightly-path-')).length, 1, 'one experiment');
      t.match(await operator('show', drill?.experiment ?? '', '-o', 'junit'), {
        code: 0,
        out: /failures="0" errors="0"/,
      });
      t.match(await operator('coverage'), {
        code: 0,
        out: /✓ proven +task-blocked +no pool/,
        err: /kubectl auth can-i list nodes/,
      });
    },
  );

  t.test('who may not is told which right is missing', async (t) => {
    const guest = await as('guest');
    const refused = await guest('drill', 'task-blocked', '--node', node);
    t.equal(refused.code, 4);
    t.match(refused.err, /drill: create experiments .*: HTTP 403, .*cannot create resource "experiments"/);
    t.match(await guest('killswitch', 'engage'), {
      code: 4,
      err: /kubectl auth can-i patch configmaps\/xidrill-killswitch -n /,
    });
    t.match(await guest('list'), { code: 4, err: /cannot list resource "experiments"/ });
    t.match(await guest('doctor'), { code: 3, out: /kubectl auth can-i list nodes --all-namespaces/ });
  });
}
