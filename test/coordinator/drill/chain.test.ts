import fc from 'fast-check';
import t from 'tap';
import type { Expectation } from '../../../coordinator/catalogue/expectation.ts';
import {
  type Chained,
  chainSeconds,
  closedLinks,
  nextLink,
  orderBefore,
  othersOf,
  phaseOf,
  withBaseline,
  withFinding,
  withoutBaseline,
  withReceipt,
  withRefusal,
} from '../../../coordinator/drill/chain.ts';
import { type LinkRow, links as rows } from '../../../coordinator/drill/links.ts';
import type { ChainLink, LinkStatus } from '../../../coordinator/store/experiment.ts';
import type { AgentOrder } from '../../../shared/schemas/order.ts';
import { receipt } from '../diagnosis/builder.ts';

const at = (seconds: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + seconds * 1000).toISOString();
const ms = (seconds: number) => Date.parse(at(seconds));
const order = (orderId: string, afterSeconds = 0): AgentOrder => ({
  orderId,
  method: 'InjectCascade',
  body: { gpu: { index: 0 }, surfaces: ['dcgm'], steps: [{ xid: 79, afterSeconds }] },
});
const event = (reason: string, withinSeconds: number): Expectation => ({
  kind: 'event',
  type: 'T',
  reason,
  withinSeconds,
});
const link = (id: string, more: Partial<ChainLink>): ChainLink => ({
  id,
  link: more.order === undefined ? 'detection' : 'order',
  role: 'fault',
  expected: id,
  ...more,
});

/** A control, a fault whose last part comes after 14 s, and another control. */
const negative: readonly ChainLink[] = [
  link('before-order', { role: 'control', when: 'before', order: order('b') }),
  link('before-detection', { role: 'control', when: 'before', expectation: event('B', 35) }),
  link('order', { order: order('f', 14) }),
  link('detection', { expectation: { kind: 'none', type: 'T', reason: 'F', withinSeconds: 60 } }),
  link('after-order', { role: 'control', when: 'after', order: order('a') }),
  link('after-detection', { role: 'control', when: 'after', expectation: event('A', 35) }),
];
const taint: LinkRow = {
  name: 'taint',
  title: '',
  phase: 'Verifying',
  by: 'watch',
  onRequest: true,
  endsWithNode: true,
  plan: () => [],
  find: () => undefined,
};
const longer = [...rows, taint];
/** A fault with two reactions and a link behind them. */
const positive: readonly ChainLink[] = [
  link('order', { order: order('f') }),
  link('detection', { expectation: event('F', 50) }),
  link('detection-2', { expectation: event('G', 57) }),
  link('taint', { link: 'taint', withinSeconds: 600 }),
];
const chained = (chain: readonly ChainLink[], links?: readonly LinkStatus[]): Chained => ({
  spec: { node: 'n', chain: [...chain] },
  status: links === undefined ? undefined : { links: [...links] },
});
const baseline = { at: at(0), events: {} };
const accepted = { receipt: { ...receipt([]), acceptedAt: at(1) }, sentAt: ms(1), now: ms(2) };
const found = (state: 'reached' | 'missed', seconds: number) => ({
  finding: { state },
  at: ms(seconds),
  how: 'seen in a watch',
});
const nextId = (given: Chained) => {
  const next = nextLink(longer, given);
  return next === 'conclude' ? next : next.link.id;
};

t.test('link by link to the end', async (t) => {
  let now = chained(positive);
  const step = (links: LinkStatus[], expected: string) => {
    now = { ...now, status: { links } };
    t.equal(nextId(now), expected);
  };
  t.equal(nextId(now), 'order');
  step(withBaseline(now, 'order', baseline), 'order');
  step(withReceipt(now, 'order', accepted), 'detection');
  t.match(now.status?.links, [
    { state: 'reached', since: at(1), at: at(1), clock: 'node', seconds: 1 },
    { state: 'waiting', since: at(1), dueAt: at(52) },
    { state: 'waiting', since: at(1), dueAt: at(59) },
    { state: 'waiting' },
  ]);
  t.equal(now.status?.links?.[3]?.dueAt, undefined, 'its wait begins when the link before it is reached');
  step(withFinding(now, 'detection', found('reached', 9)), 'detection-2');
  t.match(now.status?.links?.[1], { seconds: 8, seen: 'seen in a watch' });
  step(withFinding(now, 'detection-2', found('reached', 10)), 'taint');
  t.match(now.status?.links?.[3], { since: at(10), dueAt: at(610) });
  step(withFinding(now, 'taint', found('reached', 70)), 'conclude');
  t.equal(now.status?.links?.[3]?.seconds, 60, 'from the link before it');
});

t.test('a link that is missed, or an order that is refused, is the end', async (t) => {
  const begun = chained(
    positive,
    withReceipt(chained(positive, withBaseline(chained(positive), 'order', baseline)), 'order', accepted),
  );
  const missed = withFinding(begun, 'detection', found('missed', 52));
  t.equal(nextId(chained(positive, missed)), 'conclude');
  t.match(missed[1], { state: 'missed', because: 'seen in a watch' });
  t.equal(missed[1]?.seconds, undefined, 'nothing was reached');
  const refusal = { reason: 'disarmed', message: 'no', details: {} };
  const refused = withRefusal(chained(positive), 'order', refusal, undefined, ms(3));
  t.equal(nextId(chained(positive, refused)), 'conclude');
  t.match(refused[0], { state: 'missed', refusal, because: 'disarmed: no', at: at(3) });
});

t.test('what was not come to, and what was begun', async (t) => {
  t.strictSame(
    closedLinks(chained(positive)).map(({ state }) => state),
    ['skipped', 'skipped', 'skipped', 'skipped'],
  );
  const sent = chained(positive, withBaseline(chained(positive), 'order', baseline));
  t.strictSame(
    closedLinks(sent).map(({ state }) => state),
    ['unknown', 'skipped', 'skipped', 'skipped'],
    'an order that was on its way may have been carried out',
  );
  t.equal(withoutBaseline(sent, 'order')[0]?.baseline, undefined);
  const waiting = chained(positive, withReceipt(sent, 'order', accepted));
  t.strictSame(
    closedLinks(waiting).map(({ state }) => state),
    ['reached', 'unknown', 'unknown', 'skipped'],
  );
});

t.test('a negative drill watches from its last write on, and its controls are not its own', async (t) => {
  const given = chained(negative, withBaseline(chained(negative), 'order', baseline));
  t.match(withReceipt(given, 'order', accepted)[3], { id: 'detection', dueAt: at(2 + 14 + 60) });
  t.match(withReceipt(given, 'before-order', accepted)[1], { id: 'before-detection', dueAt: at(2 + 35) });
  t.equal(withReceipt(given, 'before-order', accepted)[3]?.dueAt, undefined, 'another order’s');
  t.strictSame(
    othersOf(negative, 'detection').map(({ reason }) => reason),
    ['B', 'A'],
  );
  t.strictSame(
    negative.map(({ id }) => orderBefore(negative, id).order.orderId),
    ['b', 'b', 'f', 'f', 'a', 'a'],
  );
  const phases = negative.map((one) => {
    const row = rows.find(({ name }) => name === one.link);
    return row && phaseOf({ link: one, row });
  });
  t.strictSame(phases, [
    'ControlBefore',
    'ControlBefore',
    'Injecting',
    'Verifying',
    'ControlAfter',
    'ControlAfter',
  ]);
});

t.test('an order that had been carried out before counts from the baseline on', async (t) => {
  const given = chained(positive, withBaseline(chained(positive), 'order', baseline));
  const again = { ...accepted, receipt: { ...accepted.receipt, replayed: true } };
  t.match(withReceipt(given, 'order', again), [{ since: at(0), seconds: 2 }, { since: at(0) }]);
});

t.test('how long a chain may take', async (t) => {
  t.equal(chainSeconds(negative), 35 + (14 + 60) + 35);
  t.equal(chainSeconds(positive), 57 + 600, 'windows of one order run side by side');
});

t.test('a chain of another version is refused, not guessed', async (t) => {
  t.throws(() => nextLink(rows, chained([link('order', { link: 'levitation', order: order('x') })])), {
    message: /no row for levitation/,
  });
  t.throws(() => orderBefore([link('detection', {})], 'detection'), { message: /before every order/ });
});

t.test('from every state it goes on or ends, and never back', async () => {
  const state = fc.constantFrom('waiting', 'reached', 'missed', 'skipped', 'unknown');
  fc.assert(
    fc.property(fc.array(state, { minLength: 4, maxLength: 4 }), (states) => {
      const known = positive.map(({ id, link, expected }, index) => ({
        id,
        link,
        expected,
        state: states[index] ?? 'waiting',
        evidence: [],
      })) as LinkStatus[];
      const next = nextLink(longer, chained(positive, known));
      const open = states.findIndex((one) => one !== 'reached');
      if (next === 'conclude') return open === -1 || states[open] !== 'waiting';
      return positive[open]?.id === next.link.id && states[open] === 'waiting';
    }),
  );
});
