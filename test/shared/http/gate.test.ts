import { Socket } from 'node:net';
import t from 'tap';
import type { Clock } from '../../../shared/clock.ts';
import { Refusal } from '../../../shared/errors.ts';
import { type CreateReview, createClusterGate } from '../../../shared/http/gate.ts';
import { createManualClock } from '../../manual-clock.ts';

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

t.test('an answer is remembered, and not for long', async (t) => {
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
  t.equal(asked.length, 7, 'a refusal is remembered too');
  clock.set(17_001);
  await t.rejects(gate.admit('Bearer weak', access, peer));
  t.equal(asked.length, 8, 'for five seconds: a right that was just granted counts soon');
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

t.test('M13 forged tokens cost the API server a few reviews, and the caller a wait', async (t) => {
  const { create, asked } = reviewer();
  const clock = createManualClock();
  const gate = createClusterGate({ create, audience, clock });
  const attacker = { remoteAddress: '10.0.0.66' } as Socket;
  let refused = 0;
  let toldToWait = 0;
  for (let attempt = 0; attempt < 3000; attempt += 1) {
    // 3,000 in 12.7 s, as they were measured.
    await clock.advance(4.23);
    const outcome = await gate
      .admit(`Bearer forged-${attempt}`, access, attacker)
      .catch((thrown: Refusal) => thrown);
    if ((outcome as Refusal).reason === 'unauthenticated') refused += 1;
    const { retryAfterSeconds } = (outcome as Refusal).details;
    if ((outcome as Refusal).reason === 'too_many_reviews' && Number(retryAfterSeconds) > 0) toldToWait += 1;
  }
  t.equal(refused + toldToWait, 3000);
  t.ok(asked.length <= 24, `${asked.length} reviews`);

  await gate.admit('Bearer good', access, peer);
  await clock.advance(61_000);
  await gate.admit('Bearer good', access, attacker);
  t.pass('a token that was accepted before does not wait for those that were not');
  const before = asked.length;
  await t.rejects(gate.admit('Bearer forged-again', access, attacker), {
    name: 'Refusal',
    reason: 'unauthenticated',
  });
  await t.rejects(gate.admit('Bearer forged-once-more', access, attacker), {
    name: 'Refusal',
    reason: 'too_many_reviews',
    details: { retryAfterSeconds: 16 },
  });
  t.equal(asked.length, before + 1, 'one review after the wait, and then a longer one');
});

t.test('M13 a burst of forged tokens is counted while it is under way', async (t) => {
  const { create, asked } = reviewer();
  const clock = createManualClock();
  let going = 0;
  let most = 0;
  const slow: CreateReview = async (resource, object) => {
    going += 1;
    most = Math.max(most, going);
    await clock.sleep(50);
    going -= 1;
    return create(resource, object);
  };
  const gate = createClusterGate({ create: slow, audience, clock });
  const from = (address: string) => ({ remoteAddress: address }) as Socket;
  const burst = Array.from({ length: 3000 }, (_, index) =>
    gate.admit(`Bearer forged-${index}`, access, from('10.0.0.66')).catch((thrown: Refusal) => thrown.reason),
  );
  const good = gate.admit('Bearer good', access, from('10.0.0.7'));
  for (let turn = 0; turn < 10; turn += 1) await clock.advance(50);
  t.equal(await good, 'ops', 'another caller is not kept waiting by them');
  const outcomes = await Promise.all(burst);
  t.same(new Set(outcomes), new Set(['unauthenticated', 'too_many_reviews']));
  t.ok(asked.length <= 22, `${asked.length} reviews`);
  t.ok(most <= 17, `${most} at once`);
});

t.test('M13 a caller without rights who asks for one name after the other waits as well', async (t) => {
  const { create, asked } = reviewer();
  const clock = createManualClock();
  const gate = createClusterGate({ create, audience, clock });
  for (let attempt = 0; attempt < 500; attempt += 1)
    await t.rejects(gate.admit('Bearer weak', { ...access, name: `n${attempt}` }, peer));
  t.ok(asked.length <= 21, `${asked.length} reviews`);
  await gate.admit('Bearer good', access, peer);
  t.pass('others do not');
});

t.test('an API server that asks for a pause gets one', async (t) => {
  const clock = createManualClock();
  let asked = 0;
  const gate = createClusterGate({
    audience,
    clock,
    create: async () => {
      asked += 1;
      throw new Refusal('cluster_unreachable', 'overloaded', { retryAfterSeconds: 3 });
    },
  });
  for (let attempt = 0; attempt < 100; attempt += 1)
    await t.rejects(gate.admit(`Bearer t${attempt}`, access, peer), {
      name: 'Refusal',
      reason: 'cluster_unreachable',
      details: { retryAfterSeconds: 3 },
    });
  t.equal(asked, 1);
  await clock.advance(3_001);
  await t.rejects(gate.admit('Bearer later', access, peer), {
    name: 'Refusal',
    reason: 'cluster_unreachable',
  });
  t.equal(asked, 2, 'no refusal: nobody was found to be a stranger');
});

t.test('many addresses are not remembered for ever, and what is remembered crowds out nobody', async (t) => {
  const { create, asked } = reviewer();
  const clock = createManualClock();
  const gate = createClusterGate({ create, audience, clock });
  await gate.admit('Bearer good', access, peer);
  for (let address = 0; address < 3000; address += 1)
    await t.rejects(gate.admit(`Bearer f${address}`, access, { remoteAddress: `a${address}` } as Socket));
  const before = asked.length;
  await gate.admit('Bearer good', access, peer);
  t.equal(asked.length, before, 'refusals do not push out who was accepted');
});
