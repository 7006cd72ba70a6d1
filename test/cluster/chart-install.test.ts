import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { parse } from 'yaml';
import { injectionName } from '../../coordinator/experiment/store.ts';
import { nodeFlags } from '../../shared/bundle.ts';
import { assembleTree, ownPlatform } from '../../shared/image/tree.ts';
import { chart, findHelm, type Helm } from '../chart/helm.ts';
import { type Rendered, release } from '../chart/render.ts';
import { type Kubectl, runPod } from './chart-pods.ts';
import { startControlPlane } from './controlplane/start.ts';
import { freePort, type Running, start, until } from './processes.ts';
import { drill } from './rig.ts';

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
const url = `http://127.0.0.1:${ports.coordinator}`;
/** No kubelet gives pods an address here, so that they are told to serve on this machine's own. */
const values = [
  ...Object.entries(ports).flatMap(([program, port]) => [
    `--set=${program}.listenHost=127.0.0.1`,
    `--set=${program}.port=${port}`,
  ]),
  '--set=coordinator.leaseSeconds=1',
];

type Right = {
  readonly scope: string;
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};

const fullname = `${releaseName}-xidrill`;
/** Where a scope's rights lie, as kubectl's words. */
const roleOf: Readonly<Record<string, readonly string[]>> = {
  cluster: ['clusterrole', `${namespace}-${fullname}-coordinator`],
  release: ['role', `${fullname}-coordinator`, '-n', namespace],
  events: ['role', `${namespace}-${fullname}-coordinator-events`, '-n', 'default'],
  monitor: ['role', `${namespace}-${fullname}-coordinator-monitor`, '-n', 'kube-system'],
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
      url: `http://127.0.0.1:${ports.agent}`,
      fields: { 'spec.nodeName': node, 'metadata.namespace': namespace },
      plane,
      kubectl,
    });
    running.push(agent);
    return agent;
  };
  const runCoordinator = async (isReady?: (running: { errors(): string }) => Promise<boolean>) => {
    const coordinator = await runPod({
      workload: await read('-n', namespace, 'deployment', `${releaseName}-xidrill-coordinator`),
      program: programs.coordinator,
      flags: nodeFlags.coordinator,
      folder: join(folder, 'coordinator-volumes'),
      url,
      fields: { 'metadata.namespace': namespace },
      plane,
      kubectl,
      ...(isReady === undefined ? {} : { isReady }),
    });
    running.push(coordinator);
    return coordinator;
  };
  const apiToken = async () => {
    const { data } = (await read('-n', namespace, 'secret', `${releaseName}-xidrill-tokens`)) as unknown as {
      data: { api: string };
    };
    return `Bearer ${Buffer.from(data.api, 'base64').toString()}`;
  };
  const authorization = await apiToken();
  const headers = { authorization, prefer: 'wait=60' };

  t.test('as installed, a drill is refused, and the refusal says how to arm', async (t) => {
    const agent = await runAgent();
    const coordinator = await runCoordinator();
    const { body } = await drill(url, { name: 'disarmed', fault: { name: 'task-blocked' } }, headers);
    t.match(body, { verdict: /error|fail/, explanation: { code: 'agent-disarmed' } });
    await Promise.all([agent.kill(), coordinator.kill()]);
  });

  t.test('helm upgrade that arms keeps the tokens; a task-blocked drill passes', async (t) => {
    await runHelm('upgrade', releaseName, chart, '--reuse-values', '--set=agent.armed=true');
    t.equal(await apiToken(), authorization);
    const agent = await runAgent();
    const coordinator = await runCoordinator();
    const nma = await startNma();
    const { body } = await drill(url, { name: 'blocked', fault: { name: 'task-blocked' } }, headers);
    t.equal(body.verdict, 'pass', JSON.stringify(body.explanation));
    const refused = await fetch(`${url}/api/v1/nodes`);
    t.equal(refused.status, 401, 'without the token nothing is told');
    for (const process of [agent, coordinator]) {
      const [, token = ''] = authorization.split(' ');
      t.notMatch(process.errors(), token, 'no token in a log');
      t.notMatch(process.errors(), /forbidden/i, 'nothing was forbidden');
      await process.kill();
    }
    await nma.kill();
  });

  t.test('without any one of its rights the coordinator says which', async (t) => {
    await apply(monitorDaemonSet);
    await apply(monitorPod);
    const agent = await runAgent();
    const rights = parse(readFileSync(join(chart, 'files/rights.yaml'), 'utf8')) as readonly Right[];
    const sample = await read('-n', namespace, 'injection', injectionName('blocked', node));
    let drills = 0;
    for (const right of rights) {
      for (const verb of right.verbs) {
        for (const resource of right.resources) {
          drills += 1;
          const complaint = `cannot ${verb} resource "${resource}"`;
          const restore = await without(right, verb, resource);
          // The right to create a lease is used where there is none.
          await kubectl(['-n', namespace, 'delete', 'lease', 'xidrill-coordinator', '--ignore-not-found']);
          // An injection is read by its name where somebody else has made it already.
          if (resource === 'injections' && verb === 'get') await copyOf(sample, `right-${drills}`);
          const coordinator = await runCoordinator(async () => true);
          const answers = exercise(`right-${drills}`);
          const said = () => `${coordinator.errors()}\n${answers.text()}`.replaceAll('\\', '');
          try {
            await until(complaint, async () => said().includes(complaint), 30);
            t.pass(`${right.scope}: ${complaint}`);
          } catch {
            t.fail(`${right.scope}: nothing was said when it ${complaint}`, { said: said().slice(-4000) });
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
    const [kind, ...place] = roleOf[right.scope] ?? [];
    const role = await read(kind ?? '', ...place);
    const rules = (role.rules as readonly Right[]).flatMap((rule) => {
      const isIt =
        rule.resources.includes(resource) &&
        rule.verbs.includes(verb) &&
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
    const call = async (path: string, init: { method?: string; body?: string } = {}) => {
      const type = init.body === undefined ? {} : { 'content-type': 'application/json' };
      try {
        const answer = await fetch(`${url}/api/v1/${path}`, {
          ...init,
          headers: { authorization, ...type },
          signal: stopping.signal,
        });
        text += `${path}: ${await answer.text()}\n`;
      } catch {
        // It does not serve yet, or is stopped.
      }
    };
    const done = (async () => {
      const body = JSON.stringify({ name, fault: { name: 'task-blocked' }, expectation: { within: '20s' } });
      for (let round = 0; !stopping.signal.aborted; round += 1, await sleep(200)) {
        await call('experiments', { method: 'POST', body });
        await call(`nodes/${node}/preflight`);
        await call(`experiments/${name}/injections`);
        await call(`experiments/${name}`);
        // Not at once: what is aborted before it has begun asks for little.
        if (round > 4) await call(`experiments/${name}/abort`, { method: 'POST', body: '{}' });
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
