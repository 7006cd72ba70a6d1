import { chmodSync, copyFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { Server } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { createAgentTransport, troubleOf } from '../../../coordinator/agents/transport.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createCertificateGate } from '../../../shared/http/client-certificate.ts';
import {
  createTlsServer,
  readAuthorities,
  readTlsPair,
  type ServerTls,
  type TlsFiles,
} from '../../../shared/http/tls.ts';
import { copyPair, createAuthority } from './certificates.ts';
import { listen } from './listen.ts';

const serverName = 'xidrill-agent';
const clientName = 'xidrill-coordinator';

/** Answers each request with what the gate says; `authorities` are read anew for each. */
async function serve(
  t: Test,
  files: ServerTls,
): Promise<{ port: number; server: Server; problems: string[] }> {
  const problems: string[] = [];
  const gate = createCertificateGate({ admit: async () => 'caller' }, createRealClock(), {
    name: clientName,
    authorities: () =>
      new Set(
        files.clientCaFile === undefined
          ? []
          : readAuthorities(files.clientCaFile, 'client-ca-file').map((found) => found.fingerprint256),
      ),
  });
  const handler: RequestListener = (request, response) => {
    const access = { verb: 'get', resource: 'nodes' };
    gate.admit(undefined, access, request.socket).then(
      (who) => response.end(`admitted ${who}`),
      (thrown: Error) => response.end(`refused: ${thrown.message}`),
    );
  };
  const server = createTlsServer(files, handler, (because) => problems.push(because));
  return { port: await listen(t, server), server, problems };
}

function open(t: Test, port: number, settings: object): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = connect({ port, host: '127.0.0.1', servername: serverName, ...settings }, () =>
    resolve(socket),
  );
  socket.on('error', reject);
  t.teardown(() => socket.destroy());
  return promise;
}

/** One request on a connection that stays open. */
function ask(socket: TLSSocket): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.once('data', (chunk) => resolve(String(chunk).split('\r\n').slice(-1)[0] ?? ''));
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  return promise;
}

t.test('a connection cannot become somebody else’s by a second handshake', async (t) => {
  const ours = createAuthority(t.testdir({}), 'ours');
  const { port } = await serve(t, { ...ours.issue(serverName), clientCaFile: ours.caFile });
  const settings = {
    ...readTlsPair(ours.issue('somebody-else')),
    ca: readAuthorities(ours.caFile, 'x').map(String),
  };
  const socket = await open(t, port, { ...settings, maxVersion: 'TLSv1.2' });
  const { promise, resolve } = Promise.withResolvers<unknown>();
  socket.renegotiate({}, resolve);
  socket.removeAllListeners('error').on('error', resolve);
  t.match(await promise, { code: /NO_RENEGOTIATION|ERR_SSL/ });
});

t.test('an authority that is taken out is not trusted on open connections either', async (t) => {
  const dir = t.testdir({});
  const [ours, theirs] = [createAuthority(dir, 'ours'), createAuthority(dir, 'theirs')];
  const clientCaFile = join(dir, 'client-ca.crt');
  copyFileSync(ours.caFile, clientCaFile);
  const { port } = await serve(t, { ...ours.issue(serverName), clientCaFile });
  const settings = {
    ...readTlsPair(ours.issue(clientName)),
    ca: readAuthorities(ours.caFile, 'x').map(String),
  };
  const socket = await open(t, port, settings);
  t.equal(await ask(socket), 'admitted caller');
  writeFileSync(
    clientCaFile,
    readAuthorities(theirs.caFile, 'x').join('') + readAuthorities(ours.caFile, 'x').join(''),
  );
  t.equal(await ask(socket), 'admitted caller', 'another one besides changes nothing');
  copyFileSync(theirs.caFile, clientCaFile);
  t.match(await ask(socket), /^refused: .*from an authority that is not trusted any more/);
});

t.test('files that cannot be read for a moment end nothing, and are tried again', async (t) => {
  const dir = t.testdir({});
  const ours = createAuthority(dir, 'ours');
  const files = { certFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') };
  const place = (pair: TlsFiles) => copyPair(pair, files);
  place(ours.issue(serverName));
  const { port, problems } = await serve(t, files);
  const serial = async () => {
    const socket = await open(t, port, { ca: readAuthorities(ours.caFile, 'x').map(String) });
    const found = socket.getPeerX509Certificate()?.serialNumber;
    socket.destroy();
    return found;
  };
  const first = await serial();
  renameSync(files.keyFile, join(dir, 'kept.key'));
  symlinkSync('tls.key', files.keyFile);
  for (const _ of [1, 2, 3]) t.equal(await serial(), first, 'a link to itself: the one before goes on');
  t.equal(problems.length, 1, 'said once');
  t.match(problems[0], /ELOOP/);
  rmSync(files.keyFile);
  const next = ours.issue(serverName);
  copyFileSync(next.keyFile, files.keyFile);
  t.equal(await serial(), first, 'a key of another certificate');
  t.match(problems[1], /cannot be used/);
  place(next);
  chmodSync(files.keyFile, 0o600);
  t.not(await serial(), first, 'both fit: they count at once');
});

t.test('a file without a whole certificate in it is no authority', (t) => {
  const dir = t.testdir({ empty: '', text: 'hello', cut: '' });
  const ours = createAuthority(dir, 'ours');
  const [pem = ''] = readAuthorities(ours.caFile, 'x').map(String);
  writeFileSync(join(dir, 'cut'), pem + pem.slice(0, 200));
  writeFileSync(join(dir, 'der'), readAuthorities(ours.caFile, 'x')[0]?.raw ?? '');
  for (const file of ['empty', 'text', 'cut', 'der', 'none'])
    t.throws(
      () => readAuthorities(join(dir, file), 'agent-ca-file'),
      {
        name: 'Refusal',
        reason: 'tls_unusable',
        details: { field: 'agent-ca-file', remedy: /--agent-ca-file/ },
      },
      file,
    );
  for (const file of ['empty', 'none'])
    t.throws(() => createAgentTransport({ caFile: join(dir, file), serverName }), { name: 'Refusal' });
  t.end();
});

/** What is so of a connection whose certificate ends after so many seconds; undefined: the machine was too busy to use it in time. */
async function atEndOfCertificate(t: Test, seconds: number) {
  const ours = createAuthority(t.testdir({}), 'ours');
  const until = new Date(Date.now() + seconds * 1000);
  const files = ours.issueUntil(serverName, until);
  const { port } = await serve(t, files);
  const request = createAgentTransport({ caFile: ours.caFile, serverName });
  const answer = () =>
    request(`https://127.0.0.1:${port}/`, { method: 'GET', signal: AbortSignal.timeout(300_000) }).then(
      ({ status }) => status,
      (thrown: unknown) => troubleOf(thrown).because,
    );
  const before = [await answer(), await answer()];
  if (Date.now() >= until.getTime()) return undefined;
  let after: unknown;
  while (Date.now() < until.getTime() + 1_000) after = await answer();

  const soon = new Date(Date.now() + seconds * 1000);
  copyPair(ours.issueUntil(serverName, soon), files);
  const renewed = await answer();
  copyPair(ours.issue(serverName), files);
  if (Date.now() >= soon.getTime()) return undefined;
  const answers = new Set<unknown>();
  while (Date.now() < soon.getTime() + 1_000) answers.add(await answer());
  return { before, after, renewed, answers: [...answers] };
}

t.test('a kept connection is not used beyond the certificate that it began with', async (t) => {
  let found: Awaited<ReturnType<typeof atEndOfCertificate>>;
  for (let seconds = 2.5; found === undefined; seconds *= 2)
    await t.test(`${seconds} s`, async (t) => {
      found = await atEndOfCertificate(t, seconds);
    });
  t.strictSame(found.before, [200, 200]);
  t.match(found.after, /its certificate has expired/);
  t.equal(found.renewed, 200, 'a renewed one is seen by a new connection');
  t.strictSame(found.answers, [200], 'renewed in time: the kept connection ends, and no request is lost');
});

t.test('who connects and says nothing does not keep a server that is asked to stop', async (t) => {
  const ours = createAuthority(t.testdir({}), 'ours');
  const { port, server } = await serve(t, ours.issue(serverName));
  const silent = connectPlain(port, '127.0.0.1');
  silent.on('error', () => undefined);
  await new Promise<void>((resolve) => silent.once('connect', resolve));
  const started = Date.now();
  await new Promise((resolve) => server.close(resolve));
  t.ok(Date.now() - started < 110_000, 'before Node’s own two minutes');
});
