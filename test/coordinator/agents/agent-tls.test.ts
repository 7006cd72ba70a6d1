import { copyFileSync } from 'node:fs';
import { createServer as createPlainServer } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createAgentTransport, troubleOf } from '../../../coordinator/agents/transport.ts';
import { createTlsServer, readTlsPair, type TlsFiles } from '../../../shared/http/tls.ts';
import { copyPair, createAuthority } from '../../shared/http/certificates.ts';
import { listen } from '../../shared/http/listen.ts';

const serverName = 'xidrill-agent';

async function serve(t: Test, files: TlsFiles): Promise<{ url: string; problems: string[] }> {
  const problems: string[] = [];
  const server = createTlsServer(
    files,
    (_request, response) => response.end('{"ok":true}'),
    (because) => problems.push(because),
  );
  return { url: `https://127.0.0.1:${await listen(t, server)}`, problems };
}

const get = { method: 'GET', signal: AbortSignal.timeout(300_000) } as const;

t.test('only a certificate of our authority, for our name, of today is believed', async (t) => {
  const dir = t.testdir({});
  const ours = createAuthority(dir, 'ours');
  const theirs = createAuthority(dir, 'theirs');
  const request = createAgentTransport({ caFile: ours.caFile, serverName });
  const good = await serve(t, ours.issue(serverName));
  t.same(await request(good.url, get), { status: 200, text: '{"ok":true}' });
  const rows = [
    ['of another authority', theirs.issue(serverName), /comes from another authority/],
    ['for another name', ours.issue('somebody-else'), /for another name \(ERR_TLS_CERT_ALTNAME_INVALID/],
    ['of yesterday', ours.issue(serverName, -1), /has expired \(CERT_HAS_EXPIRED/],
  ] as const;
  for (const [what, files, because] of rows) {
    const { url } = await serve(t, files);
    const thrown = await request(url, get).then(
      () => undefined,
      (error: unknown) => error,
    );
    t.not(thrown, undefined, `${what}: nothing is asked`);
    t.match(troubleOf(thrown), { because, isAboutTls: true, isUnsent: true }, what);
  }
});

t.test('a renewed certificate and authority count at once, and no request is lost', async (t) => {
  const dir = t.testdir({});
  const [old, next] = [createAuthority(dir, 'old'), createAuthority(dir, 'next')];
  const served = { certFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') };
  const caFile = join(dir, 'trusted.crt');
  const place = (from: TlsFiles) => copyPair(from, served);
  place(old.issue(serverName));
  copyFileSync(old.caFile, caFile);
  const { url, problems } = await serve(t, served);
  const request = createAgentTransport({ caFile, serverName });
  const ask = () => request(url, { ...get, signal: AbortSignal.timeout(300_000) });
  const before = Promise.all(Array.from({ length: 20 }, ask));
  t.equal(
    (await before).every(({ status }) => status === 200),
    true,
  );
  place(next.issue(serverName));
  copyFileSync(next.caFile, caFile);
  const after = await Promise.all(Array.from({ length: 20 }, ask));
  t.equal(
    after.every(({ status }) => status === 200),
    true,
    'with the new pair, without a restart',
  );
  copyFileSync(caFile, served.certFile);
  const fresh = createAgentTransport({ caFile, serverName });
  t.match(await fresh(url, get), { status: 200 }, 'a pair that does not fit is not taken');
  t.match(problems[0], /cannot be used/);
  t.throws(() => readTlsPair(served), { name: 'Refusal', reason: 'tls_unusable' });
});

t.test('what speaks no TLS, or does not listen, is told as such', async (t) => {
  const ours = createAuthority(t.testdir({}), 'ours');
  const request = createAgentTransport({ caFile: ours.caFile, serverName });
  const plain = createPlainServer((_request, response) => response.end());
  const port = await listen(t, plain);
  const failure = (url: string) =>
    request(url, get).then(String, (thrown: unknown) => troubleOf(thrown).because);
  t.match(await failure(`https://127.0.0.1:${port}`), /speaks no TLS/);
  plain.close();
  plain.closeAllConnections();
  t.match(await failure(`https://127.0.0.1:${port}`), /nothing listens there/);
});
