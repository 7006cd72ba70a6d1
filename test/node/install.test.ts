import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { injectionName } from '../../coordinator/store/store.ts';
import { at, type Rendered } from '../charts/render.ts';
import { recordsWith } from '../cluster/rig.ts';
import { commandsIn, type PageCommand, page, partOf } from '../pages.ts';
import { type Attached, attach, untilShown } from './attached.ts';
import { callerOf, callerValues } from './caller.ts';
import { cgroupsFolder } from './cgroups.ts';
import { filesOn } from './disks.ts';
import { installOn } from './installed.ts';
import { runVariable } from './machine.ts';
import { processesOf } from './node-processes.ts';
import { rotate } from './rotation.ts';
import { createShell } from './typed.ts';

t.setTimeout(900_000);
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

async function stories(attached: Attached): Promise<void> {
  const node = 'gpu-1';
  const blocked = { name: 'task-blocked' };
  const release = installOn(attached, 'xidrill');
  const { kubectl, read, helm } = attached;
  await release.restartMonitor();
  // As nobody has labelled them yet; other stories have.
  for (const each of ['gpu-1', 'gpu-2']) await kubectl('label', 'node', each, 'xidrill.dev/drill-');
  const before = new Set(await everything(attached));
  const files = new Set(filesOn(attached.nodes));
  const logs: string[] = [];
  const tokens = new Set<string>();
  /** Of pods that will not be there much longer. */
  const keepLogs = async () => {
    logs.push(...(await release.logs()));
    for (const token of release.tokens()) tokens.add(token);
  };
  const why = (experiment: Rendered) => at(experiment, 'status.explanation');

  const shell = createShell(attached, [
    '--set=agent.dcgm.sidecar.engine.enabled=true',
    callerValues,
    // Everything that can be in a log shall be there, as no token may be.
    ...['agent', 'coordinator'].map((program) => `--set=${program}.logLevel=debug`),
  ]);
  t.teardown(() => shell.close());
  /** What stands in a page, as it stands there, and what its output has to contain. */
  const type = async (t: Test, { command, expected = '' }: PageCommand): Promise<string> => {
    const agent = (await release.pods('agent')).find(({ spec }) => at(spec, 'nodeName') === node);
    const said = await shell.type(command, { NODE: node, AGENT: agent?.metadata.name ?? '' });
    if (command.startsWith('helm upgrade')) await release.rolledOut();
    t.ok(said.includes(expected), `${command} → ${expected}`, { said });
    return said;
  };
  const [install, label, arm, ...leave] = commandsIn(partOf(page('README.md'), 'Install on EKS')) as [
    PageCommand,
    PageCommand,
    PageCommand,
    ...PageCommand[],
  ];

  const notes = await shell.type(install.command, { NODE: node, AGENT: '' });
  await release.rolledOut();
  const caller = await callerOf(attached, release, process.env.TMPDIR ?? '/tmp');

  t.test('helm install: every container of both programs starts and is ready', async (t) => {
    t.match(notes, /The agents are DISARMED/);
    const agents = await release.pods('agent');
    const states = agents.map(({ spec, status }) => {
      const containers = at(status, 'containerStatuses') as readonly { name: string; ready: boolean }[];
      return [at(spec, 'nodeName'), ...containers.map(({ name, ready }) => `${name} ${ready}`)];
    });
    t.strictSame(
      states.toSorted(),
      ['gpu-1', 'gpu-2'].map((name) => [name, 'agent true', 'dcgm-engine true']),
      'an agent with its sidecar on each node with GPUs',
    );
    const coordinators = await release.pods('coordinator');
    t.strictSame(
      coordinators.map(({ spec }) => at(spec, 'nodeName')),
      ['system-1', 'system-1'],
    );
    for (const { status } of [...agents, ...coordinators])
      t.equal(at(status, 'containerStatuses.0.restartCount'), 0, 'nothing had to start twice');
  });

  t.test('as installed, a drill is refused, and each refusal says the next step', async (t) => {
    const [coordinator] = await release.pods('coordinator');
    if (coordinator === undefined) throw new Error('there is no coordinator');
    const unlabelled = await caller.send('coordinator', coordinator, 'experiments', { fault: blocked });
    t.match(unlabelled.body, {
      code: 'no_target',
      remedy: /kubectl label node \S+ xidrill\.dev\/drill=allowed/,
    });
    t.match(why(await release.drill('unlabelled', node, blocked)), {
      remedy: /kubectl label node \S+ xidrill\.dev\/drill=allowed/,
    });
    await type(t, label);
    const refused = await release.drill('disarmed', node, blocked);
    t.match(why(refused), { code: 'agent-disarmed', remedy: /agent\.armed=true/ });
    const { spec } = await read('-n', release.namespace, 'injection', injectionName('disarmed', node));
    const ordered = at(spec, 'chain.0.order.body.text');
    t.type(ordered, 'string');

    const [agent] = await release.pods('agent');
    if (agent === undefined) throw new Error('there is no agent');
    const text = `xidrill ${at(agent, 'metadata.uid')}: never`;
    const direct = await caller.send('agent', agent, 'WriteKernelMessage', { text });
    t.match(direct.body, {
      code: 'permission_denied',
      details: { reason: 'policy_refused', remedy: /agent\.direct/ },
    });
    for (const never of [text, String(ordered)])
      t.equal(recordsWith(never), 0, `nothing was written to the kernel log: ${never}`);
  });

  t.test('armed by an upgrade, which keeps the certificates, a drill passes', async (t) => {
    const secrets = async () => [await caller.secretOf('agent'), await caller.secretOf('coordinator')];
    const kept = await secrets();
    await keepLogs();
    await type(t, arm);
    t.strictSame(await secrets(), kept);
    for (const command of [
      ...commandsIn(partOf(page('charts/xidrill/README.md'), 'Who may do what')),
      ...commandsIn(partOf(page('README.md'), 'A first drill on a cluster')),
    ])
      await type(t, command);
    const passed = await read('-n', release.namespace, 'experiment', 'first-drill');
    t.equal(at(passed, 'status.verdict'), 'pass', JSON.stringify(why(passed)));
    t.notMatch((await release.logs()).join(), /forbidden/i, 'no right is missing');
    for (const command of commandsIn(partOf(page('charts/xidrill/README.md'), 'Upgrade')))
      await type(t, command);
    t.strictSame(await secrets(), kept);
  });

  t.test('helm test passes, and fails where the coordinator is away', async (t) => {
    const chartPage = page('charts/xidrill/README.md').split('\n## ')[0] ?? '';
    const [same, testing] = commandsIn(chartPage);
    t.equal(same?.command.replaceAll('--namespace', '-n'), install.command, 'both pages install alike');
    t.equal(testing?.command, `helm test xidrill --namespace ${release.namespace}`);
    const test = () => helm('test', 'xidrill', '-n', release.namespace, '--logs', '--timeout=120s');
    const said = await test();
    t.match(said, /Phase:\s+Succeeded/);
    for (const line of [
      '/readyz without a token: 200',
      '/api/v1/nodes without a token: 401',
      '/api/v1/nodes with a token: 403',
    ])
      t.match(said, line);
    const scale = (replicas: number) =>
      release.kubectl('scale', `deployment/${release.fullname}-coordinator`, `--replicas=${replicas}`);
    await scale(0);
    const coordinators = 'app.kubernetes.io/component=coordinator';
    await release.kubectl('wait', 'pod', '-l', coordinators, '--for=delete', '--timeout=60s');
    const failed = await test().then(String, String);
    t.match(failed, /Phase:\s+Failed|failed/);
    t.match(await release.kubectl('logs', `${release.fullname}-test`), /ECONNREFUSED|ConnectTimeoutError/);
    await release.kubectl('delete', 'pod', `${release.fullname}-test`);
    await scale(2);
    await release.rolledOut();
  });

  t.test('an evicted coordinator is replaced, the other stays, and the drill goes on', async (t) => {
    const [monitor] = processesOf('/opt/nma.mjs', node);
    if (monitor === undefined) throw new Error(`no monitoring agent on ${node}`);
    // It sees the record only when another coordinator works.
    process.kill(monitor, 'SIGSTOP');
    const ended = release.drill('evicted', node, blocked, { expectation: { within: '3m' } });
    await release.reaches('evicted', 'Verifying');
    const pods = await release.pods('coordinator');
    const holder = async () =>
      at(await read('-n', release.namespace, 'lease', 'xidrill-coordinator'), 'spec.holderIdentity');
    const leader = String(await holder());
    const nameOf = ({ metadata }: Rendered) => metadata.name;
    const [first] = pods.filter((pod) => leader.includes(nameOf(pod)));
    const [second] = pods.filter((pod) => pod !== first);
    if (first === undefined || second === undefined) throw new Error(`${leader} is none of two pods`);
    const evict = (name: string) =>
      attached.post(`/api/v1/namespaces/${release.namespace}/pods/${name}/eviction`, {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name, namespace: release.namespace },
      });
    await keepLogs();
    await evict(nameOf(first));
    await t.rejects(evict(nameOf(second)), /disruption budget/, 'one may be away at a time');
    await untilShown('another one works', async () => {
      const now = String(await holder());
      return now !== leader && now !== '';
    });
    process.kill(monitor, 'SIGCONT');
    const experiment = await ended;
    t.equal(at(experiment, 'status.verdict'), 'pass', JSON.stringify(why(experiment)));
    await release.rolledOut();
  });

  t.test('new authorities and keys in the Secrets count without a restart', async (t) => {
    const { failures, answered, restarts } = await rotate(attached, release, caller, node);
    t.strictSame(failures.slice(0, 3), [], `${answered} times both`);
    t.equal(restarts, 0, 'no container was started again');
  });

  t.test('what an image adds and what its pod takes stay within their limits', async (t) => {
    for (const [program, component, file, bytes] of [
      ['agent', 'agent', '/opt/xidrill/agent.mjs', 8e6],
      ['coordinator', 'coordinator', '/opt/xidrill/coordinator.mjs', 12e6],
    ] as const) {
      const [pid] = processesOf(file);
      const tree = `/proc/${pid}/root/opt/xidrill`;
      const size = readdirSync(tree, { recursive: true })
        .map((name) => statSync(join(tree, String(name))))
        .reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 0), 0);
      t.ok(size < bytes, `${program}: ${size} bytes in its image`);
      const bill = JSON.parse(readFileSync(join(tree, 'sbom.cdx.json'), 'utf8')) as { components: object[] };
      t.match(JSON.stringify(bill.components), /libc6/, 'the packages of its base image are named');
      for (const pod of await release.pods(component)) {
        const { peak, limit, failures } = memoryOf(pod, program);
        t.equal(failures, 0, `${program}: its limit was never reached`);
        t.ok(peak < limit * 0.8, `${program}: ${peak} of ${limit} bytes`);
        const mebibytes = (value: number) => `${Math.round(value / 2 ** 20)} MiB`;
        t.comment(
          `measured: ${program}: peak ${mebibytes(peak)} of ${mebibytes(limit)}, ready ${startSeconds(pod, program)} s after its start`,
        );
      }
    }
  });

  t.test('helm uninstall leaves the definitions and what they hold, nothing else', async (t) => {
    await keepLogs();
    await caller.remove();
    const [uninstall, ...forget] = leave;
    if (uninstall === undefined) throw new Error('the page does not say how to uninstall');
    await type(t, uninstall);
    await release.isGone();
    const left = (await everything(attached)).filter((name) => !before.has(name));
    const ours = ['Injection', 'Experiment'].map((kind) => `${kind}.xidrill.dev ${release.namespace}/`);
    const records = left.filter((name) => ours.some((prefix) => name.startsWith(prefix)));
    t.ok(records.includes(`Experiment.xidrill.dev ${release.namespace}/first-drill`));
    t.strictSame(
      left.filter((name) => !records.includes(name)),
      [
        ...['experiments', 'injections'].map(
          (kind) => `CustomResourceDefinition.apiextensions.k8s.io ${kind}.xidrill.dev`,
        ),
        // By which the API server serves them.
        'APIService.apiregistration.k8s.io v1alpha1.xidrill.dev',
        // What helm, the pages, this test and controllers made.
        'ClusterRoleBinding.rbac.authorization.k8s.io driller',
        `ConfigMap ${release.namespace}/kube-root-ca.crt`,
        `Namespace ${release.namespace}`,
        `ServiceAccount ${release.namespace}/default`,
        `ServiceAccount ${release.namespace}/driller`,
        `ServiceAccount ${release.namespace}/operator`,
      ]
        // The definitions may be those of a release before.
        .filter((name) => !before.has(name))
        .toSorted(),
    );
    const written = filesOn(attached.nodes).filter((file) => !files.has(file));
    const receipt = /^gpu-1 var\/lib\/xidrill\/orders\/[\w.-]+\.json$/;
    t.ok(written.some((file) => receipt.test(file)));
    t.strictSame(
      written.filter((file) => !receipt.test(file)),
      [],
      'on the nodes stays the journal of orders alone',
    );
    const end = commandsIn(page('charts/xidrill/README.md').split('\n## Uninstall\n')[1] ?? '');
    t.strictSame(end, forget, 'both pages end alike');
    for (const command of forget) await type(t, command);
    t.notMatch(await kubectl('get', 'crd', '-o', 'name'), /xidrill/);
    await kubectl('delete', 'clusterrolebinding', 'driller');
    await kubectl('delete', 'namespace', release.namespace, '--timeout=60s');
    await kubectl('label', 'node', node, 'xidrill.dev/drill-');
  });

  t.test('no token is in any line that a program wrote', async (t) => {
    const text = logs.join('\n');
    t.match(text, /"level":20/, 'everything was logged that can be');
    for (const token of caller.tokens) tokens.add(token);
    t.ok(tokens.size > 4);
    // The end is the signature, which only the token itself has.
    const shown = [...tokens].filter((token) => text.includes(token.slice(-40)));
    t.equal(shown.length, 0, `none of ${tokens.size} tokens is in ${text.length} characters of logs`);
  });
}

/** All objects that the API server holds but what changes by itself, as `KIND.GROUP NAMESPACE/NAME`. */
async function everything({ kubectl, read }: Attached): Promise<readonly string[]> {
  const kinds = (await kubectl('api-resources', '--verbs=list', '-o', 'name')).trim().split('\n');
  const listed = kinds.filter(
    (kind) => !/^(events|componentstatuses|pods|leases|controllerrevisions|endpointslices)\b/.test(kind),
  );
  const { items } = await read(listed.join(), '-A');
  return (items as readonly Rendered[])
    .map(({ apiVersion, kind, metadata: { namespace, name } }) => {
      const group = String(apiVersion).includes('/') ? `.${String(apiVersion).split('/')[0]}` : '';
      return `${kind}${group} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
    })
    .toSorted();
}

/** Of a container, by the kernel's own account of its cgroup (version 1, Documentation/admin-guide/cgroup-v1/memory.rst). */
function memoryOf({ spec, status, metadata }: Rendered, name: string) {
  const own = join(cgroupsFolder, 'memory', process.env[runVariable] ?? '', String(at(spec, 'nodeName')));
  const containers = at(status, 'containerStatuses') as readonly { name: string; containerID: string }[];
  const id = containers.find((each) => each.name === name)?.containerID.replace('containerd://', '') ?? '?';
  const [folder] = readdirSync(own, { recursive: true })
    .map(String)
    .filter((path) => path.endsWith(id) && path.includes(`pod${metadata.uid}`));
  if (folder === undefined) throw new Error(`container ${name} of ${metadata.name} has no cgroup`);
  const read = (file: string) => Number(readFileSync(join(own, folder, file), 'utf8'));
  return {
    peak: read('memory.max_usage_in_bytes'),
    limit: read('memory.limit_in_bytes'),
    failures: read('memory.failcnt'),
  };
}

/** Whole seconds from the start of its container until the kubelet found the pod ready. */
function startSeconds({ status }: Rendered, name: string): number {
  const containers = at(status, 'containerStatuses') as readonly {
    name: string;
    state: { running?: { startedAt: string } };
  }[];
  const conditions = at(status, 'conditions') as readonly { type: string; lastTransitionTime: string }[];
  const started = containers.find((each) => each.name === name)?.state.running?.startedAt ?? '';
  const ready = conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? '';
  return (Date.parse(ready) - Date.parse(started)) / 1000;
}
