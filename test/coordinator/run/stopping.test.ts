import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { createStopping } from '../../../coordinator/run/stopping.ts';
import type { InjectionStatus } from '../../../coordinator/store/experiment.ts';
import type { Injection } from '../../../coordinator/store/store.ts';
import type { Clock } from '../../../shared/clock.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { OrderBody } from '../../../shared/schemas/order.ts';
import type { Receipt, Sustained } from '../../../shared/schemas/receipt.ts';
import { linkStatus, simpleChain } from '../chained.ts';
import { dcgmResult, receipt } from '../diagnosis/builder.ts';
import { log } from '../rig.ts';

const until = '2026-01-01T00:10:00.000Z';
const lasting = (ended?: Sustained['ended'], state: Receipt['state'] = 'ended'): Receipt => ({
  ...receipt([
    dcgmResult({
      outcome: 'injected',
      sustained: {
        everySeconds: 20,
        until,
        beats: 4,
        failures: 1,
        lastAt: until,
        ...(ended !== undefined && { ended }),
      },
    }),
  ]),
  state,
});

function injection(
  status: InjectionStatus | undefined,
  over: Partial<OrderBody<'InjectDcgmField'>> = {},
): Injection {
  return {
    metadata: { name: 'i-a' },
    spec: {
      experiment: 'e',
      node: 'a',
      nodeUid: 'u',
      fault: 'xid',
      parameters: {},
      chain: simpleChain(
        {
          orderId: 'o-1',
          method: 'InjectDcgmField',
          body: { gpu: { index: 0 }, field: 230, value: 79, ...over },
        },
        { kind: 'event', type: 'T', reason: 'R', withinSeconds: 5 },
      ),
    },
    status,
  };
}

/** A clock that is as fast as it is asked to be. */
function jumpingClock(): Clock {
  let now = Date.parse('2026-01-01T00:00:00Z');
  return {
    now: () => now,
    elapsed: () => now,
    sleep: async (milliseconds, signal) => {
      signal?.throwIfAborted();
      now += milliseconds;
    },
  };
}

function stoppingWith(answer: () => Receipt | Refusal) {
  const calls: string[] = [];
  const never = async () => {
    throw new Error('not asked for here');
  };
  const agents: Agents = {
    find: never,
    order: never,
    receipt: never,
    inventory: never,
    isUp: never,
    setKillSwitch: never,
    stop: async (node, orderId) => {
      calls.push(`${node} ${orderId}`);
      const given = answer();
      if (given instanceof Refusal) throw given;
      return given;
    },
  };
  return { calls, stopping: createStopping({ agents, clock: jumpingClock(), log }) };
}

const ordered = (receipt: Receipt) => [linkStatus('order', 'reached', { receipt })];
const verifying: InjectionStatus = {
  phase: 'Verifying',
  links: ordered(lasting(undefined, 'running')),
  timeline: [],
};
const sent: InjectionStatus = {
  phase: 'Injecting',
  links: [linkStatus('order', 'waiting', { baseline: { at: until, events: {} } })],
};
const signal = new AbortController().signal;

t.test('what lasts is ended, and how that went is told', async (t) => {
  const ended = lasting('stopped');
  const nothing = (inDetails: { readonly receipt: Receipt }) =>
    new Refusal('nothing_to_stop', 'it has ended', inDetails);
  const rows: readonly (readonly [
    name: string,
    given: Injection,
    answer: Receipt | Refusal,
    text: RegExp,
    state: Receipt['state'] | undefined,
  ])[] = [
    [
      'stopped',
      injection(verifying),
      ended,
      /^stopped InjectDcgmField o-1: dcgm stopped after 4 writes, 1 failed$/,
      'ended',
    ],
    [
      'ended before',
      injection(verifying),
      nothing({ receipt: lasting('deadline') }),
      /had ended by itself: dcgm deadline/,
      'ended',
    ],
    [
      'interrupted before',
      injection(verifying),
      nothing({ receipt: lasting('agent-restarted', 'interrupted') }),
      /had ended by itself: dcgm agent-restarted/,
      'interrupted',
    ],
    [
      'refused',
      injection(verifying),
      new Refusal('disarmed', 'the agent is disarmed'),
      /could not be stopped: the agent is disarmed; it ends by itself at 2026-01-01T00:10:00.000Z$/,
      'running',
    ],
    [
      'the order never came',
      injection(sent, { forSeconds: 60 }),
      new Refusal('order_unknown', 'no such order'),
      /^nothing to stop: the agent knows no order o-1$/,
      undefined,
    ],
    ['the order came unseen', injection(sent, { forSeconds: 60 }), ended, /^stopped/, 'ended'],
    [
      'and it cannot be asked',
      injection(sent, { forSeconds: 60 }),
      new Refusal('disarmed', 'no'),
      /it ends by itself 1 min after it was accepted, if it was/,
      undefined,
    ],
  ];
  for (const [name, given, answer, text, state] of rows) {
    const { calls, stopping } = stoppingWith(() => answer);
    const { status } = await stopping.settle(given, signal);
    t.strictSame(calls, ['a o-1'], name);
    t.match(status?.timeline?.at(-1), { kind: 'note', source: 'agent of a', text }, name);
    t.equal(status?.links?.[0]?.receipt?.state, state, name);
  }
});

t.test('where nothing lasts nobody is asked', async (t) => {
  const rows: readonly (readonly [string, Injection])[] = [
    ['nothing yet', injection(undefined, { forSeconds: 60 })],
    ['ended', injection({ phase: 'Verifying', links: ordered(lasting('deadline')) }, { forSeconds: 60 })],
    ['written once', injection(sent)],
    ['completed', injection({ ...verifying, phase: 'Completed' })],
    ['a control', injection({ phase: 'ControlBefore' }, { forSeconds: 60 })],
  ];
  for (const [name, given] of rows) {
    const { calls, stopping } = stoppingWith(() => lasting('stopped'));
    t.equal(await stopping.settle(given, signal), given, name);
    t.strictSame(calls, [], name);
  }
});

t.test('an agent that does not answer is asked again, and not for ever', async (t) => {
  let left = 2;
  const gone = new Refusal('agent_unreachable', 'no answer');
  const later = stoppingWith(() => {
    left -= 1;
    return left >= 0 ? gone : lasting('stopped');
  });
  t.match(
    (await later.stopping.settle(injection(verifying), signal)).status?.links?.[0]?.receipt?.state,
    'ended',
  );
  t.equal(later.calls.length, 3);
  const never = stoppingWith(() => gone);
  const { status } = await never.stopping.settle(injection(verifying), signal);
  t.match(status?.timeline?.at(-1)?.text, /could not be stopped: no answer; it ends by itself at/);
  t.equal(never.calls.length, 6, '10 s, every 2 s');
  await t.rejects(never.stopping.settle(injection(verifying), AbortSignal.abort(new Error('stop'))), {
    message: 'stop',
  });
});

t.test('what lasts of objects that are gone', async (t) => {
  const { calls, stopping } = stoppingWith(() => lasting('stopped'));
  stopping.track(injection(verifying));
  await stopping.abandon('another', signal);
  t.strictSame(calls, [], 'not ours');
  await stopping.abandon('e', signal);
  await stopping.abandon('e', signal);
  t.strictSame(calls, ['a o-1'], 'once');
  stopping.track(injection(verifying));
  stopping.track(injection({ ...verifying, phase: 'Completed' }));
  await stopping.abandon('e', signal);
  t.equal(calls.length, 1, 'nothing lasts any more');
});
