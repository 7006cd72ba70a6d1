import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { parse } from 'yaml';
import type { Right } from '../../charts/readme.ts';
import { karpenterDefinitions } from '../../coordinator/rehearsal/karpenter/objects.ts';
import { killSwitchName } from '../../coordinator/store/kill-switch.ts';
import { injectionName } from '../../coordinator/store/store.ts';
import { chart, findHelm, type Helm } from '../charts/helm.ts';
import { type Rendered, release } from '../charts/render.ts';
import { assertNoToken, install } from './installation.ts';
import { until } from './processes.ts';

t.setTimeout(900_000);
const { namespace } = release;

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
const karpenterLabels = { 'app.kubernetes.io/name': 'karpenter' };
/** From 1.15 on repair is voluntary disruption (karpenter.md). */
const karpenterDeployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'karpenter', namespace: 'kube-system', labels: karpenterLabels },
  spec: {
    selector: { matchLabels: karpenterLabels },
    template: {
      metadata: { labels: karpenterLabels },
      spec: {
        containers: [
          {
            name: 'controller',
            image: 'public.ecr.aws/karpenter/controller:1.15.0',
            env: [{ name: 'FEATURE_GATES', value: 'NodeRepair=true' }],
          },
        ],
      },
    },
  },
};
const monitorDaemonSet = {
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name: 'eks-node-monitoring-agent', namespace: 'kube-system', labels: monitorLabels },
  spec: { selector: { matchLabels: monitorLabels }, template: monitorTemplate },
};

const found = findHelm();
if ('because' in found) t.pass('', { skip: found.because });
else await access(found);

async function access(helm: Helm): Promise<void> {
  const installed = await install(t, helm, ['--set=agent.armed=true', '--set=restore.enabled=true']);
  const { plane, kubectl, apply, read, kubelet, node, fullname, tokenOf, tokens, send, drill } = installed;
  const { runAgent, runCoordinator, startNma } = installed;
  /** Every token that somebody showed. */
  const shown: string[] = [];
  await kubectl(['label', 'node', node, 'xidrill.dev/drill=allowed']);

  const rights = parse(readFileSync(join(chart, 'files/rights.yaml'), 'utf8')) as readonly Right[];
  /** Where the rights lie, as kubectl's words. */
  const roleOf: Readonly<Record<string, readonly string[]>> = {
    'agent cluster': ['clusterrole', `${namespace}-${fullname}-agent`],
    'coordinator cluster': ['clusterrole', `${namespace}-${fullname}-coordinator`],
    'coordinator release': ['role', `${fullname}-coordinator`, '-n', namespace],
    'coordinator events': ['role', `${namespace}-${fullname}-coordinator-events`, '-n', 'default'],
    'coordinator monitor': ['role', `${namespace}-${fullname}-coordinator-monitor`, '-n', 'kube-system'],
    'operator cluster': ['clusterrole', `${namespace}-${fullname}-operator`],
  };

  t.test('who may not is refused in the words of each surface', async (t) => {
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
    for (const program of [agent, coordinator]) {
      t.match(program.errors(), /"status":401/, 'requests are logged');
      await program.kill();
    }
  });

  t.test('the coordinator’s own token is worth nothing to somebody else', async (t) => {
    const agent = await runAgent();
    const coordinator = await runCoordinator();
    const [token = ''] = kubelet.tokens
      .filter((text) => {
        const { sub, aud } = claimsIn(text) as { sub: string; aud: readonly string[] };
        return sub.endsWith(`:${fullname}-coordinator`) && aud[0] === 'xidrill-agent';
      })
      .slice(-1);
    const answer = await send('agent', 'GetInventory', { body: {}, token });
    t.equal(answer.status, 401);
    t.match(JSON.parse(answer.text), {
      code: 'unauthenticated',
      message: /counts only together with a client certificate, and none was shown/,
    });
    const preflight = await send('coordinator', `nodes/${node}/preflight`);
    t.match(
      JSON.parse(preflight.text).checks.find(({ code }: { code: string }) => code === 'agent-unreachable'),
      {
        result: 'ok',
      },
    );
    await Promise.all([agent.kill(), coordinator.kill()]);
  });

  t.test('a stream ends with the right that it began with', async (t) => {
    const agent = await runAgent();
    const tail = send('agent', 'TailKernelLog', { body: { from: 'end', match: 'never' } });
    // It is answered when the gate has let it in.
    await send('agent', 'TailKernelLog', { body: { from: 'oldest', limit: 1 } });
    const right = rights.find(({ resources }) => resources.includes('nodes/log'));
    const restore = right && (await without(right, 'get', 'nodes/log'));
    const { status, text } = await tail;
    t.equal(status, 200);
    t.match(JSON.parse(text), {
      end: /cannot get resource "nodes\/log" in API group "xidrill\.dev"/,
      records: 0,
    });
    await restore?.();
    await agent.kill();
  });

  t.test(
    'a monitoring agent in another namespace stops nothing, and is told with the value to set',
    async (t) => {
      const elsewhere = { ...monitorDaemonSet.metadata, namespace: 'gpu-health' };
      await kubectl(['create', 'namespace', 'gpu-health']);
      await apply({ ...monitorDaemonSet, metadata: elsewhere });
      const [nma, agent, coordinator] = [await startNma(), await runAgent(), await runCoordinator()];
      const preflight = await send('coordinator', `nodes/${node}/preflight`);
      t.equal(preflight.status, 200);
      const unknown = (JSON.parse(preflight.text).checks as readonly { result: string; text: string }[])
        .filter(({ result }) => result === 'unknown')
        .map(({ text }) => text)
        .join('\n');
      t.match(unknown, /serviceaccounts[\s\S]*nma\.namespace=gpu-health/);
      t.equal((await drill({ name: 'elsewhere', fault: { name: 'task-blocked' } })).verdict, 'pass');
      await Promise.all([nma.kill(), agent.kill(), coordinator.kill()]);
      await kubectl(['-n', 'gpu-health', 'delete', 'daemonset', elsewhere.name]);
    },
  );

  t.test('without any one of the rights somebody says which', async (t) => {
    let agent = await runAgent();
    // So that there is an injection that has ended.
    const [nma, first] = [await startNma(), await runCoordinator()];
    t.equal((await drill({ name: 'blocked', fault: { name: 'task-blocked' } })).verdict, 'pass');
    await Promise.all([nma.kill(), first.kill()]);
    await apply(monitorDaemonSet);
    const daemonSet = await read('-n', 'kube-system', 'daemonset', monitorDaemonSet.metadata.name);
    // Budgets of node pools are read where a Karpenter disrupts by them.
    await apply(karpenterDeployment);
    for (const definition of karpenterDefinitions()) await apply(definition);
    await kubectl(['label', 'node', node, 'karpenter.sh/nodepool=gpus', '--overwrite']);
    await apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'monitor',
        namespace: 'kube-system',
        labels: monitorLabels,
        // Only a pod that comes back is ever deleted.
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'DaemonSet',
            name: daemonSet.metadata.name,
            uid: daemonSet.metadata.uid,
            controller: true,
          },
        ],
      },
      spec: { ...monitorTemplate.spec, nodeName: node },
    });
    const sample = await read('-n', namespace, 'injection', injectionName('blocked', node));
    let drills = 0;
    for (const right of rights) {
      for (const verb of right.verbs) {
        for (const resource of right.resources) {
          drills += 1;
          // The right to create a lease is used where there is none.
          await kubectl(['-n', namespace, 'delete', 'lease', 'xidrill-coordinator', '--ignore-not-found']);
          await kubectl(['-n', namespace, 'delete', 'configmap', killSwitchName, '--ignore-not-found']);
          const complaint = `cannot ${verb} resource "${resource}" in API group "${right.apiGroups[0]}"`;
          const restore = await without(right, verb, resource);
          // An injection is read by its name where somebody else has made it already.
          if (resource === 'injections' && verb === 'get') await copyOf(sample, `right-${drills}`);
          const restores = resource === 'pods' && verb === 'delete';
          if (restores) await latch(sample, `right-${drills}`);
          // It remembers for some seconds whom it has let in.
          if (right.who === 'agent' || /^nodes/.test(resource)) {
            await agent.kill();
            agent = await runAgent();
          }
          const coordinator = await runCoordinator(async () => true);
          const answers = exercise(
            `right-${drills}`,
            verb === 'delete',
            resource === 'events' && verb === 'create',
            restores,
            right.who === 'operator' && resource === 'configmaps',
          );
          const said = () => `${coordinator.errors()}\n${answers.text()}`.replaceAll('\\', '');
          try {
            await until(complaint, async () => said().includes(complaint));
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

  t.test('no token is in any line that a program wrote', async (t) => {
    assertNoToken(t, installed, shown);
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
  function exercise(name: string, deletes: boolean, engages: boolean, restores: boolean, switches: boolean) {
    let text = '';
    const stopping = new AbortController();
    const call = async (
      path: string,
      body?: object,
      to: 'agent' | 'coordinator' = 'coordinator',
      method?: 'DELETE' | 'PUT',
    ) => {
      try {
        const answer = await send(to, path, {
          ...(body === undefined ? {} : { body }),
          ...(method === undefined ? {} : { method }),
          signal: AbortSignal.any([stopping.signal, AbortSignal.timeout(10_000)]),
        });
        text += `${path}: ${answer.text}\n`;
      } catch {
        // It does not serve yet, or is stopped.
      }
    };
    const who = `--as=system:serviceaccount:${namespace}:operator`;
    const asOperator = async (...args: string[]) => {
      text += (await plane.kubectl(['-n', namespace, ...args, '-o', 'name', who])).stderr;
    };
    /** As the command line does, by the API server alone; before the coordinator makes it. */
    const asOperatorSwitch = async () => {
      await asOperator('get', 'configmaps', `--field-selector=metadata.name=${killSwitchName}`);
      const metadata = { name: killSwitchName, namespace };
      const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { engaged: 'false' } };
      const words = ['apply', '--server-side', '--force-conflicts', '-f', '-', who];
      text += (await plane.kubectl(words, JSON.stringify(object))).stderr;
    };
    const done = (async () => {
      const body = { name, fault: { name: 'task-blocked' }, expectation: { within: '20s' } };
      for (let round = 0; !stopping.signal.aborted; round += 1, await sleep(200)) {
        if (switches) await asOperatorSwitch();
        await call('experiments', body);
        await call(`nodes/${node}/preflight`);
        // A node that the live view does not know is read by its name.
        await call('nodes/nobody/preflight');
        await call(`experiments/${name}/injections`);
        await call(`experiments/${name}`);
        for (const path of ['experiments', 'nodes', 'faults', 'faults/task-blocked']) await call(path);
        // No order: what may be given is refused for its body.
        await call('WriteKernelMessage', {}, 'agent');
        await call('TailKernelLog', { from: 'oldest', limit: 1 }, 'agent');
        await call('killswitch');
        // Each change is an event.
        if (engages) await call('killswitch', { engaged: true }, 'coordinator', 'PUT');
        await call('killswitch', { engaged: false }, 'coordinator', 'PUT');
        if (restores) await call(`experiments/${name}/restore`, {});
        await asOperator('get', 'injections');
        await asOperator('get', 'injection', injectionName(name, node));
        // Not at once: what is aborted before it has begun asks for little.
        if (round > 4) await call(`experiments/${name}/abort`, {});
        if (round > 4 && deletes) await call(`experiments/${name}`, undefined, 'coordinator', 'DELETE');
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

  /** A drill that has ended, of a fault whose condition the node still has: its restore deletes the pod of NMA. */
  async function latch({ spec, status, ...rest }: Rendered, name: string): Promise<void> {
    const now = new Date().toISOString();
    const text = 'fork/exec /usr/bin/runc: resource temporarily unavailable';
    const [order, detection] = (spec as { chain: readonly (object & { order?: object })[] }).chain;
    const call = { method: 'WriteJournalMessage', body: { identifier: 'kubelet', text } };
    const chain = [{ ...order, order: { ...order?.order, ...call } }, detection];
    const at = { apiVersion: rest.apiVersion, metadata: { name, namespace } };
    await apply({ ...at, kind: 'Experiment', spec: { fault: { name: 'task-blocked' } } });
    await kubectl(statusPatch('experiment', name, { phase: 'Completed', verdict: 'pass' }));
    const injection = injectionName(name, node);
    const labels = { 'xidrill.dev/experiment': name };
    await apply({
      ...at,
      kind: rest.kind,
      metadata: { name: injection, namespace, labels },
      spec: { ...(spec as object), experiment: name, chain },
    });
    await kubectl(statusPatch('injection', injection, status));
    // One that is not Ready is being restarted already.
    const ready = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    const podPatch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status: ready })];
    await kubectl(['-n', 'kube-system', 'patch', 'pod', 'monitor', ...podPatch]);
    const condition = { type: 'KernelReady', status: 'False', reason: 'ForkFailedOutOfPIDs', message: 'x' };
    const conditions = [{ ...condition, lastHeartbeatTime: now, lastTransitionTime: now }];
    await kubectl([
      ...['patch', 'node', node, '--subresource=status', '--type=strategic'],
      ...['-p', JSON.stringify({ status: { conditions } })],
    ]);
  }

  function statusPatch(kind: string, name: string, status: unknown): readonly string[] {
    const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status })];
    return ['-n', namespace, 'patch', kind, name, ...patch];
  }

  /** The same token with its time over, signed anew by the key of this API server: nobody waits ten minutes for one. */
  function expired(token: string): string {
    const [head = ''] = token.split('.');
    const now = Math.floor(Date.now() / 1000);
    const old = JSON.stringify({ ...claimsIn(token), iat: now - 7200, nbf: now - 7200, exp: now - 3600 });
    const text = `${head}.${Buffer.from(old).toString('base64url')}`;
    const key = createPrivateKey(readFileSync(join(dirname(plane.kubeconfigPath), 'service-account.key')));
    const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  }
}

function claimsIn(token: string): object {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
}
