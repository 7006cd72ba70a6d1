import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import type { ClusterSource } from '../../../coordinator/cluster/transport.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createRealClock } from '../../../shared/clock.ts';
import type { Refusal } from '../../../shared/errors.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { node, pod } from '../../contract/cluster-objects.ts';

function clientOf(kubeconfig: ClusterSource, requestTimeoutMs = 10_000): Cluster {
  return createClusterClient({
    kubeconfig,
    userAgent: 'xidrill-coordinator/1.2.3',
    fieldManager: 'xidrill-coordinator',
    log: createSilentLog(),
    requestTimeoutMs,
  });
}

async function listen(
  t: Test,
  server: Server & { closeAllConnections?(): void },
  scheme = 'http',
): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  t.teardown(() => {
    server.close();
    server.closeAllConnections?.();
  });
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serveWith = (t: Test, handler: RequestListener) => listen(t, createServer(handler));

function refusalOf(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    (value) => new Error(`nothing was thrown, but ${JSON.stringify(value)} came`),
    (thrown: unknown) => thrown,
  );
}

t.test('every request says who asks and what it sends, over few connections', async (t) => {
  const server = await startApiServer({ clock: createRealClock(), log: createSilentLog() });
  t.teardown(() => server.close());
  const cluster = clientOf({ url: `${server.url}/`, token: 'secret' });
  const made = await cluster.create('nodes', node('a'));
  await cluster.replace('nodes', made);
  await cluster.patch('nodes', { name: 'a' }, { spec: {} }, 'status');
  await cluster.remove('nodes', { name: 'a' });
  for (let count = 0; count < 100; count += 1) await cluster.read('nodes', { name: 'a' });
  const types = server.requests
    .slice(0, 4)
    .map(({ method, url, headers }) => [method, url, headers['content-type']]);
  t.strictSame(types, [
    ['POST', '/api/v1/nodes?fieldManager=xidrill-coordinator', 'application/json'],
    ['PUT', '/api/v1/nodes/a?fieldManager=xidrill-coordinator', 'application/json'],
    ['PATCH', '/api/v1/nodes/a/status?fieldManager=xidrill-coordinator', 'application/merge-patch+json'],
    ['DELETE', '/api/v1/nodes/a', 'application/json'],
  ]);
  for (const { headers } of server.requests) {
    t.match(headers, { 'user-agent': 'xidrill-coordinator/1.2.3', authorization: 'Bearer secret' });
  }
  t.equal(new Set(server.requests.map(({ remotePort }) => remotePort)).size, 1);
});

t.test('a list that expires between its pages is asked for in one piece', async (t) => {
  const server = await startApiServer({ clock: createRealClock(), log: createSilentLog() });
  t.teardown(() => server.close());
  const cluster = clientOf({ url: server.url });
  await cluster.create('nodes', node('a'));
  server.faults.failNext({ verb: 'list', code: 410 });
  t.equal((await cluster.list('nodes')).items.length, 1);
  const lists = server.requests.filter(({ verb }) => verb === 'list');
  t.strictSame(
    lists.map(({ url }) => url),
    ['/api/v1/nodes?limit=500', '/api/v1/nodes'],
  );
});

t.test('each answer becomes the refusal that says most', async (t) => {
  const rows: readonly (readonly [number, string, string, RegExp])[] = [
    [400, '{"kind":"Status","message":"bad thing"}', 'object_invalid', /HTTP 400, bad thing/],
    [401, '{"kind":"Status","message":"Unauthorized"}', 'cluster_refused', /Unauthorized/],
    [403, '{"kind":"Status","message":"nodes is forbidden: User \\"x\\""}', 'cluster_refused', /User "x"/],
    [404, '404 page not found\n', 'object_missing', /404 page not found/],
    [409, '{"kind":"Status","reason":"AlreadyExists"}', 'object_exists', /HTTP 409/],
    [409, '{"kind":"Status","reason":"Conflict"}', 'object_conflict', /HTTP 409/],
    [422, '{"kind":"Status","details":{"causes":[{"field":"spec.x"}]}}', 'object_invalid', /HTTP 422/],
    [429, '{"kind":"Status","details":{"retryAfterSeconds":7}}', 'cluster_unreachable', /HTTP 429/],
    [302, '', 'cluster_unreachable', /HTTP 302/],
    [500, '<html>', 'cluster_unreachable', /<html>/],
    [200, '<html>', 'cluster_unreachable', /not a JSON object/],
    [200, 'null', 'cluster_unreachable', /not a JSON object/],
    [200, '{"items":3,"metadata":{}}', 'cluster_unreachable', /not a list/],
    [200, '{"items":[]}', 'cluster_unreachable', /not a list/],
  ];
  for (const [code, text, reason, message] of rows) {
    const url = await serveWith(t, (_request, response) => response.writeHead(code).end(text));
    const thrown = await refusalOf(clientOf({ url }).list('nodes'));
    t.match(thrown, { reason, message, details: { asked: 'list nodes' } }, `${code} ${text}`);
    if (code === 429) t.match(thrown, { details: { retryAfterSeconds: 7 } });
    if (text.includes('spec.x')) t.match(thrown, { details: { field: 'spec.x' } });
  }
  const empty = await serveWith(t, (_request, response) =>
    response.end('{"items":null,"metadata":{"resourceVersion":"7"}}'),
  );
  t.strictSame(await clientOf({ url: empty }).list('nodes'), { items: [], resourceVersion: '7' });
});

t.test('a request that the API server puts off is sent again when it said, and not for ever', async (t) => {
  const rows = [
    { status: 429, headers: { 'retry-after': '0' }, times: 2, sent: 3, ends: 'answered' },
    { status: 429, headers: { 'retry-after': '1' }, times: 1, sent: 2, ends: 'answered', atLeastMs: 990 },
    { status: 429, headers: { 'retry-after': '0' }, times: 99, sent: 5, ends: 'cluster_unreachable' },
    { status: 429, headers: {}, times: 99, sent: 1, ends: 'cluster_unreachable' },
    { status: 429, headers: { 'retry-after': '60' }, times: 99, sent: 1, ends: 'cluster_unreachable' },
    { status: 503, headers: { 'retry-after': '0' }, times: 99, sent: 1, ends: 'cluster_unreachable' },
  ] as const;
  for (const { status, headers, times, sent, ends, ...row } of rows) {
    let seen = 0;
    const url = await serveWith(t, (_request, response) => {
      seen += 1;
      if (seen <= times) response.writeHead(status, headers).end('{"kind":"Status","message":"busy"}');
      else response.writeHead(201).end(JSON.stringify(node('a')));
    });
    const begun = performance.now();
    const outcome = await clientOf({ url })
      .create('nodes', node('a'))
      .then(
        () => 'answered',
        (thrown: Refusal) => thrown.reason,
      );
    t.same([outcome, seen], [ends, sent], `${status} ${JSON.stringify(headers)}`);
    if ('atLeastMs' in row) t.ok(performance.now() - begun >= row.atLeastMs, 'not before');
  }
});

t.test('a server that does not answer is not waited for longer than said', async (t) => {
  const silent = await serveWith(t, () => {});
  const half = await serveWith(t, (_request, response) => response.writeHead(200).write('{'));
  for (const url of [silent, half]) {
    t.match(await refusalOf(clientOf({ url }, 50).list('nodes')), {
      reason: 'cluster_unreachable',
      message: /no answer within 50 ms/,
    });
  }
  const signal = AbortSignal.timeout(300_000);
  const watch = async () => {
    for await (const _event of clientOf({ url: silent }, 50).watch('nodes', { resourceVersion: '1', signal }))
      t.fail();
  };
  t.match(await refusalOf(watch()), { reason: 'cluster_unreachable', message: /no answer within 50 ms/ });
});

t.test('a watch that is left closes its connection', async (t) => {
  const closed = Promise.withResolvers<void>();
  const event = { type: 'ADDED', object: node('a') };
  const url = await serveWith(t, (_request, response) => {
    response.write(`${JSON.stringify(event)}\n{"type":`);
    response.once('close', closed.resolve);
  });
  const signal = AbortSignal.timeout(300_000);
  for await (const seen of clientOf({ url }).watch('nodes', { resourceVersion: '1', signal })) {
    t.match(seen, event);
    break;
  }
  await closed.promise;
});

t.test('bytes of one character may come apart', async (t) => {
  const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: node('a', { text: 'é€😀' }) })}\n`);
  const url = await serveWith(t, async (_request, response) => {
    for (const byte of line) {
      const written = Promise.withResolvers<void>();
      response.write(Buffer.of(byte), () => written.resolve());
      await written.promise;
    }
    response.end();
  });
  const seen: KubeObject[] = [];
  const signal = AbortSignal.timeout(300_000);
  for await (const { object } of clientOf({ url }).watch('nodes', { resourceVersion: '1', signal }))
    seen.push(object);
  t.match(seen, [{ metadata: { labels: { text: 'é€😀' } } }]);
});

t.test('names cannot leave their place in the path', async (t) => {
  const urls: (string | undefined)[] = [];
  const url = await serveWith(t, (request, response) => {
    urls.push(request.url);
    response.end(JSON.stringify(pod('x')));
  });
  await clientOf({ url: `${url}/k8s/clusters/c-1` }).read('pods', { name: '../a?b#c', namespace: 'd/e' });
  t.strictSame(urls, ['/k8s/clusters/c-1/api/v1/namespaces/d%2Fe/pods/..%2Fa%3Fb%23c']);
});

t.test('sources that cannot be used are refused with what is wrong', async (t) => {
  const dir = t.testdir({
    broken: '{',
    empty: '{"apiVersion":"v1","kind":"Config","clusters":[],"users":[],"contexts":[]}',
    lost: JSON.stringify({
      clusters: [
        { name: 'c', cluster: { server: 'https://127.0.0.1:1', 'certificate-authority': 'absent.crt' } },
      ],
      users: [{ name: 'u', user: { token: 't' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  });
  const reasonOf = (source: ClusterSource) => refusalOf((async () => clientOf(source))());
  for (const name of ['absent', 'broken']) {
    t.match(await reasonOf({ path: join(dir, name) }), {
      reason: 'cluster_unreachable',
      message: /kubeconfig cannot be used/,
    });
  }
  t.match(await reasonOf({ path: join(dir, 'empty') }), { message: /no current context/ });
  t.match(await reasonOf({ inCluster: true }), { message: /does not run in a pod/ });
  const lost = await refusalOf(clientOf({ path: join(dir, 'lost') }).list('nodes'));
  t.match(lost, {
    reason: 'cluster_unreachable',
    message: /credentials .* cannot be used: ENOENT.*absent\.crt/,
  });
});

t.test('a CA that changes on disk is used from the next request on', async (t) => {
  const dir = t.testdir({});
  for (const name of ['one', 'two']) {
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
    const files = ['-keyout', `${dir}/${name}.key`, '-out', `${dir}/${name}.crt`];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, ...files], { stdio: 'ignore' });
  }
  const certificate = (name: string) => ({
    key: readFileSync(`${dir}/${name}.key`),
    cert: readFileSync(`${dir}/${name}.crt`),
  });
  const ports = new Set<number | undefined>();
  const server = createTlsServer(certificate('one'), (request, response) => {
    ports.add(request.socket.remotePort);
    response.end(JSON.stringify(node('a')));
  });
  const url = await listen(t, server, 'https');
  const caFile = join(dir, 'ca.crt');
  copyFileSync(`${dir}/one.crt`, caFile);
  const cluster = clientOf({ url, caFile });
  for (let count = 0; count < 3; count += 1) await cluster.read('nodes', { name: 'a' });
  t.equal(ports.size, 1, 'one connection');
  copyFileSync(`${dir}/two.crt`, caFile);
  t.match(await refusalOf(cluster.read('nodes', { name: 'a' })), {
    reason: 'cluster_unreachable',
    details: { errno: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
  });
  server.setSecureContext(certificate('two'));
  t.match(await cluster.read('nodes', { name: 'a' }), { kind: 'Node' });
});
