import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import t from 'tap';
import Type from 'typebox';
import { formatProblem } from '../../../coordinator/routes/problem.ts';
import { Refusal, reasons, rowOf, rpcCodes } from '../../../shared/errors.ts';
import type { RouteAccess } from '../../../shared/http/access.ts';
import { type Access, createTokenFileGate } from '../../../shared/http/gate.ts';
import { answerParserErrors } from '../../../shared/http/parser-errors.ts';
import { createServer, formatConnectError, type ServerOptions } from '../../../shared/http/server.ts';
import { createSilentLog, type Log } from '../../../shared/log.ts';

const Body = Type.Object(
  {
    count: Type.Integer({ minimum: 1 }),
    kind: Type.Optional(Type.Union([Type.Literal('a'), Type.Literal('b')])),
    choice: Type.Optional(
      Type.Object(
        { left: Type.Optional(Type.Integer()), right: Type.Optional(Type.Integer()) },
        {
          additionalProperties: false,
          minProperties: 1,
          maxProperties: 1,
          description: 'one of left, right',
        },
      ),
    ),
  },
  { additionalProperties: false },
);

type Options = Partial<ServerOptions> & { readonly thrown?: unknown };

function start(t: { teardown(handler: () => unknown): void }, { thrown, ...options }: Options = {}) {
  const { app } = createServer({
    log: createSilentLog(),
    formatError: formatConnectError,
    ...options,
  });
  const config = { access: { verb: 'update', resource: 'things' } } as const;
  app.post('/api/echo', { config, schema: { body: Body } }, async ({ body }) => body);
  app.post(
    '/api/empty',
    { config, schema: { body: Type.Object({}, { additionalProperties: false }) } },
    async ({ body }) => body,
  );
  const one: RouteAccess = { verb: 'get', resource: 'things', namespace: 'ns', nameFrom: 'name' };
  app.get('/api/things/:name', { config: { access: one } }, async ({ params }) => params);
  app.get('/throw', { config: { access: 'open' } }, async () => {
    throw thrown;
  });
  t.teardown(() => app.close());
  return app;
}

const json = { 'content-type': 'application/json' };

t.test('a wrong body is refused with all its faults, by field', async (t) => {
  const app = start(t);
  const rows = [
    ['{}', 'count', /^count is missing$/],
    ['{"count":0}', 'count', /^count must be 1 or more$/],
    ['{"count":"1"}', 'count', /^count must be an integer$/],
    ['{"count":1,"kind":"c"}', 'kind', /^kind must be one of a, b$/],
    ['{"count":1,"choice":{}}', 'choice', /^choice must be one of left, right$/],
    ['{"count":1,"choice":{"left":1,"right":1}}', 'choice', /^choice must be one of left, right$/],
    ['{"count":1,"choice":{"left":1,"middle":2}}', 'choice', /choice\.middle is not a known field/],
    ['{"count":0,"more":1}', 'more', /more is not a known field; count must be 1 or more/],
    ['[]', 'body', /^body must be an object$/],
    ['"x"', 'body', /^body must be an object$/],
    ['{"count":1', 'body', /^body: not JSON: /],
    ['\u0000', 'body', /^body: not JSON: /],
    ['', 'count', /^count is missing/],
  ] as const;
  for (const [payload, field, message] of rows) {
    const answer = await app.inject({ method: 'POST', url: '/api/echo', headers: json, payload });
    t.equal(answer.statusCode, 400, JSON.stringify(payload));
    t.match(answer.json(), {
      code: 'invalid_argument',
      message,
      details: { reason: 'malformed_request', field },
    });
  }
  const fine = await app.inject({ method: 'POST', url: '/api/echo', headers: json, payload: '{"count":1}' });
  t.same([fine.statusCode, fine.json()], [200, { count: 1 }], 'nothing is filled in');
});

t.test('what is no JSON request', async (t) => {
  const app = start(t, { bodyLimitBytes: 100 });
  const post = (headers: Record<string, string>, payload: string, url = '/api/empty') =>
    app.inject({ method: 'POST', url, headers, payload });
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/xml',
    'nonsense',
  ]) {
    const answer = await post({ 'content-type': type }, '{}');
    t.match(
      [answer.statusCode, answer.json()],
      [
        415,
        { details: { reason: 'media_type_unsupported', field: 'content-type', allowed: 'application/json' } },
      ],
      type,
    );
  }
  t.match(
    [(await post(json, `"${'x'.repeat(100)}"`)).json()],
    [{ code: 'resource_exhausted', details: { reason: 'body_too_large', field: 'body' } }],
  );
  t.same(
    (await app.inject({ method: 'POST', url: '/api/empty', headers: json })).json(),
    {},
    'no body is the empty message',
  );
  t.equal((await post({ 'content-type': 'application/json; charset=utf-8' }, '')).statusCode, 200);
  for (const [method, url] of [
    ['POST', '/nowhere'],
    ['POST', '/api/echo/'],
  ] as const) {
    const answer = await app.inject({ method, url });
    t.match(
      [answer.statusCode, answer.json()],
      [404, { code: 'not_found', message: `${method} ${url}`, details: { reason: 'method_unknown' } }],
    );
  }
  for (const [method, url, allow] of [
    ['GET', '/api/echo', 'POST'],
    ['DELETE', '/%61pi/echo?a=b', 'POST'],
    ['POST', '/api/things/x%2Fy', 'GET, HEAD'],
    ['PROPFIND', '/healthz', 'GET, HEAD'],
  ] as const) {
    const answer = await app.inject({ method: method as 'GET', url });
    t.match(
      [answer.statusCode, answer.headers.allow, answer.json()],
      [405, allow, { code: 'invalid_argument', details: { reason: 'method_not_allowed', value: method } }],
      `${method} ${url}`,
    );
  }
  for (const url of ['/api/things/x?verbose=1', '/healthz?a', '/metrics?x=1']) {
    const answer = await app.inject({ method: 'GET', url });
    t.match(
      [answer.statusCode, answer.json()],
      [400, { message: /^query parameter \w+ is not known here$/, details: { reason: 'malformed_request' } }],
      `${url}: a parameter that nobody reads is not ignored`,
    );
  }
  const long = 'n'.repeat(253);
  t.same(
    (await app.inject({ url: `/api/things/${long}` })).json(),
    { name: long },
    'as long as a node may be',
  );
  const bad = await app.inject({ method: 'GET', url: '/api/things/%zz', headers: { 'x-request-id': 'r1' } });
  t.match(
    [bad.statusCode, bad.json()],
    [400, { code: 'invalid_argument', details: { reason: 'malformed_request', field: 'path' } }],
  );
  t.equal(bad.headers['x-request-id'], 'r1', 'also where the router gives up');
});

t.test('every reason leaves with its code and status; what nobody expected says nothing', async (t) => {
  for (const reason of Object.keys(reasons) as (keyof typeof reasons)[]) {
    const app = start(t, { thrown: new Refusal(reason, 'because', { field: 'f', value: 1 }) });
    const answer = await app.inject({ url: '/throw' });
    const { code } = reasons[reason];
    t.equal(answer.statusCode, rowOf(reason).status ?? rpcCodes[code].http, reason);
    t.same(answer.json(), { code, message: 'because', details: { reason, field: 'f', value: 1 } });
  }
  const logged: object[] = [];
  const log: Log = { ...createSilentLog(), error: (fields) => logged.push(fields) };
  for (const thrown of [new Error('secret'), Object.assign(new Error('secret'), { code: 'EACCES' })]) {
    const answer = await start(t, { thrown, log }).inject({ url: '/throw' });
    t.equal(answer.statusCode, 500);
    t.notMatch(answer.body, /secret|EACCES|\.ts/);
    t.match(logged.at(-1), { err: thrown, requestId: String }, 'the log has it');
  }
});

t.test('a token is asked for by route, whatever the path looks like', async (t) => {
  const tokenFile = join(t.testdir({ token: ' s3cret \n', empty: '\n' }), 'token');
  const app = start(t, { gate: createTokenFileGate(tokenFile) });
  const get = (url: string, authorization?: string) =>
    app.inject({ url, ...(authorization === undefined ? {} : { headers: { authorization } }) });
  const rows = [
    ['/api/things/x', undefined, 401],
    ['/api/things/x', '', 401],
    ['/api/things/x', 'Bearer', 401],
    ['/api/things/x', 'Bearer ', 401],
    ['/api/things/x', 'Bearer s3cre', 401],
    ['/api/things/x', 'Bearer s3cret2', 401],
    ['/api/things/x', 'Bearer S3CRET', 401],
    ['/api/things/x', 'Basic s3cret', 401],
    ['/api/things/x', 's3cret', 401],
    ['/api/things/x', `Bearer ${'x'.repeat(5000)}`, 401],
    ['/api/things/x', 'Bearer s3cret', 200],
    ['/api/things/x', 'bearer s3cret', 200],
    ['/%61pi/things/x', undefined, 401],
    ['/api/nowhere', undefined, 404],
    ['/nowhere', undefined, 404],
    ['/healthz', undefined, 200],
    ['/readyz?a=b', undefined, 400],
    ['/metrics', undefined, 200],
  ] as const;
  for (const [url, authorization, status] of rows) {
    const answer = await get(url, authorization);
    t.equal(answer.statusCode, status, `${url} with ${authorization?.slice(0, 20)}`);
    t.equal(answer.headers['www-authenticate'], status === 401 ? 'Bearer' : undefined);
    t.notMatch(answer.body, /s3cret/, 'and the token is never told');
  }

  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const status = await new Promise((resolve, reject) => {
    request({ port, path: 'http://localhost/api/things/x' }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on('error', reject)
      .end();
  });
  t.equal(status, 401, 'a path with a host in it, as proxies get it');

  writeFileSync(tokenFile, 'other');
  t.equal((await get('/api/things/x', 'Bearer s3cret')).statusCode, 401, 'a rotated token counts at once');
  for (const file of [join(tokenFile, '..', 'empty'), join(tokenFile, '..', 'missing')]) {
    const app = start(t, { gate: createTokenFileGate(file) });
    const answer = await app.inject({ url: '/api/things/x', headers: { authorization: 'Bearer x' } });
    t.equal(answer.statusCode, 401, `${file} lets nobody in`);
  }
});

t.test('the gate hears what a request does, by the rule of its route', async (t) => {
  const asked: (readonly [string | undefined, Access])[] = [];
  const app = start(t, {
    gate: {
      async admit(header, access) {
        asked.push([header, access]);
        throw new Refusal('permission_denied', 'no', {});
      },
    },
  });
  const headers = { authorization: 'Bearer x' };
  t.equal((await app.inject({ url: '/api/things/a%2Fb', headers })).statusCode, 403);
  t.equal((await app.inject({ method: 'HEAD', url: '/api/things/c' })).statusCode, 403);
  // A body that is wrong tells nothing to somebody who may not call.
  t.equal((await app.inject({ method: 'POST', url: '/api/echo', payload: '{' })).statusCode, 403);
  t.equal((await app.inject({ url: '/healthz', headers })).statusCode, 200);
  const thing = { verb: 'get', resource: 'things', namespace: 'ns' };
  t.strictSame(asked, [
    ['Bearer x', { ...thing, name: 'a/b' }],
    [undefined, { ...thing, name: 'c' }],
    [undefined, { verb: 'update', resource: 'things' }],
  ]);
});

t.test('a route that has no access rule is not registered', async (t) => {
  const { app } = createServer({ log: createSilentLog(), formatError: formatConnectError });
  t.throws(() => app.get('/forgotten', async () => ''), {
    message: 'GET /forgotten has no access rule',
  });
  await t.rejects(Promise.resolve(app.register(async (routes) => routes.post('/inside', async () => ''))), {
    message: 'POST /inside has no access rule',
  });
});

t.test('health, readiness, metrics and request ids', async (t) => {
  let because: string | undefined = 'no kernel log';
  const app = start(t, { notReady: () => because });
  t.same(
    [(await app.inject({ url: '/healthz' })).statusCode, (await app.inject({ url: '/healthz' })).body],
    [200, 'ok\n'],
  );
  const unready = await app.inject({ url: '/readyz' });
  t.same([unready.statusCode, unready.body], [503, 'not ready: no kernel log\n']);
  because = undefined;
  t.equal((await app.inject({ url: '/readyz' })).statusCode, 200);

  await app.inject({ url: '/api/things/one' });
  await app.inject({ url: '/api/things/two' });
  await app.inject({ url: '/nowhere/three' });
  const metrics = await app.inject({ url: '/metrics' });
  t.match(metrics.headers['content-type'], /^text\/plain; version=0\.0\.4/);
  t.match(
    metrics.body,
    'xidrill_http_requests_total{route="/api/things/:name",status="200"} 2',
    'by route, not by path',
  );
  t.match(metrics.body, 'xidrill_http_requests_total{route="none",status="404"} 1');
  t.match(metrics.body, 'process_resident_memory_bytes');
  t.notMatch(metrics.body, /three/);

  const given = await app.inject({ url: '/nowhere', headers: { 'x-request-id': 'mine' } });
  t.equal(given.headers['x-request-id'], 'mine');
  const first = await app.inject({ url: '/healthz', headers: { 'x-request-id': '' } });
  const second = await app.inject({ url: '/healthz' });
  t.match([first.headers['x-request-id'], second.headers['x-request-id']], [/.{30}/, /.{30}/]);
  t.not(first.headers['x-request-id'], second.headers['x-request-id']);
});

t.test('L1 what is not HTTP is answered in the format of the server', async (t) => {
  const formats = [
    [formatConnectError, 'application/json', 'details'],
    [formatProblem, 'application/problem+json', 'title'],
  ] as const;
  for (const [formatError, type, member] of formats) {
    const app = start(t, { formatError });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    const rows = [
      ['no such thing\r\n\r\n', 400, 'malformed_request'],
      ['GET / HTTP/1.1\r\nbad header\r\n\r\n', 400, 'malformed_request'],
      [`GET / HTTP/1.1\r\nhost: x\r\nlong: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers_too_large'],
    ] as const;
    for (const [sent, status, reason] of rows) {
      const { head, body } = await answerTo(port, sent);
      t.ok(head.startsWith(`HTTP/1.1 ${status} `), head);
      t.match(head, `content-type: ${type}`);
      t.match(head, /x-request-id: [^\r]/);
      t.ok(body[member], `${type}: in the server’s format`);
      t.match(JSON.stringify(body), reason);
    }
    const expecting =
      'GET /healthz HTTP/1.1\r\nhost: localhost\r\nexpect: wonders\r\nconnection: close\r\n\r\n';
    t.match((await answerTo(port, expecting)).head, /^HTTP\/1.1 200 /, 'an unknown expectation is ignored');
  }
});

t.test('a request that does not arrive in time', async (t) => {
  const answered = new Promise<string>((resolve) => {
    const socket = new PassThrough() as PassThrough & { writable: boolean };
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => resolve(Buffer.concat(chunks).toString()));
    const late = Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    answerParserErrors(formatProblem, () => 'id-1')(late, socket as never);
  });
  t.match(await answered, /^HTTP\/1.1 408 Request Timeout[\s\S]*"code":"request_timeout"/);
});

/** Sends bytes as they are, and reads until the server closes. */
async function answerTo(
  port: number,
  bytes: string,
): Promise<{ head: string; body: Record<string, unknown> }> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.write(bytes);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const [head = '', body = ''] = Buffer.concat(chunks).toString().split('\r\n\r\n');
  return { head, body: body.startsWith('{') ? (JSON.parse(body) as Record<string, unknown>) : {} };
}
