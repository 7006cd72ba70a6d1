import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { logFiles } from '../../shared/surfaces/log-file.ts';
import { installStub, startEngine } from './dcgm/stub.ts';
import { type AgentProcess, hasOwnProcesses, runAgent, startAgent } from './process.ts';
import { service, temporaryFolder } from './rig.ts';

t.test('flags and environment', async (t) => {
  const folder = temporaryFolder(t);
  const stateDir = ['--state-dir', join(folder, 'state')];
  writeFileSync(join(folder, 'file'), '');
  const rows: readonly (readonly [
    string,
    readonly string[],
    number,
    readonly RegExp[],
    Record<string, string>?,
  ])[] = [
    ['help', ['--help'], 0, [/usage: xidrill-agent/, /--kernel-log PATH/, /XIDRILL_ARM/]],
    ['help beside mistakes', ['--foo', '--help'], 0, [/usage: xidrill-agent/]],
    ['no state directory', [], 2, [/^--state-dir: required/m]],
    [
      'every mistake at once',
      ['--listen', 'here', '--log-level', 'loud', '--foo', 'bar', '--arm=maybe', '--node'],
      2,
      [
        /^--listen: "here": not HOST:PORT/m,
        /^--log-level: "loud": one of debug/m,
        /^--foo: no such option; allowed: .*--state-dir/m,
        /^"bar" is no option/m,
        /^--arm: a switch, not "maybe"/m,
        /^--node: needs a value/m,
        /^--state-dir: required/m,
        /^usage:/m,
      ],
    ],
    ['a flag in place of a value', ['--node', '--arm', ...stateDir], 2, [/^--node: needs a value/m]],
    ['a switch of another word', stateDir, 2, [/^--arm \(XIDRILL_ARM\): "yes"/m], { XIDRILL_ARM: 'yes' }],
    [
      'beyond loopback without a token',
      ['--listen', '0.0.0.0:0', ...stateDir],
      2,
      [/reachable .*--token-file/],
    ],
    [
      'two that decide who is let in',
      ['--token-file', 'x', '--audience', 'y', ...stateDir],
      2,
      [/^--audience: give it or --token-file, not both/m],
    ],
    [
      'a certificate without its key',
      ['--tls-cert-file', 'x', ...stateDir],
      2,
      [/^--tls-cert-file: give it and --tls-key-file/m],
    ],
    [
      'a certificate that is none',
      ['--tls-cert-file', join(folder, 'file'), '--tls-key-file', join(folder, 'file'), ...stateDir],
      4,
      [/^xidrill-agent: certificate .* cannot be used/m, /give a PEM certificate chain/],
    ],
    [
      'an audience without an API server',
      ['--audience', 'xidrill-agent', ...stateDir],
      4,
      [/^xidrill-agent: KUBERNETES_SERVICE_HOST .* not set/m, /use --token-file outside a cluster/],
    ],
    [
      'a client certificate without TLS',
      ['--client-ca-file', 'x', '--token-file', 'x', ...stateDir],
      2,
      [/^--client-ca-file: give it with --tls-cert-file/m],
    ],
    [
      'a user whose token nobody would look at',
      ['--client-user', 'system:serviceaccount:a:b', ...stateDir],
      2,
      [/^--client-user: give it with --client-ca-file and --audience/m],
    ],
    ['a user that is none', ['--client-user=', ...stateDir], 2, [/^--client-user: "": empty/m]],
    ['the same for IPv6', ['--listen', '[::]:0', ...stateDir], 2, [/reachable .*--token-file/]],
    [
      'a state directory that is a file',
      ['--state-dir', join(folder, 'file')],
      4,
      [/^xidrill-agent: the journal in/m],
    ],
    ['an address of another machine', ['--listen', '127.0.0.1:99999', ...stateDir], 2, [/not HOST:PORT/]],
  ];
  for (const [name, flags, code, texts, env] of rows) {
    const ended = await runAgent(flags, env);
    t.equal(ended.code, code, name);
    for (const text of texts) t.match(ended.output, text, `${name}: ${text.source}`);
  }
  t.equal(existsSync(join(folder, 'state')), false, 'a wrong command leaves nothing behind');
});

t.test('a switch may be said with a word', async (t) => {
  const agent = await startAgent(t, { flags: ['--arm=false', '--kernel-log', '/dev/null'] });
  t.match((await agent.call('GetInventory')).body, { node: 'n1', armed: false });
  t.equal(await agent.end('SIGTERM'), 0, 'it ends when it is told to');
});

t.test('with a token file nobody gets in without the token', async (t) => {
  const folder = temporaryFolder(t);
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 's3cret\n');
  const agent = await startAgent(t, { flags: ['--token-file', tokenFile, '--kernel-log', '/dev/null'] });
  const refused = { status: 401, body: { code: 'unauthenticated', details: { reason: 'unauthenticated' } } };
  t.match(await agent.call('ListHostEngines'), refused);
  t.match(await agent.call('ListHostEngines', {}, { authorization: 'Bearer wrong' }), refused);
  t.match(await agent.call('ListHostEngines', {}, { authorization: 'Bearer s3cret' }), { status: 200 });
  t.match(await agent.call('NoSuchMethod'), { status: 404, body: { details: { reason: 'method_unknown' } } });

  writeFileSync(tokenFile, 'rotated');
  t.match(await agent.call('ListHostEngines', {}, { authorization: 'Bearer s3cret' }), refused);
  t.match(await agent.call('ListHostEngines', {}, { authorization: 'Bearer rotated' }), { status: 200 });
  for (const path of ['/healthz', '/metrics']) {
    t.equal((await fetch(`${agent.url}${path}`)).status, 200, `${path} needs none`);
  }

  const encoded = `${agent.url}/%78idrill.agent.v1.AgentService/ListHostEngines`;
  t.equal((await fetch(encoded, { method: 'POST' })).status, 401, 'nor by another spelling of the path');
});

t.test('a line goes into a file below the host root, and into none outside it', async (t) => {
  const hostRoot = temporaryFolder(t);
  const file = join(hostRoot, logFiles.ipamd);
  const flags = ['--arm', '--kernel-log', '/dev/null', '--host-root', hostRoot];
  const agent = await startAgent(t, { flags });
  const order = { file: 'ipamd', text: 'Unable to reach API Server' };
  t.match(await agent.call('AppendLogLine', order), {
    status: 400,
    body: { details: { reason: 'log_file_missing', remedy: /mkdir -p/ } },
  });
  t.equal(existsSync(file), false, 'nothing is created');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, 'before\n');
  t.match(await agent.call('AppendLogLine', order), {
    status: 200,
    body: { surfaces: [{ surface: 'log-file', readBack: { path: logFiles.ipamd, offset: 7 } }] },
  });
  t.equal(readFileSync(file, 'utf8'), `before\n${order.text}\n`);
});

t.test('a request as curl makes it', async (t) => {
  const agent = await startAgent(t, { flags: ['--kernel-log', '/dev/null'] });
  const url = `${agent.url}${service}/ListHostEngines`;
  t.equal((await fetch(url, { method: 'POST' })).status, 200, 'no body at all');
  const form = await fetch(url, { method: 'POST', body: new URLSearchParams({ a: 'b' }) });
  t.match(
    [form.status, await form.json()],
    [
      415,
      { details: { reason: 'media_type_unsupported', field: 'content-type', allowed: 'application/json' } },
    ],
  );
  const named = await fetch(url, { method: 'POST', headers: { 'x-request-id': 'mine' } });
  t.equal(named.headers.get('x-request-id'), 'mine');
});

t.test(
  'R6: an agent of a test sees no host engine of another one',
  hasOwnProcesses() ? {} : { skip: 'unshare --pid takes root' },
  async (t) => {
    const engine = await startEngine(t, installStub(t));
    await engine.nma(true);
    const flags = ['--kernel-log', '/dev/null'];
    const [alone, other] = [await startAgent(t, { flags }), await startAgent(t, { flags, seesAll: true })];
    const pids = async (agent: AgentProcess) => {
      const { engines = [] } = (await agent.call('ListHostEngines')).body as unknown as {
        engines?: readonly { readonly pid: number }[];
      };
      return engines.map(({ pid }) => pid);
    };
    t.strictSame(await pids(alone), []);
    t.ok((await pids(other)).includes(engine.pid), 'which is there');
  },
);
