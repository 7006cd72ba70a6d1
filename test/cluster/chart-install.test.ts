import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { injectionName } from '../../coordinator/store/store.ts';
import { chart, findHelm, type Helm } from '../charts/helm.ts';
import { at, type Rendered, release } from '../charts/render.ts';
import { createAuthority } from '../shared/http/certificates.ts';
import { assertNoToken, install } from './installation.ts';
import { patchStatus } from './kubelet.ts';
import { until } from './processes.ts';
import { recordsWith } from './rig.ts';

t.setTimeout(900_000);
const { name: releaseName, namespace } = release;
const found = findHelm();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

async function stories(helm: Helm): Promise<void> {
  const installed = await install(t, helm);
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
    t.match(await drill({ name: 'disarmed', ...blocked }), {
      verdict: /error|fail/,
      explanation: { code: 'agent-disarmed', remedy: /agent\.armed=true/ },
    });
    const text = `xidrill ${randomUUID()}: never`;
    const answer = await send('agent', 'WriteKernelMessage', { body: { text } });
    t.match(JSON.parse(answer.text), {
      code: 'permission_denied',
      details: { reason: 'policy_refused', remedy: /agent\.direct/ },
    });
    const { spec } = await read('-n', namespace, 'injection', injectionName('disarmed', node));
    const ordered = at(spec, 'chain.0.order.body.text');
    t.type(ordered, 'string');
    for (const refused of [text, String(ordered)])
      t.equal(recordsWith(refused), 0, `nothing was written to the real kernel log: ${refused}`);
    await Promise.all([agent.kill(), coordinator.kill()]);
  });

  t.test('helm upgrade that arms keeps the certificates; a task-blocked drill passes', async (t) => {
    const before = [await secretOf('agent'), await secretOf('coordinator')];
    await runHelm('upgrade', releaseName, chart, '--reset-then-reuse-values', '--set=agent.armed=true');
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
      const test = runHelm('test', releaseName, '--timeout=120s').catch(String);
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
    const [agent, coordinator] = [await runAgent(), await runCoordinator()];
    await Promise.all([agent.kill(), coordinator.kill()]);
    await runHelm('uninstall', releaseName);
    const left = (await installed.everything()).filter((name) => !installed.before.has(name));
    const ours = ['injection', 'experiment'].map((kind) => `${kind}s.xidrill.dev ${namespace}/`);
    const records = left.filter((name) => ours.some((prefix) => name.startsWith(prefix)));
    t.ok(records.includes(`experiments.xidrill.dev ${namespace}/kept`));
    t.strictSame(
      left.filter((name) => !records.includes(name)),
      [
        'customresourcedefinitions.apiextensions.k8s.io experiments.xidrill.dev',
        'customresourcedefinitions.apiextensions.k8s.io injections.xidrill.dev',
        // By which the API server serves them.
        'apiservices.apiregistration.k8s.io v1alpha1.xidrill.dev',
        // What helm, this test and the node's kubelet made.
        'clusterrolebindings.rbac.authorization.k8s.io operator',
        `namespaces ${namespace}`,
        `nodes ${node}`,
        `serviceaccounts ${namespace}/default`,
        `serviceaccounts ${namespace}/guest`,
        `serviceaccounts ${namespace}/operator`,
      ].toSorted(),
    );
  });

  t.test('no token is in any line that a program wrote', async (t) => {
    assertNoToken(t, installed);
  });
}
