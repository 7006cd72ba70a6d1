import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { injectionName } from '../../coordinator/store/store.ts';
import { findHelm, type Helm } from '../charts/helm.ts';
import { release } from '../charts/render.ts';
import { page } from '../pages.ts';
import { install } from './installation.ts';
import { recordsWith } from './rig.ts';

/** What somebody can and cannot do who has stolen something: each row is tried, and the chart's page has the same rows. */
t.setTimeout(900_000);
const { namespace } = release;

type Row = {
  readonly stolen: string;
  readonly can: boolean;
  readonly what: string;
  /** Whether it succeeded. */
  readonly attempt: () => Promise<boolean>;
};

const found = findHelm();
if ('because' in found) t.pass('', { skip: found.because });
else await thefts(found);

async function thefts(helm: Helm): Promise<void> {
  // No process here is in the node's own root; the one folder of the node that the container mounts stands for it.
  const installed = await install(t, helm, [
    '--set=agent.armed=true',
    '--set=agent.optIn=/var/lib/xidrill/armed',
    '--set-json=agent.extraEnv=[{"name":"XIDRILL_HOST_ROOT","value":"/"}]',
  ]);
  const armed = join(installed.folder, 'node/host/var/lib/xidrill/armed');
  const { plane, kubectl, kubelet, node, fullname, tokenOf, tokens, send, drill } = installed;
  await kubectl(['label', 'node', node, 'xidrill.dev/drill=allowed']);
  const [agent, coordinator] = [await installed.runAgent(), await installed.runCoordinator()];

  /** The newest token that the kubelet gave to a pod of ours. */
  function podToken(program: 'agent' | 'coordinator', audience: string): string {
    const mine = kubelet.tokens.filter((token) => {
      const text = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
      const { sub, aud } = JSON.parse(text) as { readonly sub: string; readonly aud: readonly string[] };
      const isForAgents = aud.includes('xidrill-agent');
      return sub.endsWith(`:${fullname}-${program}`) && isForAgents === (audience === 'xidrill-agent');
    });
    const token = mine.at(-1);
    if (token === undefined) throw new Error(`no token of the ${program} for ${audience}`);
    return token;
  }

  /** Whether the API server does it for the token. */
  const asks = async (token: string, ...args: string[]) =>
    (await plane.kubectl(['--token', token, '-n', namespace, ...args])).exitCode === 0;
  const calls = async (to: 'agent' | 'coordinator', path: string, token: string, body?: object) =>
    (await send(to, path, { token, ...(body === undefined ? {} : { body }) })).status < 300;
  const line = () => ({ text: `xidrill ${randomUUID()}: stolen` });
  const none = { methods: ['GetInventory', 'WriteKernelMessage', 'StopInjection', 'SetKillSwitch'] };

  async function injects(name: string): Promise<boolean> {
    await drill({ name, fault: { name: 'task-blocked' }, expectation: { within: '2s' } });
    const { spec } = (await installed.read('-n', namespace, 'injection', injectionName(name, node))) as {
      spec?: { chain?: readonly { order?: { body?: { text?: string } } }[] };
    };
    const text = spec?.chain?.[0]?.order?.body?.text;
    if (text === undefined) throw new Error(`${name} has no order`);
    return recordsWith(text) > 0;
  }

  const coordinatorApi = podToken('coordinator', 'kubernetes');
  const coordinatorForAgents = podToken('coordinator', 'xidrill-agent');
  const agentApi = podToken('agent', 'kubernetes');
  const guest = await tokenOf('guest', 'xidrill-agent');
  const token = 'coordinator token';
  const operator = 'operator token';
  const pod = 'pod on the node';
  const ownedAgent = 'agent';
  const rows: readonly Row[] = [
    {
      stolen: token,
      can: false,
      what: 'read or inject at an agent: it counts only with the coordinator’s certificate',
      attempt: async () =>
        (await calls('agent', 'GetInventory', coordinatorForAgents, {})) ||
        calls('agent', 'WriteKernelMessage', coordinatorForAgents, line()),
    },
    {
      stolen: token,
      can: true,
      what: 'make, abort and delete experiments in its namespace',
      attempt: async () => {
        const object = {
          apiVersion: 'xidrill.dev/v1alpha1',
          kind: 'Experiment',
          metadata: { name: 'stolen', namespace },
          spec: { fault: { name: 'task-blocked' }, target: { selector: { names: ['nobody'] } } },
        };
        const file = join(installed.folder, 'stolen.json');
        writeFileSync(file, JSON.stringify(object));
        return asks(coordinatorApi, 'create', '-f', file);
      },
    },
    {
      stolen: token,
      can: false,
      what: 'inject on a node whose owner has not placed the file of `agent.optIn`, whatever experiments it makes',
      attempt: () => injects('without-consent'),
    },
    {
      stolen: token,
      can: true,
      what: 'inject what the catalogue offers on nodes that are labelled, armed and opted in',
      attempt: async () => {
        writeFileSync(armed, '', { mode: 0o644 });
        return injects('with-consent');
      },
    },
    {
      stolen: token,
      can: false,
      what: 'label a node, make a pod, read a Secret, or run something in a pod',
      attempt: async () =>
        (await asks(coordinatorApi, 'label', 'node', node, 'stolen=yes')) ||
        (await asks(coordinatorApi, 'run', 'stolen', '--image=stolen')) ||
        (await asks(coordinatorApi, 'get', 'secrets')) ||
        asks(coordinatorApi, 'auth', 'can-i', 'create', 'pods/exec'),
    },
    {
      stolen: operator,
      can: true,
      what: 'make drills by REST, as its owner, and set the kill switch',
      attempt: async () =>
        (await calls('coordinator', 'experiments', tokens.coordinator, {
          fault: { name: 'task-blocked' },
          expectation: { within: '1s' },
        })) &&
        (await send('coordinator', 'killswitch', { method: 'PUT', body: { engaged: false } })).status === 200,
    },
    {
      stolen: operator,
      can: true,
      what: 'read a node and its kernel log at the agent',
      attempt: async () =>
        (await calls('agent', 'GetInventory', tokens.agent, {})) &&
        calls('agent', 'TailKernelLog', tokens.agent, { from: 'oldest', limit: 1 }),
    },
    {
      stolen: operator,
      can: false,
      what: 'inject at an agent directly, release its kill switch, or renew a lease, unless `agent.direct` allows it',
      attempt: async () =>
        (await calls('agent', 'WriteKernelMessage', tokens.agent, line())) ||
        calls('agent', 'SetKillSwitch', tokens.agent, { engaged: false }),
    },
    {
      stolen: operator,
      can: false,
      what: 'use the token for the other program, or for the API server',
      attempt: async () =>
        (await calls('agent', 'GetInventory', tokens.coordinator, {})) ||
        (await calls('coordinator', 'nodes', tokens.agent)) ||
        asks(tokens.agent, 'get', 'experiments'),
    },
    {
      stolen: pod,
      can: true,
      what: 'read `/healthz`, `/readyz`, `/metrics` and `/openapi.json`, where a NetworkPolicy lets it connect',
      attempt: async () => (await send('agent', '../metrics', { token: '' })).status === 200,
    },
    {
      stolen: pod,
      can: false,
      what: 'call any method, without a token or with one of an account that has no right',
      attempt: async () => {
        for (const method of none.methods)
          for (const shown of ['', guest]) if (await calls('agent', method, shown, {})) return true;
        return calls('coordinator', 'nodes', '');
      },
    },
    {
      stolen: ownedAgent,
      can: true,
      what: 'ask the API server whose a token is (and do to its own node what root can)',
      attempt: () => asks(agentApi, 'auth', 'can-i', 'create', 'tokenreviews.authentication.k8s.io'),
    },
    {
      stolen: ownedAgent,
      can: false,
      what: 'read or change anything in the cluster: nodes, pods, Secrets, experiments, the kill switch',
      attempt: async () => {
        for (const kind of ['nodes', 'pods', 'secrets', 'experiments', 'injections', 'configmaps'])
          if (await asks(agentApi, 'get', kind)) return true;
        return asks(agentApi, 'label', 'node', node, 'stolen=yes');
      },
    },
    {
      stolen: ownedAgent,
      can: false,
      what: 'call another agent, or the coordinator',
      attempt: async () =>
        (await calls('agent', 'GetInventory', agentApi, {})) || calls('coordinator', 'nodes', agentApi),
    },
  ];

  for (const { stolen, can, what, attempt } of rows)
    t.test(`${stolen} ${can ? 'can' : 'cannot'} ${what}`, async (t) => {
      t.equal(await attempt(), can);
    });

  t.test('the page has these rows and no others', async (t) => {
    const table = [
      '| Who has stolen a … | can | cannot |',
      '| --- | --- | --- |',
      ...[token, operator, pod, ownedAgent].map((thing) => {
        const those = (can: boolean) =>
          rows
            .filter((row) => row.stolen === thing && row.can === can)
            .map((row) => row.what)
            .join('; ');
        return `| ${thing} | ${those(true)} | ${those(false)} |`;
      }),
    ].join('\n');
    const [, shown = ''] = page('charts/xidrill/README.md').split(/<!-- \/?thefts -->\n?/);
    t.equal(shown.trim(), table);
  });
  t.teardown(() => Promise.all([agent.kill(), coordinator.kill()]));
}
