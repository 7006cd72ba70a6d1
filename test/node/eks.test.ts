import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { chart } from '../charts/helm.ts';
import { at, type Rendered } from '../charts/render.ts';
import { recordsWith } from '../cluster/rig.ts';
import { type Attached, attach, imageValues, untilShown } from './attached.ts';
import { installOn } from './installed.ts';
import { processesOf } from './node-processes.ts';

t.setTimeout(900_000);
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

/** This chart as it was before it had the coordinator's Lease, which a coordinator made itself then. */
function olderChart(): string {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-older-'));
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

/** README's "Install on EKS", where something is not as it should be: each has its own right explanation. */
async function stories(attached: Attached): Promise<void> {
  const release = installOn(attached, 'eks');
  const { kubectl, read } = attached;
  const blocked = { name: 'task-blocked' };
  const agents = `daemonset/${release.fullname}-agent`;
  const why = (experiment: Rendered) => at(experiment, 'status.explanation');
  const agentOn = async (node: string): Promise<Rendered | undefined> =>
    (await release.pods('agent')).find(({ spec }) => at(spec, 'nodeName') === node);
  const isReady = (pod: Rendered | undefined) => at(pod, 'status.containerStatuses.0.ready') === true;
  /** The agent of that node is another pod, which has asked nothing so far. */
  const restarted = async (node: string) => {
    const before = await agentOn(node);
    await release.kubectl('delete', 'pod', before?.metadata.name ?? '', '--wait=false');
    await untilShown(`another agent on ${node} is ready`, async () => {
      const pod = await agentOn(node);
      return pod?.metadata.uid !== before?.metadata.uid && isReady(pod);
    });
  };
  t.teardown(() => release.uninstall());

  await release.restartMonitor();
  for (const node of ['gpu-1', 'gpu-2'])
    await kubectl('label', 'node', node, 'xidrill.dev/drill=allowed', '--overwrite');
  await kubectl('label', 'node', 'gpu-1', 'role=drilled', '--overwrite');
  await kubectl('label', 'node', 'gpu-2', 'role-');
  // Then nothing asked for client certificates.
  const older = [
    '--set=agent.armed=true',
    '--set=agent.nodeSelector.role=drilled',
    '--set=tls.mutual=false',
    '--set=coordinator.replicas=1',
  ];
  await release.installFrom(olderChart(), ...older);

  t.test('an agent that is missing on one node is named there; the other node is drilled', async (t) => {
    const [one, other] = [
      await release.drill('with-agent', 'gpu-1', blocked),
      await release.drill('without-agent', 'gpu-2', blocked),
    ];
    t.equal(at(one, 'status.verdict'), 'pass', JSON.stringify(why(one)));
    t.match(why(other), {
      code: 'agent-unknown',
      summary: /node gpu-2/,
      remedy: /nodeSelector and tolerations/,
    });
  });

  t.test('a drill goes on through rolling upgrades from an older chart', async (t) => {
    const [monitor] = processesOf('/opt/nma.mjs', 'gpu-1');
    if (monitor === undefined) throw new Error('no monitoring agent on gpu-1');
    // It sees the record only when the upgrade is over.
    process.kill(monitor, 'SIGSTOP');
    const ended = release.drill('upgraded', 'gpu-1', blocked, { expectation: { within: '3m' } });
    await release.reaches('upgraded', 'Verifying');
    const inRelease = (...args: readonly string[]) => read('-n', release.namespace, ...args);
    t.notOk(
      at(await inRelease('lease', 'xidrill-coordinator'), 'metadata.annotations'),
      'made by a coordinator',
    );
    const kept = async () => {
      const secrets = await inRelease('secret', '-l', 'app.kubernetes.io/instance=eks');
      const { metadata } = await inRelease('experiment', 'upgraded');
      return [metadata.uid, ...(secrets.items as readonly Rendered[]).map(({ data }) => data)];
    };
    const first = await kept();
    t.equal(first.length, 3, 'a pair of keys for each program');
    const names = async () => (await release.pods()).map(({ metadata }) => metadata.name);
    for (const [revision, words] of [
      ['reused', ['--reuse-values']],
      ['plain', [...imageValues, ...older, '--set=tls.mutual=true']],
    ] as const) {
      const before = await names();
      const annotations = ['agent', 'coordinator'].map(
        (program) => `--set=${program}.podAnnotations.values=${revision}`,
      );
      await release.upgradeWith(...words, ...annotations);
      const after = await names();
      t.notOk(
        after.some((name) => before.includes(name)),
        `${revision} values: every pod is another one`,
      );
      t.strictSame(await kept(), first, `${revision} values keep the keys and the experiment`);
      await release.reaches('upgraded', 'Verifying');
    }
    process.kill(monitor, 'SIGCONT');
    const experiment = await ended;
    t.equal(at(experiment, 'status.verdict'), 'pass', JSON.stringify(why(experiment)));
    const injections = (await inRelease('injections', '-l', 'xidrill.dev/experiment=upgraded')).items;
    t.equal((injections as readonly object[]).length, 1, 'one injection');
    const order = at(injections, '0.spec.chain.0.order.body.text');
    t.equal(recordsWith(String(order)), 1, 'one record in the kernel log');
  });

  t.test(
    'an agent of another audience refuses the coordinator, and the explanation is about tokens',
    async (t) => {
      const args = at(
        await read('-n', release.namespace, agents),
        'spec.template.spec.containers.0.args',
      ) as string[];
      const patch = (value: readonly string[]) =>
        JSON.stringify([{ op: 'replace', path: '/spec/template/spec/containers/0/args', value }]);
      const wrong = args.map((arg) => (arg.startsWith('--audience=') ? '--audience=somebody-else' : arg));
      await release.kubectl('patch', agents, '--type=json', '-p', patch(wrong));
      await release.rolledOut();
      t.match(why(await release.drill('audience', 'gpu-1', blocked)), {
        code: 'injection-refused',
        summary: /token|audience/i,
      });
      await release.kubectl('patch', agents, '--type=json', '-p', patch(args));
      await release.rolledOut();
    },
  );

  const bootId = async () => at(await read('node', 'gpu-2'), 'status.nodeInfo.bootID');
  let bootedAs: unknown;
  async function reboot(): Promise<void> {
    await kubectl('label', 'node', 'gpu-2', 'role=drilled');
    await untilShown('gpu-2 has an agent', async () => isReady(await agentOn('gpu-2')));
    bootedAs = await bootId();
    const [first] = processesOf('sh /node/node.sh', 'gpu-2');
    if (first === undefined) throw new Error('gpu-2 has no first process');
    process.kill(first, 'SIGKILL');
  }

  t.test('an agent without its rights says which it lacks', async (t) => {
    // It boots while an agent elsewhere is tried again for half a minute.
    await reboot();
    const binding = `${release.namespace}-${release.fullname}-agent`;
    const object = await read('clusterrolebinding', binding);
    await kubectl('delete', 'clusterrolebinding', binding);
    await restarted('gpu-1');
    const explanation = why(await release.drill('rights', 'gpu-1', blocked));
    t.match(JSON.stringify(explanation), /tokenreviews/);
    const { labels, annotations } = object.metadata as Partial<Record<'labels' | 'annotations', object>>;
    await attached.create({ ...object, metadata: { name: binding, labels, annotations } });
  });

  t.test('a node that reboots has another boot id, and its agent is back', async (t) => {
    await untilShown('the boot id is another one', async () => (await bootId()) !== bootedAs, 180);
    await kubectl('wait', 'node/gpu-2', '--for=condition=Ready', '--timeout=120s');
    await untilShown(
      'the agent’s pod is ready again',
      async () => {
        const agent = await agentOn('gpu-2');
        return at(agent, 'status.containerStatuses.0.restartCount') !== 0 && isReady(agent);
      },
      180,
    );
    const ended = await release.drill('after-reboot', 'gpu-2', blocked);
    t.equal(at(ended, 'status.verdict'), 'pass', JSON.stringify(why(ended)));
  });
}
