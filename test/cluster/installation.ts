import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { createAgentTransport } from '../../coordinator/agents/transport.ts';
import type { ExperimentAnswer } from '../../coordinator/routes/answers.ts';
import { chart, type Helm } from '../charts/helm.ts';
import { type Rendered, release } from '../charts/render.ts';
import { startControlPlane } from './controlplane/start.ts';
import { buildImage } from './image.ts';
import { kubectlOf } from './kubectl.ts';
import { createKubelet, podOf } from './kubelet.ts';
import { freePort, type Running, start } from './processes.ts';
import { readyPatch } from './rig.ts';

type Program = 'agent' | 'coordinator';

type Sent = {
  readonly body?: object;
  /** Absent: POST with a body, GET without one. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** '': none. */
  readonly token?: string;
  readonly prefer?: string;
  readonly signal?: AbortSignal;
};

const node = 'drilled';

export type Installation = Awaited<ReturnType<typeof install>>;

/**
 * The chart in a real kube-apiserver, as somebody installs it who has read nothing but the README; images are assembled,
 * and this machine plays the kubelet of two nodes. `values` are words for helm.
 */
export async function install(t: Test, helm: Helm, values: readonly string[] = []) {
  const { name: releaseName, namespace } = release;
  const fullname = `${releaseName}-xidrill`;
  const plane = await startControlPlane();
  t.teardown(() => plane.stop());
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-installed-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));

  const kubectl = kubectlOf(plane);
  const apply = (object: object) => kubectl(['apply', '-f', '-'], JSON.stringify(object));
  const read = async (...args: string[]) =>
    JSON.parse(await kubectl(['get', '-o', 'json', ...args])) as Rendered;
  const kubelet = createKubelet({ plane, kubectl, folder: join(folder, 'node') });
  t.teardown(() => kubelet.stop());

  const images = {
    agent: await buildImage('agent', join(folder, 'agent')),
    coordinator: await buildImage('coordinator', join(folder, 'coordinator')),
  };
  const ports = { agent: await freePort(), coordinator: await freePort() };
  const urls = {
    agent: `https://127.0.0.1:${ports.agent}`,
    coordinator: `https://127.0.0.1:${ports.coordinator}`,
  };
  /** Pods have no addresses of their own here, so that they are told to serve on this machine's. */
  const given = [
    ...Object.entries(ports).flatMap(([program, port]) => [
      `--set=${program}.listenHost=127.0.0.1`,
      `--set=${program}.port=${port}`,
    ]),
    `--set=coordinator.service.port=${ports.coordinator}`,
    '--set=coordinator.leaseSeconds=1',
    // Everything that can be in a log shall be there, as no token may be.
    ...['agent', 'coordinator'].map((program) => `--set=${program}.logLevel=debug`),
    ...values,
  ];

  const words = ['install', releaseName, chart, '-n', namespace, '--create-namespace', ...given];
  const { code, stdout, stderr } = await helm(words, { KUBECONFIG: plane.kubeconfigPath });
  if (code !== 0) throw new Error(`helm ${words.join(' ')}: ${stdout}${stderr}`);
  await apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } });
  await kubectl(readyPatch(node));

  const secretOf = async (program: Program) => {
    const secret = await read('-n', namespace, 'secret', `${fullname}-${program}-tls`);
    return (secret as unknown as { data: Record<string, string> }).data;
  };
  /** Believes that authority alone. */
  const caller = async (program: Program, serverName: string) => {
    const caFile = join(folder, `${program}-ca.crt`);
    writeFileSync(caFile, Buffer.from((await secretOf(program))['ca.crt'] ?? '', 'base64'));
    return createAgentTransport({ caFile, serverName });
  };
  const request = {
    agent: await caller('agent', 'xidrill-agent'),
    coordinator: await caller('coordinator', `${fullname}-coordinator`),
  };
  const isReady = async (program: Program): Promise<boolean> => {
    try {
      const options = { method: 'GET', signal: AbortSignal.timeout(60_000) } as const;
      return (await request[program](`${urls[program]}/readyz`, options)).status === 200;
    } catch {
      return false;
    }
  };

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
    to: Program,
    path: string,
    {
      body,
      method = body === undefined ? 'GET' : 'POST',
      token = tokens[to],
      prefer,
      signal = AbortSignal.timeout(300_000),
    }: Sent = {},
  ) =>
    request[to](`${urls[to]}${to === 'agent' ? '/xidrill.agent.v1.AgentService' : '/api/v1'}/${path}`, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(prefer === undefined ? {} : { prefer }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });

  return {
    plane,
    folder,
    kubectl,
    apply,
    read,
    kubelet,
    node,
    fullname,
    tokenOf,
    tokens,
    send,
    runAgent: async () =>
      kubelet.run(
        podOf(await read('-n', namespace, 'daemonset', `${fullname}-agent`), 'agent', node),
        images.agent,
        () => isReady('agent'),
      ),
    /** On a node without GPUs. */
    runCoordinator: async (ready = () => isReady('coordinator')) =>
      kubelet.run(
        podOf(await read('-n', namespace, 'deployment', `${fullname}-coordinator`), 'coordinator', 'system'),
        images.coordinator,
        ready,
      ),
    drill: async (body: object) =>
      JSON.parse(
        (await send('coordinator', 'experiments', { body, prefer: 'wait=60' })).text,
      ) as ExperimentAnswer,
    async startNma(): Promise<Running> {
      const args = ['--kubeconfig', plane.kubeconfigPath, '--node', node, '--version', '1.6.4'];
      let said = '';
      const nma = await start('coordinator/rehearsal/nma/process.ts', args, async (child) => {
        said += child.stdout?.read()?.toString() ?? '';
        return said.includes('ready');
      });
      t.teardown(() => nma.kill('SIGKILL'));
      return nma;
    },
  };
}

/** Of all that the pods wrote so far, nothing is a token, whoever showed it. */
export function assertNoToken(
  t: Test,
  { kubelet, tokens }: Installation,
  shown: readonly string[] = [],
): void {
  const logs = kubelet.logs();
  t.match(logs, /"level":20/, 'everything was logged that can be');
  const all = [...new Set([...kubelet.tokens, ...Object.values(tokens), ...shown])];
  t.ok(all.length > 4);
  // The end is the signature, which only the token itself has.
  const found = all.filter((token) => token.length > 20 && logs.includes(token.slice(-40)));
  t.equal(found.length, 0, `none of ${all.length} tokens is in ${logs.length} characters of logs`);
}
