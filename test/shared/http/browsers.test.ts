import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import t, { type Test } from 'tap';
import type { Gate } from '../../../shared/http/gate.ts';
import { createServer, formatConnectError, type ServerOptions } from '../../../shared/http/server.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { service, startRig as startAgentRig } from '../../agent/rig.ts';
import { cpuNode, startRig } from '../../coordinator/rig.ts';
import { listen } from './listen.ts';

const json = { 'content-type': 'application/json' };
const bearer = { authorization: 'Bearer x' };

/** Lets in whoever shows a bearer token. */
const gate: Gate = {
  admit: async (header) => (header === undefined ? Promise.reject(new Error('no')) : 'somebody'),
};

async function serve(t: Test, options: Partial<ServerOptions> = {}) {
  const done: string[] = [];
  const { app } = createServer({ log: createSilentLog(), formatError: formatConnectError, ...options });
  const change = { access: { verb: 'update', resource: 'things' } } as const;
  const read = { access: { verb: 'get', resource: 'things' } } as const;
  const handler = async ({ method, url }: { method: string; url: string }) => {
    done.push(`${method} ${url}`);
    return {};
  };
  app.post('/change', { config: change }, handler);
  app.put('/change', { config: change }, handler);
  app.delete('/change', { config: change }, handler);
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => done(null, { body }),
  );
  app.post('/form', { config: { ...change, form: true } }, handler);
  app.post('/read', { config: read }, handler);
  app.get('/read', { config: read }, handler);
  t.teardown(() => app.close());
  await app.ready();
  const port = await listen(t, app.server);
  return { port, done, send: (to: Sent) => send(port, to) };
}

type Sent = {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: IncomingHttpHeaders;
  readonly body?: string;
};

/** As fetch would not let a program send it: any Host, any Origin. */
async function send(
  port: number,
  { method = 'GET', path = '/read', headers = {}, body }: Sent,
  host = '127.0.0.1',
): Promise<{
  readonly status: number;
  readonly reason: string | undefined;
  readonly headers: IncomingHttpHeaders;
}> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    text: string;
    headers: IncomingHttpHeaders;
  }>();
  const sent = request({ port, host, method, path, headers }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
  });
  sent.on('error', reject);
  sent.end(body);
  const answer = await promise;
  const isJson = /json/.test(answer.headers['content-type'] ?? '');
  const parsed = !isJson ? {} : (JSON.parse(answer.text) as { details?: { reason?: string }; code?: string });
  return { status: answer.status, reason: parsed.details?.reason ?? parsed.code, headers: answer.headers };
}

t.test('H5 without a token only loopback names are served', async (t) => {
  const { send, done, port } = await serve(t, { hosts: ['xidrill.example.com'] });
  for (const host of [
    'localhost',
    `localhost:${port}`,
    'LocalHost.:1',
    '127.0.0.1',
    '127.9.8.7:80',
    '[::1]:9475',
  ])
    t.equal((await send({ headers: { host } })).status, 200, host);
  done.length = 0;
  for (const host of [
    'evil.example',
    'xidrill.example.com',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '127.0.0.1.nip.io:9475',
    'evil@localhost',
    'localhost/',
    'localhost,evil.example',
    '10.0.0.1',
    '0.0.0.0',
    '[fd00::1]',
    '[::1',
    'localhost:port',
  ]) {
    const { status, reason } = await send({ headers: { host } });
    t.same([status, reason], [403, 'host_unknown'], JSON.stringify(host));
  }
  for (const path of [
    'http://evil.example/read',
    'HTTP://evil.example:80/read',
    'https://evil.example/healthz',
  ])
    t.same((await send({ path })).reason, 'host_unknown', `${path}: the name in the target counts`);
  t.same(
    (await send({ path: '/healthz', headers: { host: 'evil.example' } })).status,
    403,
    'also what is open',
  );
  t.same((await send({ path: '/nowhere', headers: { host: 'evil.example' } })).reason, 'host_unknown');
  t.same(done, []);
  t.match(
    await raw(port, 'GET /read HTTP/1.1\r\nconnection: close\r\n\r\n'),
    /^HTTP\/1.1 403 [\s\S]*"host_unknown"/,
  );
  t.match(await raw(port, 'GET /read HTTP/1.0\r\n\r\n'), /^HTTP\/1.1 403 [\s\S]*"host_unknown"/);
});

t.test('with a token also the configured names and the own address', async (t) => {
  const { send } = await serve(t, { gate, hosts: ['Xidrill.Example.com', '10.1.2.3', 'fd00:0::1'] });
  for (const host of [
    'localhost:1',
    'xidrill.example.COM:443',
    'xidrill.example.com.',
    '10.1.2.3:9475',
    '[fd00::0:1]:9',
  ])
    t.equal((await send({ headers: { host, ...bearer } })).status, 200, host);
  for (const host of ['evil.example', 'a.xidrill.example.com', '10.1.2.4', '[fd00::2]'])
    t.same((await send({ headers: { host, ...bearer } })).reason, 'host_unknown', host);
});

t.test('the address that a connection came to is a name of the server, as probes use it', async (t) => {
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4')?.address;
  if (own === undefined) return t.comment('this machine has no address beside loopback');
  for (const listenHost of ['0.0.0.0', '::']) {
    const { app } = createServer({ log: createSilentLog(), formatError: formatConnectError, gate });
    t.teardown(() => app.close());
    await app.ready();
    const port = await listen(t, app.server, listenHost);
    const probe = async (host: string) =>
      (await send(port, { path: '/healthz', headers: { host } }, own)).status;
    t.equal(await probe(`${own}:${port}`), 200, `${listenHost}: kubelet and Prometheus`);
    t.equal(await probe(`evil.example:${port}`), 403, `${listenHost}: a name that resolves to it`);
  }
});

t.test('H5 a page of another origin neither changes nor reads anything', async (t) => {
  for (const options of [{}, { gate }]) {
    const { send, done, port } = await serve(t, options);
    const host = `localhost:${port}`;
    const headers = { host, ...json, ...bearer };
    for (const [name, more] of foreign(port)) {
      for (const [method, path] of [
        ['POST', '/change'],
        ['PUT', '/change'],
        ['DELETE', '/change'],
        ['POST', '/read'],
        ['GET', '/read'],
        ['GET', '/metrics'],
      ] as const) {
        const answer = await send({ method, path, headers: { ...headers, ...more } });
        t.same([answer.status, answer.reason], [403, 'origin_refused'], `${method} ${path}, ${name}`);
        t.equal(answer.headers['access-control-allow-origin'], undefined);
      }
    }
    t.same(done, []);
    const own: readonly (readonly [string, IncomingHttpHeaders])[] = [
      ['no browser', {}],
      ['the page itself', { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }],
      ['the page behind an Ingress with TLS', { host: 'localhost', origin: 'https://localhost' }],
      ['an older browser', { origin: `http://LOCALHOST:${port}` }],
      ['typed into the address bar', { 'sec-fetch-site': 'none' }],
    ];
    for (const [name, more] of own)
      t.equal(
        (await send({ method: 'POST', path: '/change', headers: { ...headers, ...more } })).status,
        200,
        name,
      );
    const link = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    t.equal((await send({ headers: { ...headers, ...link } })).status, 200, 'a link that is followed');
    t.equal(
      (await send({ method: 'POST', headers: { ...headers, ...link } })).status,
      403,
      'a form is no link',
    );
    const preflight = {
      host,
      origin: 'http://evil.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type',
    };
    t.equal((await send({ method: 'OPTIONS', path: '/change', headers: preflight })).status, 403);
  }
});

t.test('H5 what a form could send changes nothing', async (t) => {
  const { send, done } = await serve(t);
  for (const headers of [
    {},
    { 'content-type': 'text/plain' },
    { 'content-type': 'application/x-www-form-urlencoded' },
    { 'content-type': 'multipart/form-data; boundary=application/json' },
    { 'content-type': 'text/plain; application/json' },
    { 'content-type': 'application/jsonx' },
  ])
    for (const body of [undefined, '{}'])
      t.same(
        (await send({ method: 'POST', path: '/change', headers, ...(body === undefined ? {} : { body }) }))
          .status,
        415,
      );
  t.same(done, []);
  t.equal(
    (await send({ method: 'POST', path: '/change', headers: json })).status,
    200,
    'the header is enough',
  );
  t.equal(
    (await send({ method: 'DELETE', path: '/change' })).status,
    200,
    'a page has to ask before a DELETE',
  );
  t.equal((await send({ method: 'POST', path: '/read' })).status, 200, 'a read needs none');
});

t.test('a form changes something where the browser itself says that our own page sends it', async (t) => {
  const { send, done, port } = await serve(t);
  const host = `localhost:${port}`;
  const form = { host, 'content-type': 'application/x-www-form-urlencoded' };
  const to = (path: string, headers: IncomingHttpHeaders) =>
    send({ method: 'POST', path, headers: { ...form, ...headers }, body: 'a=b' });
  for (const [name, more] of foreign(port)) t.equal((await to('/form', more)).status, 403, name);
  for (const [name, more] of [
    ['nothing says who sends it', {}],
    ['no page sends it', { 'sec-fetch-site': 'none' }],
    ['another content type', { 'sec-fetch-site': 'same-origin', 'content-type': 'text/plain' }],
    [
      'a form of several parts',
      { origin: `http://${host}`, 'content-type': 'multipart/form-data; boundary=x' },
    ],
  ] as const)
    t.equal((await to('/form', more)).status, 415, name);
  t.equal(
    (await to('/change', { 'sec-fetch-site': 'same-origin', origin: `http://${host}` })).status,
    415,
    'the other routes take no form at all',
  );
  t.same(done, []);
  t.equal((await to('/form', { 'sec-fetch-site': 'same-origin', origin: `http://${host}` })).status, 200);
  t.equal((await to('/form', { origin: `http://${host}` })).status, 200, 'an older browser');
});

t.test('H5 both programs: nothing is injected, aborted or deleted for a foreign page', async (t) => {
  const rig = await startRig(t, { rows: [cpuNode('one')] });
  const created = await rig.rest.ask('POST', '/api/v1/experiments', {
    name: 'runs',
    fault: { name: 'conntrack-full' },
    expectation: { message: 'never', within: '30m' },
  });
  t.equal(created.status, 202);
  const path = '/api/v1/experiments/runs';
  const { port } = new URL(rig.url);
  const tries: readonly Sent[] = foreign(Number(port)).flatMap(([, more]) => [
    { method: 'POST', path: `${path}/abort`, headers: more },
    { method: 'POST', path: `${path}/abort`, headers: { ...more, ...json } },
    { method: 'DELETE', path, headers: more },
  ]);
  const rebound = { method: 'POST', path: `${path}/abort`, headers: { host: 'evil.example', ...json } };
  for (const attempt of [...tries, rebound]) t.equal((await send(Number(port), attempt)).status, 403);
  t.equal(
    (await send(Number(port), { method: 'POST', path: `${path}/abort` })).status,
    415,
    'no header, no change',
  );
  const { body } = await rig.rest.ask('GET', path);
  t.match(body, { phase: 'Running', verdict: null });

  const agent = await startAgentRig(t);
  const order = { text: 'xidrill: one line' };
  for (const [name, more] of [...foreign(80), ['rebinding', { host: 'evil.example' }] as const]) {
    const answer = await agent.call('WriteKernelMessage', order, more as Record<string, string>);
    t.equal(answer.status, 403, name);
  }
  const plain = await agent.app.inject({ method: 'POST', url: `${service}/StopInjection` });
  t.equal(plain.statusCode, 415);
  t.same(agent.kernelLog.records(), [], 'nothing was written');
  t.equal((await agent.call('WriteKernelMessage', order)).status, 200, 'curl may');
});

/** What a browser adds to the request of a page that is not ours, by how it came to be. */
function foreign(port: number): readonly (readonly [string, IncomingHttpHeaders])[] {
  return [
    ['another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['an old browser', { origin: 'http://evil.example' }],
    [
      'another port of this machine',
      { origin: `http://localhost:${port + 1}`, 'sec-fetch-site': 'same-site' },
    ],
    ['another name of loopback', { origin: `http://127.0.0.1:${port}`, host: `localhost:${port}` }],
    ['a sandboxed frame or a file', { origin: 'null' }],
    ['no web page at all', { origin: `file://localhost:${port}` }],
    ['an extension', { origin: `chrome-extension://localhost:${port}` }],
    ['a fetch without Origin', { 'sec-fetch-site': 'cross-site' }],
    ['a sibling host', { 'sec-fetch-site': 'same-site' }],
    ['a word that is not known', { 'sec-fetch-site': 'same-origin, cross-site' }],
    ['a frame', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }],
    ['trickery', { origin: `http://localhost:${port}@evil.example` }],
    ['emptiness', { origin: '' }],
  ];
}

async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(bytes);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
