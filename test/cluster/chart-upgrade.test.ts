import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { ExperimentAnswer } from '../../coordinator/routes/answers.ts';
import { injectionName } from '../../coordinator/store/store.ts';
import { chart, findHelm, type Helm } from '../charts/helm.ts';
import { at, release } from '../charts/render.ts';
import { assertNoToken, install } from './installation.ts';
import { until } from './processes.ts';
import { recordsWith } from './rig.ts';

t.setTimeout(900_000);
const { name: releaseName, namespace } = release;
const found = findHelm();
if ('because' in found) t.pass('', { skip: found.because });
else await upgrades(found);

/** This chart as it was before it had the coordinator's Lease, which a coordinator made itself then. */
function olderChart(): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-older-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(chart, folder, { recursive: true });
  rmSync(join(folder, 'templates/coordinator-lease.yaml'));
  const rights = join(folder, 'files/rights.yaml');
  const create = {
    who: 'coordinator',
    scope: 'release',
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['create'],
    why: 'then',
  };
  writeFileSync(rights, `${readFileSync(rights, 'utf8')}- ${JSON.stringify(create)}\n`);
  return folder;
}

async function upgrades(helm: Helm): Promise<void> {
  // Nor did it ask for client certificates.
  const older = ['--set=tls.mutual=false', '--set=agent.armed=true'];
  const installed = await install(t, helm, { from: olderChart(), values: older });
  const { kubectl, read, runHelm, node, send, runAgent, runCoordinator, startNma } = installed;
  await kubectl(['label', 'node', node, 'xidrill.dev/drill=allowed']);

  t.test('a drill that runs goes on through helm upgrades that replace both programs', async (t) => {
    const nma = await startNma();
    let agent = await runAgent();
    let coordinator = await runCoordinator();
    // It sees the record only when both upgrades are over.
    process.kill(nma.pid, 'SIGSTOP');
    const name = 'upgraded';
    const body = { name, fault: { name: 'task-blocked' }, expectation: { within: '3m' } };
    t.equal((await send('coordinator', 'experiments', { body })).status, 202);
    const answer = async (prefer = 'wait=0') =>
      JSON.parse((await send('coordinator', `experiments/${name}`, { prefer })).text) as ExperimentAnswer;
    const phase = async () => (await answer()).injections[0]?.phase;
    await until('the order is carried out', async () => (await phase()) === 'Verifying');
    const leased = await read('-n', namespace, 'lease', 'xidrill-coordinator');
    t.notOk(at(leased, 'metadata.annotations'), 'made by the coordinator itself');
    const kept = async () => {
      const own = ['secret', '-l', `app.kubernetes.io/instance=${releaseName}`];
      const secrets = await read('-n', namespace, ...own);
      const { uid } = (await read('-n', namespace, 'experiment', name)).metadata as { uid?: string };
      return { uid, secrets: (secrets.items as readonly { data: object }[]).map(({ data }) => data) };
    };
    const before = await kept();
    t.equal(before.secrets.length, 2, 'a pair of keys for each program');

    for (const [revision, given] of [
      ['reused', ['--reuse-values']],
      ['plain', [...installed.values, '--set=tls.mutual=true']],
    ] as const) {
      const annotations = ['agent', 'coordinator'].map(
        (of) => `--set=${of}.podAnnotations.values=${revision}`,
      );
      await runHelm('upgrade', releaseName, chart, ...given, ...annotations);
      for (const kind of ['daemonset', 'deployment'])
        t.equal(
          at((await read('-n', namespace, kind)).items, '0.spec.template.metadata.annotations.values'),
          revision,
          `${kind}: its pods are replaced`,
        );
      await Promise.all([agent.kill(), coordinator.kill()]);
      agent = await runAgent();
      coordinator = await runCoordinator();
      t.strictSame(await kept(), before, `${revision} values keep the keys and the experiment`);
      t.equal(await phase(), 'Verifying', `it is running yet, with ${revision} values`);
    }

    process.kill(nma.pid, 'SIGCONT');
    const ended = await answer('wait=60');
    t.equal(ended.verdict, 'pass', JSON.stringify(ended.explanation));
    t.equal(ended.injections.length, 1, 'one injection');
    const order = at(
      (await read('-n', namespace, 'injection', injectionName(name, node))).spec,
      'chain.0.order.body.text',
    );
    t.equal(recordsWith(String(order)), 1, 'one record in the real kernel log');
    for (const program of [agent, coordinator, nma]) await program.kill();
  });

  t.test('no token is in any line that a program wrote', async (t) => {
    assertNoToken(t, installed);
  });
}
