import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { injectionName } from '../../coordinator/experiment/store.ts';
import type { ExperimentAnswer } from '../../coordinator/routes/answers.ts';
import { chart, findHelm, type Helm } from '../chart/helm.ts';
import { at, type Rendered, release } from '../chart/render.ts';
import { createAuthority } from '../shared/certificates.ts';
import { assertNoToken, install } from './installation.ts';
import { patchStatus } from './kubelet.ts';
import { until } from './processes.ts';
import { recordsWith } from './rig.ts';

t.setTimeout(600_000);
const { name: releaseName, namespace } = release;
const debugLogs = ['--set=agent.logLevel=debug', '--set=coordinator.logLevel=debug'];
const found = findHelm();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

async function stories(helm: Helm): Promise<void> {
  const installed = await install(t, helm, debugLogs);
  const { kubectl, apply, read, kubelet, runHelm, node, fullname, secretOf, send, drill } = installed;
  const { runAgent, runCoordinator, startNma } = installed;

  t.test('as installed, a drill is refused, and each refusal says the next step', async (t) => {
    const agent = await runAgent();
    const coordinator = await runCoordinator();
    const blocked = { fault: { name: 'task-blocked' } };
    const unlabelled = await send('coordinator', 'experiments', { body: { name: 'unlabelled', ...blocked } });
    t.match(JSON.parse(unlabelled.text), {
      code: 'no_target',
      remedy: /kubectl label node \S+ xidrill\.dev\/drill=allowed/,
    });
    await kubectl(['label', 'node', node, 'xidrill.dev/drill=allowed']);
    await until('the label is seen', async () => {
      const { text } = await send('coordinator', 'nodes');
      return (JSON.parse(text) as { items: { drillAllowed: boolean }[] }).items[0]?.drillAllowed === true;
    });
    const before = recordsWith('xidrill');
    t.match(await drill({ name: 'disarmed', ...blocked }), {
      verdict: /error|fail/,
      explanation: { code: 'agent-disarmed', remedy: /agent\.armed=true/ },
    });
    const answer = await send('agent', 'WriteKernelMessage', { body: { text: 'xidrill: never' } });
    t.match(JSON.parse(answer.text), {
      code: 'failed_precondition',
      details: { reason: 'disarmed', remedy: /agent\.armed=true/ },
    });
    t.equal(recordsWith('xidrill'), before, 'nothing was written to the real kernel log');
    await Promise.all([agent.kill(), coordinator.kill()]);
  });

  t.test('helm upgrade that arms keeps the certificates; a task-blocked drill passes', async (t) => {
    const before = [await secretOf('agent'), await secretOf('coordinator')];
    await runHelm('upgrade', releaseName, chart, '--reuse-values', '--set=agent.armed=true');
    t.strictSame([await secretOf('agent'), await secretOf('coordinator')], before);
    const agent = await runAgent();
    const coordinator = await runCoordinator();
    const nma = await startNma();
    const body = await drill({ name: 'blocked', fault: { name: 'task-blocked' } });
    t.equal(body.verdict, 'pass', JSON.stringify(body.explanation));
    for (const program of [agent, coordinator]) {
      t.notMatch(program.errors(), /forbidden/i, 'nothing was forbidden');
      await program.kill();
    }
    await nma.kill();
  });

  t.test('helm test passes, and fails where the coordinator is away', async (t) => {
    // A controller would make it.
    await kubectl(['-n', namespace, 'create', 'serviceaccount', 'default']);
    /** Runs the pod that helm creates, and tells what it said. */
    const asKubelet = async (isOver: AbortSignal) => {
      let pod: Rendered | undefined;
      await until('helm has created its pod', async () => {
        const pods = await read('-n', namespace, 'pods', '-l', 'app.kubernetes.io/component=test');
        pod = (pods.items as readonly Rendered[])[0];
        return pod !== undefined || isOver.aborted;
      });
      if (pod === undefined) return '';
      const running = await kubelet.start(pod, installed.images.coordinator);
      const code = await running.ended;
      await patchStatus(kubectl, pod, { phase: code === 0 ? 'Succeeded' : 'Failed' });
      return running.errors();
    };
    const helmTest = async () => {
      const isOver = new AbortController();
      const test = runHelm('test', releaseName, '--timeout=30s').catch(String);
      return Promise.all([test.finally(() => isOver.abort()), asKubelet(isOver.signal)]);
    };

    const coordinator = await runCoordinator();
    const [said, log] = await helmTest();
    t.match(said, /Phase:\s+Succeeded/);
    t.strictSame(log.trim().split('\n'), [
      '/readyz without a token: 200',
      '/api/v1/nodes without a token: 401',
      '/api/v1/nodes with a token: 403',
    ]);
    await coordinator.kill();
    const [failure, why] = await helmTest();
    t.match(failure, /Phase:\s+Failed/);
    t.match(why, /ECONNREFUSED/);
    await kubectl(['-n', namespace, 'delete', 'pod', `${fullname}-test`, '--ignore-not-found']);
  });

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
      ['plain', [...installed.values, '--set=agent.armed=true']],
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
      'order.body.text',
    );
    t.equal(recordsWith(String(order)), 1, 'one record in the real kernel log');
    for (const program of [agent, coordinator, nma]) await program.kill();
  });

  t.test(
    'new authorities and keys in the Secrets count without a restart, and no request is lost',
    async (t) => {
      const pods = [await runAgent(), await runCoordinator()];
      const service = `${fullname}-coordinator`;
      const names = { agent: 'xidrill-agent', coordinator: `${service},${service}.${namespace}.svc` };
      const programs = ['agent', 'coordinator'] as const;
      const old = { agent: await secretOf('agent'), coordinator: await secretOf('coordinator') };
      const next = createAuthority(installed.folder, 'next');
      const nextCa = readFileSync(next.caFile);
      const base64 = (file: string) => readFileSync(file).toString('base64');
      const decoded = (text: string | undefined) => Buffer.from(text ?? '', 'base64');

      const failures: string[] = [];
      let answered = 0;
      const stopping = new AbortController();
      /** Through the coordinator to the agent, and to the agent directly. */
      const load = Promise.all(
        [0, 1, 2, 3].map(async () => {
          while (!stopping.signal.aborted) {
            const preflight = await send('coordinator', `nodes/${node}/preflight`).catch(String);
            const { checks = [] } = (typeof preflight === 'string' ? {} : JSON.parse(preflight.text)) as {
              checks?: { code: string; result: string }[];
            };
            const link = checks.find(({ code }) => code === 'agent-unreachable');
            if (link?.result !== 'ok') failures.push(JSON.stringify(link ?? preflight));
            const direct = await send('agent', 'GetInventory', { body: {} }).catch(String);
            if (typeof direct === 'string' || direct.status !== 200) failures.push(JSON.stringify(direct));
            answered += 1;
          }
        }),
      );
      const more = (count: number) => {
        const from = answered;
        return until(`${count} more answers`, async () => answered >= from + count);
      };
      /** Each Secret is another one, and the kubelet mounts it a moment later in one pod than in the other. */
      const renew = async (dataOf: (program: (typeof programs)[number]) => Record<string, string>) => {
        for (const program of programs)
          await kubectl([
            ...['-n', namespace, 'patch', 'secret', `${fullname}-${program}-tls`, '--type=merge', '-p'],
            JSON.stringify({ data: dataOf(program) }),
          ]);
        for (const pod of pods) {
          await pod.sync();
          await more(4);
        }
      };

      await more(8);
      // The order of the README: believe both, show the new one, believe only that.
      await renew((program) => {
        const both = Buffer.concat([decoded(old[program]['ca.crt']), nextCa]);
        writeFileSync(installed.caFile(program), both);
        return { 'ca.crt': both.toString('base64') };
      });
      await renew((program) => {
        const { certFile, keyFile } = next.issue(names[program]);
        return { 'tls.crt': base64(certFile), 'tls.key': base64(keyFile) };
      });
      await renew((program) => {
        writeFileSync(installed.caFile(program), nextCa);
        return { 'ca.crt': nextCa.toString('base64') };
      });
      await more(8);
      stopping.abort();
      await load;
      t.strictSame(failures.slice(0, 3), [], `${answered} times both`);
      for (const pod of pods) await pod.kill();
    },
  );

  t.test('helm uninstall leaves the definitions and what they hold, nothing else', async (t) => {
    const experiment = { apiVersion: 'xidrill.dev/v1alpha1', kind: 'Experiment' };
    await apply({
      ...experiment,
      metadata: { name: 'kept', namespace },
      spec: { fault: { name: 'task-blocked' } },
    });
    await runHelm('uninstall', releaseName);
    const kinds =
      'daemonset,deployment,service,secret,serviceaccount,configmap,pdb,networkpolicy,role,rolebinding';
    const all = await kubectl([
      'get',
      `${kinds},clusterrole,clusterrolebinding`,
      '-A',
      '-o',
      'name',
      '-l',
      `app.kubernetes.io/instance=${releaseName}`,
    ]);
    t.equal(all.trim(), '');
    t.match(await kubectl(['get', 'crd', '-o', 'name']), /experiments\.xidrill\.dev/);
    t.match(await kubectl(['-n', namespace, 'get', 'experiments', '-o', 'name']), /kept/);
  });

  t.test('no token is in any line that a program wrote', async (t) => {
    assertNoToken(t, installed, []);
  });
}
