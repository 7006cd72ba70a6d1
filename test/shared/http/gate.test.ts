import { Socket } from 'node:net';
import t from 'tap';
import type { Clock } from '../../../shared/clock.ts';
import { type CreateReview, createClusterGate } from '../../../shared/http/gate.ts';

type Review = { readonly resource: string; readonly object: Record<string, unknown> };

const audience = 'xidrill-agent';
const peer = new Socket();
const access = { verb: 'inject', resource: 'nodes', name: 'gpu-1' };

/** An API server that knows two tokens and one rule. */
function reviewer(): { create: CreateReview; asked: Review[] } {
  const asked: Review[] = [];
  const users: Record<string, object> = {
    good: {
      authenticated: true,
      audiences: [audience],
      user: { username: 'ops', uid: 'u1', groups: ['sre'] },
    },
    weak: { authenticated: true, audiences: [audience], user: { username: 'guest' } },
    // A server without audience support leaves them out.
    unbound: { authenticated: true, user: { username: 'ops' } },
    nameless: { authenticated: true, audiences: [audience], user: {} },
    expired: { authenticated: false, error: 'token has expired' },
  };
  return {
    asked,
    async create(resource, object) {
      asked.push({ resource, object: object as Record<string, unknown> });
      const { spec } = object as { spec: { token?: string; user?: string } };
      if (resource === 'tokenreviews') return { status: users[spec.token ?? ''] ?? { authenticated: false } };
      return { status: { allowed: spec.user === 'ops', reason: spec.user === 'ops' ? '' : 'no RBAC rule' } };
    },
  };
}

function clockAt(): Clock & { set(now: number): void } {
  let now = 1000;
  return {
    now: () => now,
    elapsed: () => now,
    sleep: async () => undefined,
    set: (next) => {
      now = next;
    },
  };
}

t.test('who has a token for us and the verb is let in', async (t) => {
  const { create, asked } = reviewer();
  const gate = createClusterGate({ create, audience, clock: clockAt() });
  await gate.admit('Bearer good', access, peer);
  t.match(asked, [
    { resource: 'tokenreviews', object: { spec: { token: 'good', audiences: [audience] } } },
    {
      resource: 'subjectaccessreviews',
      object: {
        spec: {
          user: 'ops',
          uid: 'u1',
          groups: ['sre'],
          resourceAttributes: { group: 'xidrill.dev', verb: 'inject', resource: 'nodes', name: 'gpu-1' },
        },
      },
    },
  ]);
});

t.test('a subresource is asked for as one', async (t) => {
  const { create, asked } = reviewer();
  const gate = createClusterGate({ create, audience, clock: clockAt() });
  await gate.admit('Bearer good', { verb: 'get', resource: 'nodes/log', name: 'gpu-1' }, peer);
  t.match(asked[1]?.object, {
    spec: { resourceAttributes: { resource: 'nodes', subresource: 'log', name: 'gpu-1' } },
  });
});

t.test('everybody else hears why, and never the token', async (t) => {
  const { create } = reviewer();
  const gate = createClusterGate({ create, audience, clock: clockAt() });
  const rows: readonly (readonly [string | undefined, string, RegExp])[] = [
    [undefined, 'unauthenticated', /no bearer token/],
    ['Basic abc', 'unauthenticated', /no bearer token/],
    ['Bearer ', 'unauthenticated', /no bearer token/],
    ['Bearer nobody', 'unauthenticated', /does not accept the token for audience xidrill-agent/],
    ['Bearer expired', 'unauthenticated', /token has expired/],
    ['Bearer unbound', 'unauthenticated', /not bound to audience xidrill-agent/],
    ['Bearer nameless', 'unauthenticated', /does not accept/],
    [
      'Bearer weak',
      'permission_denied',
      /User "guest" cannot inject resource "nodes" in API group "xidrill.dev" at the cluster scope named "gpu-1": no RBAC rule/,
    ],
  ];
  for (const [header, reason, message] of rows) {
    await t.rejects(gate.admit(header, access, peer), { name: 'Refusal', reason, message }, String(header));
  }
});

t.test('only what was allowed is remembered, and not for long', async (t) => {
  const { create, asked } = reviewer();
  const clock = clockAt();
  const gate = createClusterGate({ create, audience, clock });
  await gate.admit('Bearer good', access, peer);
  await gate.admit('Bearer good', access, peer);
  t.equal(asked.length, 2, 'the second time nobody is asked');
  await gate.admit('Bearer good', { ...access, verb: 'get' }, peer);
  t.equal(asked.length, 3, 'another verb is another question');
  clock.set(12_000);
  await gate.admit('Bearer good', access, peer);
  t.equal(asked.length, 5, 'after ten seconds both are asked again');
  for (const _ of [1, 2]) await t.rejects(gate.admit('Bearer weak', access, peer));
  t.equal(asked.length, 8, 'a refusal is asked for again each time');
});

t.test('who asks while the answer is on its way waits for it', async (t) => {
  const { create, asked } = reviewer();
  const gate = createClusterGate({ create, audience, clock: clockAt() });
  await Promise.all(Array.from({ length: 50 }, () => gate.admit('Bearer good', access, peer)));
  t.equal(asked.length, 2, 'one review of each kind');
  const refused = await Promise.allSettled(
    Array.from({ length: 50 }, () => gate.admit('Bearer bad', access, peer)),
  );
  t.ok(refused.every(({ status }) => status === 'rejected'));
  t.equal(asked.length, 3, 'and one for all who are refused at once');
});

t.test('a clock that is put back makes no answer younger', async (t) => {
  const { create, asked } = reviewer();
  const clock = clockAt();
  clock.set(3_600_000);
  const gate = createClusterGate({ create, audience, clock });
  await gate.admit('Bearer good', access, peer);
  clock.set(0);
  await gate.admit('Bearer good', access, peer);
  t.equal(asked.length, 4);
});

t.test('an authorizer that could not tell is told as such', async (t) => {
  const status = (resource: string) =>
    resource === 'tokenreviews'
      ? { authenticated: true, audiences: [audience], user: { username: 'u' } }
      : { allowed: false, evaluationError: 'webhook: connection refused' };
  const create: CreateReview = async (resource) => ({ status: status(resource) });
  const gate = createClusterGate({ create, audience, clock: clockAt() });
  await t.rejects(gate.admit('Bearer good', access, peer), {
    reason: 'permission_denied',
    message: /webhook: connection refused/,
  });
});
