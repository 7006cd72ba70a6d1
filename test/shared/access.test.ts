import type { FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { createHttpAgents } from '../../coordinator/agents/http.ts';
import { createCoordinator } from '../../coordinator/app.ts';
import type { Cluster } from '../../coordinator/cluster/port.ts';
import { Refusal } from '../../shared/errors.ts';
import { type Access, createClusterGate, type Gate } from '../../shared/http/gate.ts';
import type { Log } from '../../shared/log.ts';
import { service, startRig } from '../agent/rig.ts';
import { createManualClock } from '../nma/manual-clock.ts';
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
};

const coordinatorRules: Readonly<Record<string, Access | 'open'>> = {
  'get /healthz': 'open',
  'get /readyz': 'open',
  'get /metrics': 'open',
  'get /openapi.json': 'open',
  'post /api/v1/experiments': { ...experiments, verb: 'create' },
  'get /api/v1/experiments': { ...experiments, verb: 'list' },
  'get /api/v1/experiments/{name}': { ...experiment, verb: 'get' },
  'get /api/v1/experiments/{name}/injections': { ...experiment, verb: 'get' },
  'get /api/v1/experiments/{name}/events': { ...experiment, verb: 'get' },
  'post /api/v1/experiments/{name}/abort': { ...experiment, verb: 'update' },
  'get /api/v1/faults': { verb: 'list', resource: 'faults' },
  'get /api/v1/faults/{name}': { verb: 'get', resource: 'faults', name: 'x' },
  'get /api/v1/nodes': { verb: 'list', resource: 'nodes' },
  'get /api/v1/nodes/{name}/preflight': { verb: 'get', resource: 'nodes', name: 'x' },
};

async function coordinatorWith(t: Test, gate: Gate, log: Log): Promise<FastifyInstance> {
  // Never asked: nobody gets that far.
  const cluster = {} as Cluster;
  const { app } = await createCoordinator({
    cluster,
    agents: createHttpAgents({ directory: async () => undefined }),
    namespace: 'drills',
    identity: 'i',
    leaseSeconds: 15,
    clock: createManualClock(),
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
