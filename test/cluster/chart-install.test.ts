import { createPrivateKey, sign } from 'node:crypto';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { parse } from 'yaml';
import { createAgentTransport } from '../../coordinator/agents/transport.ts';
import { injectionName } from '../../coordinator/experiment/store.ts';
import type { ExperimentAnswer } from '../../coordinator/routes/answers.ts';
import { nodeFlags } from '../../shared/bundle.ts';
import { assembleTree, ownPlatform } from '../../shared/image/tree.ts';
import { chart, findHelm, type Helm } from '../chart/helm.ts';
import { at, type Rendered, release } from '../chart/render.ts';
import { type Kubectl, runPod } from './chart-pods.ts';
import { startControlPlane } from './controlplane/start.ts';
import { freePort, type Running, start, until } from './processes.ts';
import { readyPatch, recordsWith } from './rig.ts';

t.setTimeout(600_000);
const { name: releaseName, namespace } = release;
const node = 'drilled';
const found = findHelm();
const plane = await startControlPlane();
t.teardown(() => plane.stop());
const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-chart-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const kubectl: Kubectl = async (args, input) => {
  const { exitCode, stdout, stderr } = await plane.kubectl(args, input);
  if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
};
const apply = (object: object) => kubectl(['apply', '-f', '-'], JSON.stringify(object));
const read = async (...args: string[]) =>
  JSON.parse(await kubectl(['get', '-o', 'json', ...args])) as Rendered;

const tree = async (program: 'agent' | 'coordinator') => {
  const made = await assembleTree({ program, folder: join(folder, program), platform: ownPlatform ?? '' });
  return join(made.folder, `${program}.mjs`);
};
const programs = { agent: await tree('agent'), coordinator: await tree('coordinator') };
const ports = { agent: await freePort(), coordinator: await freePort() };
const url = `https://127.0.0.1:${ports.coordinator}`;
const agentUrl = `https://127.0.0.1:${ports.agent}/xidrill.agent.v1.AgentService`;
/** No kubelet gives pods an address here, so that they are told to serve on this machine's own. */
const values = [
  ...Object.entries(ports).flatMap(([program, port]) => [
    `--set=${program}.listenHost=127.0.0.1`,
    `--set=${program}.port=${port}`,
  ]),
  '--set=coordinator.leaseSeconds=1',
];
const debugLogs = ['--set=agent.logLevel=debug', '--set=coordinator.logLevel=debug'];

type Right = {
  readonly who: string;
  readonly scope: string;
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};

const fullname = `${releaseName}-xidrill`;
/** Where the rights lie, as kubectl's words. */
const roleOf: Readonly<Record<string, readonly string[]>> = {
  'agent cluster': ['clusterrole', `${namespace}-${fullname}-agent`],
  'coordinator cluster': ['clusterrole', `${namespace}-${fullname}-coordinator`],
  'coordinator release': ['role', `${fullname}-coordinator`, '-n', namespace],
  'coordinator events': ['role', `${namespace}-${fullname}-coordinator-events`, '-n', 'default'],
  'coordinator monitor': ['role', `${namespace}-${fullname}-coordinator-monitor`, '-n', 'kube-system'],
  'operator cluster': ['clusterrole', `${namespace}-${fullname}-operator`],
};

/** The monitoring agent's objects, so that there is something to read. */
const monitorLabels = { 'app.kubernetes.io/name': 'eks-node-monitoring-agent' };
const monitorTemplate = {
  metadata: { labels: monitorLabels },
  spec: {
    serviceAccountName: 'eks-node-monitoring-agent',
    containers: [
      { name: 'eks-node-monitoring-agent', image: 'eks/eks-node-monitoring-agent:v1.6.4-eksbuild.1' },
    ],
  },
};
const monitorDaemonSet = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'eks-node-monitoring-agent', namespace: 'kube-system', labels: monitorLabels },
  spec: { selector: { matchLabels: monitorLabels }, template: monitorTemplate },
};
const monitorPod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'monitor', namespace: 'kube-system', labels: monitorLabels },
  spec: { ...monitorTemplate.spec, nodeName: node },
};

if ('because' in found) t.pass('', { skip: found.because });
else await installed(found);

async function installed(helm: Helm): Promise<void> {
  const runHelm = async (...args: string[]) => {
    const { code, stdout, stderr } = await helm([...args, '-n', namespace], {
      KUBECONFIG: plane.kubeconfigPath,
    });
    if (code !== 0) throw new Error(`helm ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  const running: Running[] = [];
  t.teardown(() => Promise.all(running.map((process) => process.kill('SIGKILL'))));

  await runHelm('install', releaseName, chart, '--create-namespace', ...values);
  await apply({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node, labels: { 'xidrill.dev/drill': 'allowed' } },
  });
  await kubectl(readyPatch(node));

  const runAgent = async () => {
    const workload = await read('-n', namespace, 'daemonset', `${releaseName}-xidrill-agent`);
    const { metadata, spec } = (workload.spec as { template: { metadata: object; spec: object } }).template;
    // What the DaemonSet's controller and the kubelet would do.
    const pod = { name: 'agent', namespace };
    await kubectl([
      '-n',
      namespace,
      'delete',
      'pod',
      'agent',
      '--ignore-not-found',
      '--force',
      '--grace-period=0',
    ]);
    await apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, ...pod },
      spec: { ...spec, nodeName: node },
    });
    await kubectl([
      ...['-n', namespace, 'patch', 'pod', 'agent', '--subresource=status', '--type=merge', '-p'],
      JSON.stringify({ status: { phase: 'Running', podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] } }),
    ]);
    const agent = await runPod({
      workload,
      program: programs.agent,
      flags: nodeFlags.agent,
      folder: join(folder, 'agent-volumes'),
      isReady: () => isReady('agent', `https://127.0.0.1:${ports.agent}`),
      fields: { 'spec.nodeName': node, 'metadata.namespace': namespace },
      plane,
      kubectl,
    });
    running.push(agent);
    return agent;
  };
  const runCoordinator = async (ready = () => isReady('coordinator', url)) => {
    const coordinator = await runPod({
      workload: await read('-n', namespace, 'deployment', `${releaseName}-xidrill-coordinator`),
      program: programs.coordinator,
      flags: nodeFlags.coordinator,
      folder: join(folder, 'coordinator-volumes'),
      isReady: ready,
      fields: { 'metadata.namespace': namespace },
      plane,
      kubectl,
    });
    running.push(coordinator);
    return coordinator;
  };
  const secretOf = async (program: string) => {
    const secret = await read('-n', namespace, 'secret', `${fullname}-${program}-tls`);
    return (secret as unknown as { data: Record<string, string> }).data;
  };
  const caller = async (program: 'agent' | 'coordinator', serverName: string) => {
    const caFile = join(folder, `${program}-ca.crt`);
    writeFileSync(caFile, Buffer.from((await secretOf(program))['ca.crt'] ?? '', 'base64'));
    return createAgentTransport({ caFile, serverName });
  };
  const request = {
    agent: await caller('agent', 'xidrill-agent'),
    coordinator: await caller('coordinator', `${fullname}-coordinator`),
  };
  async function isReady(program: 'agent' | 'coordinator', at: string): Promise<boolean> {
    try {
      const options = { method: 'GET', signal: AbortSignal.timeout(10_000) } as const;
      return (await request[program](`${at}/readyz`, options)).status === 200;
    } catch {
      return false;
    }
  }
  /** Tokens as people get them, of an account that is bound to the chart's role and of one that is not. */
  const tokenOf = async (account: string, audience: string) =>
    (await kubectl(['-n', namespace, 'create', 'token', account, `--audience=${audience}`])).trim();
  for (const account of ['operator', 'guest'])
    await kubectl(['-n', namespace, 'create', 'serviceaccount', account]);
  await kubectl([
    ...['create', 'clusterrolebinding', 'operator', `--clusterrole=${namespace}-${fullname}-operator`],
    `--serviceaccount=${namespace}:operator`,
  ]);
  const tokens = {
    coordinator: await tokenOf('operator', 'xidrill'),
    agent: await tokenOf('operator', 'xidrill-agent'),
  };
  const send = (
    to: 'agent' | 'coordinator',
    path: string,
    { body, token = tokens[to], prefer, signal = AbortSignal.timeout(90_000) }: Sent = {},
  ) =>
    request[to](`${to === 'agent' ? agentUrl : `${url}/api/v1`}/${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(prefer === undefined ? {} : { prefer }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
  const drill = async (body: object) =>
    JSON.parse(
      (await send('coordinator', 'experiments', { body, prefer: 'wait=60' })).text,
    ) as ExperimentAnswer;

  t.test('as installed, a drill is refused, and the refusal says how to arm', async (t) => {
    const agent = await runAgent();
    const coordinator = await runCoordinator();
    const body = await drill({ name: 'disarmed', fault: { name: 'task-blocked' } });
    t.match(body, { verdict: /error|fail/, explanation: { code: 'agent-disarmed' } });
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
    for (const process of [agent, coordinator]) {
      t.notMatch(process.errors(), /forbidden/i, 'nothing was forbidden');
      await process.kill();
    }
    await nma.kill();
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
      ['plain', [...values, '--set=agent.armed=true']],
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
    for (const process of [agent, coordinator, nma]) await process.kill();
  });

  t.test('who may not is refused in the words of each surface, and no token is in a log', async (t) => {
    // Everything that the programs can log.
    await runHelm('upgrade', releaseName, chart, '--reuse-values', ...debugLogs);
    const agent = await runAgent();
    const coordinator = await runCoordinator();
    const surfaces = [
      {
        to: 'coordinator',
        audience: 'xidrill',
        reads: [`nodes/${node}/preflight`],
        writes: ['experiments', { fault: { name: 'task-blocked' } }],
        says: (code: string, status: number) => ({ type: `urn:xidrill:problem:${code}`, status, code }),
      },
      {
        to: 'agent',
        audience: 'xidrill-agent',
        reads: ['GetInventory', {}],
        writes: ['WriteKernelMessage', { text: 'never' }],
        says: (code: string) => ({ code, message: String, details: { reason: code } }),
      },
    ] as const;
    const shown: string[] = [...agent.tokens, ...coordinator.tokens, ...Object.values(tokens)];
    for (const { to, audience, reads, writes, says } of surfaces) {
      const good = tokens[to];
      const rows = [
        ['no token', '', 401, 'unauthenticated'],
        ['no token at all', 'nonsense', 401, 'unauthenticated'],
        ['of another audience', await tokenOf('operator', 'somebody-else'), 401, 'unauthenticated'],
        ['for the other program', tokens[to === 'agent' ? 'coordinator' : 'agent'], 401, 'unauthenticated'],
        ['expired', expired(good), 401, 'unauthenticated'],
        ['signed by somebody else', `${good.slice(0, -8)}AAAAAAAA`, 401, 'unauthenticated'],
        ['without the verb', await tokenOf('guest', audience), 403, 'permission_denied'],
      ] as const;
      for (const [what, token, status, code] of rows) {
        shown.push(token);
        for (const [path, body] of [reads, writes]) {
          const answer = await send(to, path, { token, ...(body === undefined ? {} : { body }) });
          t.equal(answer.status, status, `${to} ${path}: ${what}`);
          t.match(JSON.parse(answer.text), says(code, status));
          if (token !== '') t.notMatch(answer.text, token);
        }
      }
      const [path, body] = reads;
      t.equal((await send(to, path, body === undefined ? {} : { body })).status, 200, `${to}: who may`);
    }
    for (const process of [agent, coordinator]) {
      t.match(process.errors(), /"status":401/, 'requests are logged');
      for (const token of shown.filter((text) => text.length > 20))
        t.notOk(process.errors().includes(token.slice(-40)), 'no token in a log');
      await process.kill();
    }
  });

  t.test('without any one of the rights somebody says which', async (t) => {
    await apply(monitorDaemonSet);
    await apply(monitorPod);
    let agent = await runAgent();
    const rights = parse(readFileSync(join(chart, 'files/rights.yaml'), 'utf8')) as readonly Right[];
    const sample = await read('-n', namespace, 'injection', injectionName('blocked', node));
    let drills = 0;
    for (const right of rights) {
      for (const verb of right.verbs) {
        for (const resource of right.resources) {
          drills += 1;
          const complaint = `cannot ${verb} resource "${resource}" in API group "${right.apiGroups[0]}"`;
          const restore = await without(right, verb, resource);
          // The right to create a lease is used where there is none.
          await kubectl(['-n', namespace, 'delete', 'lease', 'xidrill-coordinator', '--ignore-not-found']);
          // An injection is read by its name where somebody else has made it already.
          if (resource === 'injections' && verb === 'get') await copyOf(sample, `right-${drills}`);
          // It remembers for some seconds whom it has let in.
          if (right.who === 'agent' || /^nodes/.test(resource)) {
            await agent.kill();
            agent = await runAgent();
          }
          const coordinator = await runCoordinator(async () => true);
          const answers = exercise(`right-${drills}`);
          const said = () => `${coordinator.errors()}\n${answers.text()}`.replaceAll('\\', '');
          try {
            await until(complaint, async () => said().includes(complaint), 30);
            t.pass(`${right.who}, ${right.scope}: ${complaint}`);
          } catch {
            t.fail(`${right.who}, ${right.scope}: nothing was said when it ${complaint}`, {
              said: said().slice(-4000),
            });
          }
          await answers.stop();
          await coordinator.kill('SIGKILL');
          await restore();
          // What has not ended keeps the node busy for the next.
          await kubectl(['-n', namespace, 'delete', 'experiments,injections', '--all']);
        }
      }
    }
    await agent.kill();
  });

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

  /** Takes one verb on one resource away; gives back how to restore it. */
  async function without(right: Right, verb: string, resource: string): Promise<() => Promise<void>> {
    const [kind, ...place] = roleOf[`${right.who} ${right.scope}`] ?? [];
    const role = await read(kind ?? '', ...place);
    const rules = (role.rules as readonly Right[]).flatMap((rule) => {
      const isIt =
        rule.resources.includes(resource) &&
        rule.verbs.includes(verb) &&
        rule.apiGroups[0] === right.apiGroups[0] &&
        (rule.resourceNames === undefined) === (right.resourceNames === undefined);
      if (!isIt) return [rule];
      const others = rule.resources.filter((name) => name !== resource);
      const verbs = rule.verbs.filter((name) => name !== verb);
      return [
        ...(others.length > 0 ? [{ ...rule, resources: others }] : []),
        ...(verbs.length > 0 ? [{ ...rule, resources: [resource], verbs }] : []),
      ];
    });
    const patch = (value: unknown) => [
      'patch',
      kind ?? '',
      ...place,
      '--type=merge',
      '-p',
      JSON.stringify({ rules: value }),
    ];
    await kubectl(patch(rules));
    return async () => {
      await kubectl(patch(role.rules));
    };
  }

  /** Everything that somebody does with a coordinator, again and again until it is stopped; keeps the answers. */
  function exercise(name: string) {
    let text = '';
    const stopping = new AbortController();
    const call = async (path: string, body?: object, to: 'agent' | 'coordinator' = 'coordinator') => {
      try {
        const answer = await send(to, path, {
          ...(body === undefined ? {} : { body }),
          signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(10_000)]),
        });
        text += `${path}: ${answer.text}\n`;
      } catch {
        // It does not serve yet, or is stopped.
      }
    };
    const done = (async () => {
      const body = { name, fault: { name: 'task-blocked' }, expectation: { within: '20s' } };
      for (let round = 0; !stopping.signal.aborted; round += 1, await sleep(200)) {
        await call('experiments', body);
        await call(`nodes/${node}/preflight`);
        await call(`experiments/${name}/injections`);
        await call(`experiments/${name}`);
        for (const path of ['experiments', 'nodes', 'faults', 'faults/task-blocked']) await call(path);
        // No order: what may be given is refused for its body.
        await call('WriteKernelMessage', {}, 'agent');
        await call('TailKernelLog', { from: 'oldest', limit: 1 }, 'agent');
        // Not at once: what is aborted before it has begun asks for little.
        if (round > 4) await call(`experiments/${name}/abort`, {});
      }
    })();
    return {
      text: () => text,
      stop: async () => {
        stopping.abort();
        await done;
      },
    };
  }

  /** With its status, which says that it has ended: one that has not would keep the node busy. */
  async function copyOf({ spec, status, ...rest }: Rendered, experiment: string): Promise<void> {
    const name = injectionName(experiment, node);
    await apply({ apiVersion: rest.apiVersion, kind: rest.kind, metadata: { name, namespace }, spec });
    const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status })];
    await kubectl(['-n', namespace, 'patch', 'injection', name, ...patch]);
  }

  async function startNma(): Promise<Running> {
    const args = ['--kubeconfig', plane.kubeconfigPath, '--node', node, '--version', '1.6.4'];
    let said = '';
    const nma = await start('coordinator/rehearsal/nma/process.ts', args, async (child) => {
      said += child.stdout?.read()?.toString() ?? '';
      return said.includes('ready');
    });
    running.push(nma);
    return nma;
  }
}

type Sent = {
  readonly body?: object;
  /** '': none. */
  readonly token?: string;
  readonly prefer?: string;
  readonly signal?: AbortSignal;
};

/** The same token with its time over, signed anew by the key of this API server: nobody waits ten minutes for one. */
function expired(token: string): string {
  const [head = '', body = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>;
  const now = Math.floor(Date.now() / 1000);
  const old = JSON.stringify({ ...claims, iat: now - 7200, nbf: now - 7200, exp: now - 3600 });
  const text = `${head}.${Buffer.from(old).toString('base64url')}`;
  const key = createPrivateKey(readFileSync(join(dirname(plane.kubeconfigPath), 'service-account.key')));
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}
