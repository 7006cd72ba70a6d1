import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { createHttpAgents } from '../../../coordinator/agents/http.ts';
import { createCoordinator } from '../../../coordinator/app.ts';
import type { Cluster } from '../../../coordinator/cluster/port.ts';
import { createView } from '../../../coordinator/view/view.ts';
import { Refusal } from '../../../shared/errors.ts';
import { untilRefused } from '../../../shared/http/admission.ts';
import { type Access, createClusterGate, type Gate } from '../../../shared/http/gate.ts';
import type { Log } from '../../../shared/log.ts';
import { service, startRig } from '../../agent/rig.ts';
import { createManualClock } from '../../manual-clock.ts';
import { registeredRoutes } from './routes.ts';

const node = 'n1';
const read = { verb: 'get', resource: 'nodes', name: node };
const inject = { verb: 'inject', resource: 'nodes', name: node };
const experiments = { resource: 'experiments', namespace: 'drills' };
const experiment = { ...experiments, name: 'x' };

/** Every route of both programs and who may call it; `{name}` is filled in with x. */
const agentRules: Readonly<Record<string, Access | 'open'>> = {
  'get /healthz': 'open',
  'get /readyz': 'open',
  'get /metrics': 'open',
  'get /openapi.json': 'open',
  'get /': 'open',
  [`post ${service}/GetInventory`]: read,
  [`post ${service}/ListGpus`]: read,
  [`post ${service}/ListHostEngines`]: read,
  [`post ${service}/IntrospectDcgmField`]: read,
  [`post ${service}/GetReceipt`]: read,
  [`post ${service}/TailKernelLog`]: { ...read, resource: 'nodes/log' },
  [`post ${service}/WriteKernelMessage`]: inject,
  [`post ${service}/WriteJournalMessage`]: inject,
  [`post ${service}/AppendLogLine`]: inject,
  [`post ${service}/InjectXid`]: inject,
  [`post ${service}/InjectCascade`]: inject,
  [`post ${service}/InjectSxid`]: inject,
  [`post ${service}/InjectDcgmField`]: inject,
  [`post ${service}/PauseHostEngine`]: inject,
  [`post ${service}/StopInjection`]: inject,
  [`post ${service}/SetKillSwitch`]: inject,
};

const coordinatorRules: Readonly<Record<string, Access | 'open'>> = {
  'get /healthz': 'open',
  'get /readyz': 'open',
  'get /metrics': 'open',
  'get /openapi.json': 'open',
  'get /': 'open',
  // The page: each part as the same by REST; a form may be looked at by who may see the catalogue.
  'get /page': { verb: 'list', resource: 'nodes' },
  'get /page/': { verb: 'list', resource: 'nodes' },
  'get /page/nodes/{name}': { verb: 'get', resource: 'nodes', name: 'x' },
  'get /page/drills': { ...experiments, verb: 'list' },
  'get /page/drills/{name}': { ...experiment, verb: 'get' },
  'post /page/drills/{name}/abort': { ...experiment, verb: 'update' },
  'post /page/drills/{name}/restore': { ...experiment, verb: 'update' },
  'get /page/killswitch': { verb: 'get', resource: 'killswitch', namespace: 'drills' },
  'post /page/killswitch': { verb: 'update', resource: 'killswitch', namespace: 'drills' },
  'get /page/coverage': { ...experiments, verb: 'list' },
  'get /page/faults': { verb: 'list', resource: 'faults' },
  'get /page/faults/{name}': { verb: 'get', resource: 'faults', name: 'x' },
  'get /page/why': { verb: 'list', resource: 'faults' },
  'post /page/why': { verb: 'list', resource: 'faults' },
  'get /page/new': { verb: 'list', resource: 'faults' },
  'post /page/new': { ...experiments, verb: 'create' },
  'get /page/assets/style.css': 'open',
  'get /page/assets/client.js': 'open',
  'get /page/assets/icon.svg': 'open',
  'post /api/v1/experiments': { ...experiments, verb: 'create' },
  'get /api/v1/experiments': { ...experiments, verb: 'list' },
  'get /api/v1/experiments/{name}': { ...experiment, verb: 'get' },
  'delete /api/v1/experiments/{name}': { ...experiment, verb: 'delete' },
  'get /api/v1/experiments/{name}/injections': { ...experiment, verb: 'get' },
  'get /api/v1/experiments/{name}/report': { ...experiment, verb: 'get' },
  'get /api/v1/experiments/{name}/events': { ...experiment, verb: 'get' },
  'get /api/v1/experiments/{name}/passed': { ...experiment, verb: 'get' },
  'post /api/v1/experiments/{name}/abort': { ...experiment, verb: 'update' },
  'post /api/v1/experiments/{name}/restore': { ...experiment, verb: 'update' },
  'get /api/v1/coverage': { ...experiments, verb: 'list' },
  'get /api/v1/faults': { verb: 'list', resource: 'faults' },
  'get /api/v1/faults/{name}': { verb: 'get', resource: 'faults', name: 'x' },
  'get /api/v1/killswitch': { verb: 'get', resource: 'killswitch', namespace: 'drills' },
  'put /api/v1/killswitch': { verb: 'update', resource: 'killswitch', namespace: 'drills' },
  // It shows the catalogue and nothing of the cluster.
  'post /api/v1/why': { verb: 'list', resource: 'faults' },
  'get /api/v1/nodes': { verb: 'list', resource: 'nodes' },
  'get /api/v1/nodes/{name}/preflight': { verb: 'get', resource: 'nodes', name: 'x' },
};

async function coordinatorWith(t: Test, gate: Gate, log: Log): Promise<FastifyInstance> {
  // Never asked: nobody gets that far.
  const cluster = {} as Cluster;
  const clock = createManualClock();
  const { app } = await createCoordinator({
    cluster,
    view: createView({ cluster, namespace: 'drills', clock, random: () => 0.5, log }),
    agents: createHttpAgents({ directory: async () => undefined }),
    namespace: 'drills',
    identity: 'i',
    leaseSeconds: 15,
    clock,
    random: () => 0.5,
    newName: () => 'made',
    gate,
    log,
  });
  t.teardown(() => app.close());
  await app.ready();
  return app;
}

/** Keeps all that is logged, with whatever hangs below it. */
function recordingLog(): { log: Log; text(): string } {
  const lines: string[] = [];
  const keep = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep, child: () => log };
  return { log, text: () => lines.join('\n') };
}

const surfaces = [
  {
    name: 'agent',
    rules: agentRules,
    start: async (t: Test, gate: Gate, log: Log) => (await startRig(t, { gate, log })).app,
    type: 'application/json',
    body: (code: string) => ({ code, message: String, details: { reason: code, field: 'authorization' } }),
  },
  {
    name: 'coordinator',
    rules: coordinatorRules,
    start: coordinatorWith,
    type: 'application/problem+json',
    body: (code: string, status: number) => ({
      type: `urn:xidrill:problem:${code}`,
      title: String,
      status,
      detail: String,
      code,
      errors: [{ field: 'authorization' }],
    }),
  },
] as const;

for (const { name, rules, start, type, body } of surfaces) {
  t.test(`${name}: no route without a rule, and no rule without a route`, async (t) => {
    let asked: Access | undefined;
    const gate: Gate = {
      async admit(_header, access) {
        asked = access;
        throw new Refusal('permission_denied', 'no', { field: 'authorization' });
      },
    };
    const app = await start(t, gate, recordingLog().log);
    const routes = registeredRoutes(app);
    t.strictSame(
      routes.map((route) => route.join(' ')).toSorted(),
      Object.keys(rules).toSorted(),
      'the table has every route',
    );
    for (const [method, path] of routes) {
      asked = undefined;
      const answer = await app.inject({ method: method as 'get' | 'post', url: path.replace('{name}', 'x') });
      const rule = rules[`${method} ${path}`];
      t.strictSame(asked ?? 'open', rule, `${method} ${path}`);
      if (rule === 'open') t.ok(answer.statusCode === 200 || path === '/readyz');
      else t.match([answer.statusCode, answer.json()], [403, body('permission_denied', 403)]);
    }
    const unknown = await app.inject({ method: 'POST', url: '/api/v1/nothing' });
    t.match([unknown.statusCode, unknown.headers['content-type']], [404, type]);
  });

  t.test(
    `${name}: who is not let in hears it in the words of this surface, and no token is logged`,
    async (t) => {
      const tokens = {
        good: { audiences: ['ours'], user: { username: 'ops' } },
        other: { audiences: ['theirs'], user: { username: 'ops' } },
        weak: { audiences: ['ours'], user: { username: 'guest' } },
      } as const;
      const gate = createClusterGate({
        audience: 'ours',
        clock: createManualClock(),
        create: async (resource, object) => {
          const { token = '', user } = (object as { spec: { token?: string; user?: string } }).spec;
          if (resource === 'subjectaccessreviews') return { status: { allowed: user === 'ops' } };
          const [, kind = ''] = token.split('-');
          if (kind === 'broken') throw new Refusal('cluster_unreachable', 'no API server', {});
          const known = tokens[kind as keyof typeof tokens];
          return known === undefined
            ? { status: { authenticated: false, error: `token ${kind}` } }
            : { status: { authenticated: true, ...known } };
        },
      });
      const { log, text } = recordingLog();
      const app = await start(t, gate, log);
      const guarded = Object.keys(rules).filter((route) => rules[route] !== 'open');
      const rows = [
        [undefined, 401, 'unauthenticated'],
        ['s3cret-other', 401, 'unauthenticated'],
        ['s3cret-expired', 401, 'unauthenticated'],
        ['s3cret-weak', 403, 'permission_denied'],
      ] as const;
      for (const route of guarded) {
        const [method, path = ''] = route.split(' ');
        const url = path.replace('{name}', 'x');
        for (const [token, status, code] of rows) {
          const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
          const answer = await app.inject({ method: method as 'get' | 'post', url, headers });
          t.equal(answer.statusCode, status, `${route} with ${token}`);
          t.match(answer.headers['content-type'], type);
          t.match(answer.json(), body(code, status));
          t.notMatch(answer.body, 's3cret');
        }
      }
      const [method, path = ''] = guarded[0]?.split(' ') ?? [];
      const ask = (token: string) =>
        app.inject({
          method: method as 'get' | 'post',
          url: path,
          headers: { authorization: `Bearer s3cret-${token}` },
        });
      t.equal((await ask('broken')).statusCode, 503, 'an API server that cannot be asked lets nobody in');
      t.notOk([401, 403].includes((await ask('good')).statusCode), 'who may is let in');
      t.match(text(), /"status":401/, 'the requests were logged');
      t.notMatch(text(), 's3cret', 'and no token among them');
    },
  );
}

/** Lets everybody do everything but what `denied` says, and keeps what it was asked. */
function gateThat(denied: (access: Access) => boolean): Gate & { readonly asked: readonly Access[] } {
  const asked: Access[] = [];
  return {
    asked,
    async admit(_header, access) {
      asked.push(access);
      if (denied(access)) throw new Refusal('permission_denied', `no ${access.resource}`, {});
      return undefined;
    },
  };
}

t.test('who may read the catalogue does not learn by it what a node has', async (t) => {
  const gate = gateThat(({ resource }) => resource === 'nodes');
  const app = await coordinatorWith(t, gate, recordingLog().log);
  t.equal((await app.inject('/api/v1/faults/xid')).statusCode, 200);
  const answer = await app.inject('/api/v1/faults/xid?node=gpu-1');
  t.match([answer.statusCode, answer.json()], [403, { code: 'permission_denied', detail: 'no nodes' }]);
  t.strictSame(gate.asked.at(-1), { verb: 'get', resource: 'nodes', name: 'gpu-1' });
});

t.test('a name in an address is a name', async (t) => {
  const app = await coordinatorWith(
    t,
    gateThat(() => false),
    recordingLog().log,
  );
  for (const path of [
    'experiments/',
    'experiments/A',
    'nodes//preflight',
    'nodes/%2e%2fx/preflight',
    'nodes/a%2f..%2fb/preflight',
  ])
    t.match(
      (await app.inject(`/api/v1/${path}`)).json(),
      { code: 'malformed_request', detail: /^path parameter name must be / },
      path,
    );
  t.match((await app.inject('/api/v1/faults/xid?node=..')).json(), {
    detail: /^query parameter node must be /,
  });
});

t.test('a token may be as long as Node lets a header be', async (t) => {
  const seen: number[] = [];
  const gate: Gate = {
    async admit(header) {
      seen.push(header?.length ?? 0);
      return undefined;
    },
  };
  const app = await coordinatorWith(t, gate, recordingLog().log);
  const authorization = `Bearer ${'x'.repeat(12_000)}`;
  t.equal((await app.inject({ url: '/api/v1/faults', headers: { authorization } })).statusCode, 200);
  t.strictSame(seen, [authorization.length]);
});

t.test('an answer that lasts ends with the right to it, and not with the API server', async (t) => {
  const ended: Refusal[] = [];
  let says: 'away' | 'no' = 'away';
  let asked = 0;
  const refusals = {
    away: new Refusal('cluster_unreachable', 'away', {}),
    no: new Refusal('permission_denied', 'no', {}),
  };
  const admit = async (): Promise<undefined> => {
    asked += 1;
    throw refusals[says];
  };
  untilRefused({ admit }, new AbortController().signal, (refusal) => ended.push(refusal), 1);
  while (asked < 3) await new Promise((resolve) => setImmediate(resolve));
  t.strictSame(ended, []);
  says = 'no';
  while (ended.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.equal(ended[0]?.message, 'no');

  const gone = new AbortController();
  let late = 0;
  const count = async () => {
    late += 1;
    return undefined;
  };
  untilRefused({ admit: count }, gone.signal, () => t.fail('nothing was refused'), 1);
  while (late < 2) await new Promise((resolve) => setImmediate(resolve));
  gone.abort();
  const until = late;
  untilRefused({ admit: count }, gone.signal, () => undefined, 1);
  t.equal(late, until, 'nobody asks once the caller has gone');
});

t.test(
  'coordinator: a browser without a token gets a page that says how to see it, and no session',
  async (t) => {
    const gate: Gate = {
      admit: () =>
        Promise.reject(new Refusal('unauthenticated', 'no bearer token', { field: 'authorization' })),
    };
    const app = await coordinatorWith(t, gate, recordingLog().log);
    const headers = { accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8' };
    const sent = await app.inject({ url: '/', headers });
    t.match(sent, { statusCode: 303, headers: { location: '/page/', vary: 'accept' } });
    t.match((await app.inject('/')).json(), { routes: Object }, 'a script gets the list of routes');
    for (const url of ['/page/', '/page/nodes/x', '/page/drills', '/page/why']) {
      const answer = await app.inject({ url, headers });
      t.match([answer.statusCode, answer.headers['content-type']], [401, 'text/html; charset=utf-8'], url);
      t.match(answer.body, '<pre class="commands" tabindex="0">xidrill page</pre>');
      t.match(answer.headers, {
        'content-security-policy': /^default-src 'none'; .*frame-ancestors 'none'$/,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        'cache-control': 'no-store',
      });
      t.equal(answer.headers['set-cookie'], undefined);
    }
    const ofScript = await app.inject({ url: '/api/v1/nodes', headers });
    t.match(ofScript.headers['content-type'], /^application\/problem\+json/, 'the API answers as ever');
  },
);
