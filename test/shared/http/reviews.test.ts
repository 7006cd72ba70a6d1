import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createInClusterReviews } from '../../../shared/http/reviews.ts';
import { readTlsPair } from '../../../shared/http/tls.ts';
import { createAuthority } from './certificates.ts';
import { listen } from './listen.ts';

const body = { kind: 'TokenReview', spec: { token: 's3cret' } };

/** An API server that answers everything alike, and a pod's folder with a token and the authority of it. */
async function startApiServer(t: Test, answer: { readonly status: number; readonly text: string }) {
  const dir = t.testdir({ token: 'own-1\n' });
  const authority = createAuthority(dir, 'ours');
  const seen: string[] = [];
  const pair = readTlsPair(authority.issue('localhost'));
  const server = createServer(pair, (request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += String(chunk);
    });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${request.headers.authorization} ${text}`);
      response.writeHead(answer.status).end(answer.text);
    });
  });
  const port = await listen(t, server, 'localhost');
  writeFileSync(join(dir, 'ca.crt'), readFileSync(authority.caFile));
  const environment = {
    KUBERNETES_SERVICE_HOST: 'localhost',
    KUBERNETES_SERVICE_PORT: String(port),
  };
  return { dir, seen, create: createInClusterReviews(environment, dir) };
}

t.test('a review is asked for with the pod’s own token of this moment', async (t) => {
  const { dir, seen, create } = await startApiServer(t, { status: 201, text: '{"status":{"allowed":true}}' });
  t.strictSame(await create('tokenreviews', body), { status: { allowed: true } });
  writeFileSync(join(dir, 'token'), 'own-2');
  await create('subjectaccessreviews', {});
  t.strictSame(seen, [
    `POST /apis/authentication.k8s.io/v1/tokenreviews Bearer own-1 ${JSON.stringify(body)}`,
    'POST /apis/authorization.k8s.io/v1/subjectaccessreviews Bearer own-2 {}',
  ]);
});

t.test('an API server that does not answer as one lets nobody in, and says what to do', async (t) => {
  const forbidden = JSON.stringify({ kind: 'Status', message: 'User "agent" cannot create resource' });
  const rows = [
    [403, forbidden, /answered 403 .*: User "agent" cannot create resource/, /verb create on tokenreviews/],
    [500, 'oops', /answered 500 .*: oops/, /log/],
    [201, '<html>s3cret</html>', /answered 201 .*: not the object that was asked for$/, /log/],
    [201, 'null', /not the object that was asked for$/, /log/],
  ] as const;
  for (const [status, text, message, remedy] of rows) {
    const { create } = await startApiServer(t, { status, text });
    const refused = { name: 'Refusal', reason: 'cluster_unreachable', message, details: { remedy } };
    await t.rejects(create('tokenreviews', body), refused);
  }
  const { dir, seen, create } = await startApiServer(t, { status: 201, text: '{}' });
  const unasked = { name: 'Refusal', reason: 'cluster_unreachable', details: { remedy: /CA are mounted/ } };
  writeFileSync(join(dir, 'ca.crt'), readFileSync(createAuthority(dir, 'theirs').caFile));
  await t.rejects(create('tokenreviews', body), unasked, 'of another authority: it never sees the token');
  t.strictSame(seen, []);
  t.throws(() => createInClusterReviews({}), { name: 'Refusal', message: /this process is in no pod/ });
});
