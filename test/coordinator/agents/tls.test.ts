import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { createHttpAgents } from '../../../coordinator/agents/http.ts';
import { createAgentTransport } from '../../../coordinator/agents/transport.ts';
import { startAgent } from '../../agent/process.ts';
import { temporaryFolder } from '../../agent/rig.ts';
import { createAuthority } from '../../shared/http/certificates.ts';
import { mountFiles } from '../../shared/http/mounted.ts';
import { cpuNode, only, startCoordinator, startRig } from '../rig.ts';

const node = 'n1';
const serverName = 'xidrill-agent';
const coordinatorName = 'xidrill-coordinator';
const main = fileURLToPath(new URL('../../../coordinator/main.ts', import.meta.url));

const tlsFlags = (files: { readonly path: (name: string) => string }) => [
  ...['--tls-cert-file', files.path('tls.crt'), '--tls-key-file', files.path('tls.key')],
];

type Pair = { readonly certFile: string; readonly keyFile: string };
const asMounted = ({ certFile, keyFile }: Pair) => ({
  'tls.crt': readFileSync(certFile),
  'tls.key': readFileSync(keyFile),
});

async function secureAgent(t: Test, folder: string, first: Pair, asks: readonly string[] = []) {
  const files = mountFiles(join(folder, 'agent'), ['tls.crt', 'tls.key']);
  files.place(asMounted(first));
  const flags = [...tlsFlags(files), '--kernel-log', '/dev/null', '--arm', ...asks];
  return { ...(await startAgent(t, { flags })), files };
}

t.test('an agent whose certificate is not believed gets no order, and the drill says why', async (t) => {
  const folder = temporaryFolder(t);
  const ours = createAuthority(folder, 'ours');
  const theirs = createAuthority(folder, 'theirs');
  const agent = await secureAgent(t, folder, ours.issue(serverName));
  t.match(agent.url, /^https:/);
  const rig = await startRig(t, { rows: [cpuNode(node)] });
  const rows = [
    ['wrong-ca', theirs.issue(serverName), /comes from another authority than the one that is trusted/],
    ['wrong-name', ours.issue('somebody-else'), /is for another name \(ERR_TLS_CERT_ALTNAME_INVALID/],
    ['expired', ours.issue(serverName, -1), /its certificate has expired \(CERT_HAS_EXPIRED/],
  ] as const;
  for (const [name, pair, because] of rows) {
    agent.files.place(asMounted(pair));
    await rig.cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    const agents = createHttpAgents({
      directory: async () => agent.url,
      tls: { caFile: ours.caFile, serverName },
    });
    const { rest } = await startCoordinator(t, rig, { namespace: name, agents });
    const answer = await rest.drill({ name, fault: { name: 'task-blocked' }, target: only(node) });
    t.match(answer, {
      verdict: 'inconclusive',
      explanation: {
        code: 'agent-unreachable',
        summary: because,
        evidence: [{ observed: because }],
        remedy: /--agent-ca-file/,
      },
    });
    t.equal(await agents.isUp(node), false);
    const preflight = await rest.ask('GET', `/api/v1/nodes/${node}/preflight`);
    const checks = preflight.body.checks as readonly { code: string; result: string }[];
    const found = checks.find(({ code }) => code === 'agent-unreachable');
    t.equal(found?.result, 'cause');
    t.match(JSON.stringify(found), because, 'a preflight says it too');
  }
  agent.files.place(asMounted(ours.issue(serverName)));
  const tls = { caFile: ours.caFile, serverName };
  const good = createHttpAgents({ directory: async () => agent.url, tls });
  t.match(await good.inventory(node), { node }, 'with a good one it answers again, without a restart');
});

t.test(
  'a coordinator whose certificate is not believed gives no order, and the drill says why',
  async (t) => {
    const folder = temporaryFolder(t);
    const ours = createAuthority(folder, 'ours');
    const theirs = createAuthority(folder, 'theirs');
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, 's3cret');
    const asks = [
      '--client-ca-file',
      ours.caFile,
      '--client-name',
      coordinatorName,
      '--token-file',
      tokenFile,
    ];
    const agent = await secureAgent(t, folder, ours.issue(serverName), asks);
    const rig = await startRig(t, { rows: [cpuNode(node)] });
    const agentsWith = (client: Pair | undefined) =>
      createHttpAgents({
        directory: async () => agent.url,
        tokenFile,
        tls: { caFile: ours.caFile, serverName, ...(client === undefined ? {} : { client }) },
      });
    const rows = [
      [
        'wrong-ca',
        theirs.issue(coordinatorName),
        /comes from another authority than the one that is trusted/,
      ],
      [
        'wrong-name',
        ours.issue('somebody-else'),
        /is for another name: it has DNS:somebody-else, and not xid/,
      ],
      ['expired', ours.issue(coordinatorName, -1), /the client certificate has expired \(CERT_HAS_EXPIRED\)/],
      ['none', undefined, /counts only together with a client certificate, and none was shown/],
    ] as const;
    for (const [name, client, because] of rows) {
      await rig.cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      const agents = agentsWith(client);
      const { rest } = await startCoordinator(t, rig, { namespace: name, agents });
      t.match(
        await rest.drill({ name, fault: { name: 'task-blocked' }, target: only(node) }),
        {
          verdict: 'error',
          explanation: { code: 'injection-refused', summary: because, remedy: /--client-ca-file/ },
        },
        name,
      );
      const preflight = await rest.ask('GET', `/api/v1/nodes/${node}/preflight`);
      const checks = preflight.body.checks as readonly { code: string; result: string }[];
      const found = checks.find(({ code }) => code === 'agent-unreachable');
      t.match(found, { result: 'cause' });
      t.match(JSON.stringify(found), /is unreachable: the agent of n1 refuses this coordinator/);
      t.match(JSON.stringify(found), because, 'a preflight says it too');
      t.equal(await agents.isUp(node), true, 'probes need no certificate');
    }
    t.match(await agentsWith(ours.issue(coordinatorName)).inventory(node), { node });
  },
);

t.test('what a coordinator could not call agents with is said before it serves', async (t) => {
  const folder = temporaryFolder(t);
  const ours = createAuthority(folder, 'ours');
  const files = ['--kubeconfig', kubeconfigFor(folder, 'http://127.0.0.1:1'), '--namespace', 'drills'];
  const ca = ['--agent-ca-file', ours.caFile];
  const rows = [
    [
      ['--agent', `${node}=http://127.0.0.1:1`, ...ca],
      /--agent: n1=http:.* would be shown the token in clear/m,
    ],
    [
      ['--agent-ca-file', join(folder, 'none')],
      /the authority .*none cannot be used: ENOENT[\s\S]*--agent-ca-file/,
    ],
    [
      ['--agent-token-file', join(folder, 'none')],
      /the token in .*none cannot be read: ENOENT[\s\S]*--agent-token-file/,
    ],
    [
      [...ca, '--agent-client-cert-file', ours.caFile, '--agent-client-key-file', ours.caFile],
      /cannot be used[\s\S]*--agent-client-cert-file/,
    ],
    [['--agent-client-cert-file', 'x', '--agent-client-key-file', 'y'], /give it with --agent-ca-file/],
    [
      [...ca, '--agent-client-key-file', 'y'],
      /--agent-client-cert-file: give it and --agent-client-key-file/,
    ],
  ] as const;
  for (const [flags, says] of rows) {
    const started = startCoordinatorProcess(t, folder, [...files, ...flags]);
    await t.rejects(started, { message: says }, flags.join(' '));
  }
});

t.test('the explanation names the side that is wrong', async (t) => {
  const folder = temporaryFolder(t);
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 's3cret');
  const agent = await startAgent(t, { flags: ['--token-file', tokenFile, '--kernel-log', '/dev/null'] });
  const own = join(folder, 'own');
  writeFileSync(own, 'another');
  const agents = createHttpAgents({ directory: async () => agent.url, tokenFile: own });
  await t.rejects(agents.inventory(node), {
    reason: 'unauthenticated',
    message: /refuses this coordinator/,
    details: { remedy: /--agent-token-file/ },
  });
  rmSync(own);
  await t.rejects(agents.inventory(node), {
    reason: 'agent_unreachable',
    message: /the token in .* cannot be read/,
    details: { isUnsent: true, remedy: /--agent-token-file/ },
  });
});

t.test('authority and certificates are renewed under load: no restart, no request lost', async (t) => {
  const folder = temporaryFolder(t);
  const [old, next] = [createAuthority(folder, 'old'), createAuthority(folder, 'next')];
  const agent = await secureAgent(t, folder, old.issue(serverName));
  const rig = await startRig(t, { rows: [cpuNode(node)] });

  const namespace = 'elsewhere';
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const files = mountFiles(join(folder, 'coordinator'), ['tls.crt', 'tls.key']);
  files.place(asMounted(old.issue(coordinatorName)));
  const trusted = mountFiles(join(folder, 'trusted'), ['ca.crt']);
  trusted.place({ 'ca.crt': readFileSync(old.caFile) });
  const both = Buffer.concat([old, next].map(({ caFile }) => readFileSync(caFile)));

  const url = await startCoordinatorProcess(t, folder, [
    ...tlsFlags(files),
    ...['--kubeconfig', kubeconfigFor(folder, rig.apiServer.url), '--namespace', namespace],
    ...['--agent', `${node}=${agent.url}`, '--agent-ca-file', trusted.path('ca.crt')],
  ]);
  const path = `${url}/api/v1/nodes/${node}/preflight`;
  const failures: string[] = [];
  let answered = 0;
  const wanted: (() => void)[] = [];
  const ask = async () => {
    // A connection of its own for each request, so that each sees a certificate.
    const request = createAgentTransport({ caFile: trusted.path('ca.crt'), serverName: coordinatorName });
    try {
      const { status, text } = await request(path, { method: 'GET', signal: AbortSignal.timeout(300_000) });
      const { checks = [] } = JSON.parse(text) as { checks?: { code: string; result: string }[] };
      const link = checks.find(({ code }) => code === 'agent-unreachable');
      if (status !== 200 || link?.result !== 'ok') failures.push(`${status} ${JSON.stringify(link)}`);
    } catch (thrown) {
      failures.push(String(thrown));
    }
    answered += 1;
    for (const waiting of wanted.splice(0)) waiting();
  };
  const stopping = new AbortController();
  const load = Promise.all(
    [1, 2, 3, 4].map(async () => {
      while (!stopping.signal.aborted) await ask();
    }),
  );
  // Not with a clock that jumps: under this load something is always in flight.
  const more = async (count: number) => {
    const from = answered;
    while (answered < from + count) await new Promise<void>((resolve) => wanted.push(resolve));
  };
  await more(8);
  // As cert-manager and trust-manager do it: both authorities are believed before anybody shows the new one.
  trusted.place({ 'ca.crt': both });
  await more(8);
  agent.files.place(asMounted(next.issue(serverName)));
  files.place(asMounted(next.issue(coordinatorName)));
  await more(8);
  trusted.place({ 'ca.crt': readFileSync(next.caFile) });
  await more(8);
  stopping.abort();
  await load;
  t.strictSame(failures, [], `${answered} requests`);
});

function kubeconfigFor(folder: string, server: string): string {
  const file = join(folder, 'kubeconfig');
  const context = { cluster: 'it', user: 'it' };
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'it', cluster: { server } }],
      users: [{ name: 'it', user: {} }],
      contexts: [{ name: 'it', context }],
      'current-context': 'it',
    }),
  );
  return file;
}

/** The real process on a free port of loopback; it says in its log where it serves. */
async function startCoordinatorProcess(t: Test, cwd: string, flags: readonly string[]): Promise<string> {
  const child = spawn(
    '/usr/bin/env',
    ['-u', 'NODE_OPTIONS', process.execPath, main, '--listen', '127.0.0.1:0', ...flags],
    { cwd, env: { PATH: process.env.PATH ?? '' }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await gone;
  });
  let said = '';
  const serves = new Promise<string>((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      const url = /"url":"(https:[^"]+)"/.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
  return Promise.race([serves, gone.then(() => Promise.reject(new Error(`the coordinator ended: ${said}`)))]);
}
