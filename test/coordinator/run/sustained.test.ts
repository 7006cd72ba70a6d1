import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { isoFromMillis } from '../../../shared/clock.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { Receipt, Sustained } from '../../../shared/schemas/receipt.ts';
import {
  cpuNode,
  gpuNode,
  httpAgents,
  only,
  type Rig,
  recordsWith,
  startCoordinator,
  startRig,
  until,
} from '../rig.ts';

type Lasting = {
  readonly agents: Agents;
  /** `node orderId` of every call of StopInjection. */
  readonly stops: string[];
  /** Ends what lasts on a node, as the agent's own end would. */
  end(node: string, how: NonNullable<Sustained['ended']>): void;
  refuseStops(isSo: boolean): void;
};

/** The rehearsal's agents, whose orders on some nodes go on until they are stopped. */
function lastingAgents(rig: Rig, isLasting: (node: string) => boolean): Lasting {
  const real = httpAgents(rig);
  const running = new Map<string, Receipt>();
  const ended = new Map<string, Receipt>();
  const stops: string[] = [];
  let isRefused = false;
  const withSustained = (receipt: Receipt, how?: Sustained['ended']): Receipt => {
    const now = isoFromMillis(rig.clock.now());
    return {
      ...receipt,
      state: how === undefined ? 'running' : how === 'agent-restarted' ? 'interrupted' : 'ended',
      endedAt: how === undefined ? null : now,
      surfaces: receipt.surfaces.map((surface) => ({
        ...surface,
        sustained: {
          everySeconds: 20,
          until: isoFromMillis(Date.parse(receipt.acceptedAt) + 3_600_000),
          beats: how === undefined ? 1 : 3,
          failures: 0,
          lastAt: now,
          ...(how !== undefined && { ended: how }),
        },
      })),
    };
  };
  const end: Lasting['end'] = (node, how) => {
    const receipt = running.get(node);
    if (receipt === undefined) throw new Error(`nothing lasts on ${node}`);
    running.delete(node);
    ended.set(node, withSustained(receipt, how));
  };
  return {
    stops,
    end,
    refuseStops: (isSo) => {
      isRefused = isSo;
    },
    agents: {
      ...real,
      async order(node, order, signal) {
        const receipt = await real.order(node, order, signal);
        if (!isLasting(node)) return receipt;
        const known = running.get(node);
        const going = known ?? withSustained(receipt);
        running.set(node, going);
        return { ...going, replayed: receipt.replayed };
      },
      async stop(node, orderId) {
        stops.push(`${node} ${orderId}`);
        if (isRefused) throw new Refusal('disarmed', 'this agent is disarmed');
        const earlier = ended.get(node);
        if (earlier !== undefined) throw new Refusal('nothing_to_stop', 'it has ended', { receipt: earlier });
        end(node, 'stopped');
        return ended.get(node) ?? Promise.reject(new Error('not ended'));
      },
    },
  };
}

t.test('an injection that lasts is ended with its drill', async (t) => {
  const names = [
    'seen',
    'over',
    'abort',
    'due',
    'gone',
    'restart',
    'unheard',
    'cut',
    'failed',
    'stuck',
    'quiet',
  ];
  const rig = await startRig(t, { rows: names.map((name) => cpuNode(name)) });
  const lasting = lastingAgents(rig, () => true);
  const place = async (namespace: string) => {
    await rig.cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    });
    return { namespace, agents: lasting.agents };
  };
  const { rest } = await startCoordinator(t, rig, await place('drills'));
  const never = { expectation: { message: 'never', within: '30s' } };
  const long = { expectation: { message: 'never', within: '30m' } };
  const body = (node: string, more: object = {}) => ({
    name: node,
    fault: { name: 'conntrack-full' },
    target: only(node),
    ...more,
  });
  const statusOf = async (name: string) => (await rest.injections(name))[0]?.status;
  const stopsOn = (node: string) => lasting.stops.filter((stop) => stop.startsWith(`${node} `));
  const waits = (name: string) =>
    until(t, `${name} waits`, async () => (await statusOf(name))?.phase === 'Verifying');

  await t.test('when the reaction was seen', async (t) => {
    t.match(await rest.drill(body('seen')), { verdict: 'pass' });
    const status = await statusOf('seen');
    t.match(status?.receipt, { state: 'ended', surfaces: [{ sustained: { ended: 'stopped', beats: 3 } }] });
    t.ok(status?.timeline?.some(({ text }) => text.startsWith('stopped WriteKernelMessage')));
    t.match(stopsOn('seen'), [/^seen /]);
  });

  await t.test('while it lasts, its receipt says so', async (t) => {
    await rest.create(body('abort', long));
    await waits('abort');
    t.match((await statusOf('abort'))?.receipt, {
      state: 'running',
      endedAt: null,
      surfaces: [{ sustained: { ended: undefined } }],
    });
    await rest.ask('POST', '/api/v1/experiments/abort/abort');
    t.match(await rest.ended('abort'), {
      verdict: 'aborted',
      explanation: {
        summary: /after the injection/,
        remedy: /^What lasted was ended; undo: kernel-log: cannot be undone before/,
      },
    });
    t.match((await statusOf('abort'))?.receipt, {
      state: 'ended',
      surfaces: [{ sustained: { ended: 'stopped' } }],
    });
    t.equal(stopsOn('abort').length, 1);
  });

  await t.test('when nothing came in time', async (t) => {
    t.not((await rest.drill(body('over', never))).verdict, 'pass');
    t.match((await statusOf('over'))?.receipt?.state, 'ended');
    t.equal(stopsOn('over').length, 1);
  });

  await t.test('when the deadline passed', async (t) => {
    t.match(await rest.drill(body('due', { ...never, deadline: '30s' })), {
      verdict: 'error',
      explanation: { code: 'deadline-passed' },
    });
    t.match((await statusOf('due'))?.receipt?.state, 'ended');
    t.equal(stopsOn('due').length, 1);
  });

  await t.test('when the experiment was deleted', async (t) => {
    await rest.create(body('gone', long));
    await waits('gone');
    await rig.cluster.remove('experiments', { namespace: 'drills', name: 'gone' });
    await until(t, 'it was stopped', () => stopsOn('gone').length === 1);
  });

  await t.test('by the coordinator that goes on from a dead one', async (t) => {
    const options = await place('restart');
    const first = await startCoordinator(t, rig, { ...options, identity: 'first' });
    await first.rest.create({ ...body('restart', long), deadline: '31m' });
    await until(
      t,
      'it waits',
      async () => (await first.rest.injections('restart'))[0]?.status?.phase === 'Verifying',
    );
    await first.kill();
    t.equal(stopsOn('restart').length, 0, 'a dead one stops nothing');
    const second = await startCoordinator(t, rig, { ...options, identity: 'second' });
    await second.rest.ask('POST', '/api/v1/experiments/restart/abort');
    t.match(await second.rest.ended('restart'), { verdict: 'aborted' });
    t.equal(stopsOn('restart').length, 1);
  });

  await t.test('by the coordinator that goes on, where the first one never had the receipt', async (t) => {
    const options = await place('unheard');
    let isCarriedOut = false;
    const unheard: Agents = {
      ...options.agents,
      async order(node, order, signal) {
        await options.agents.order(node, order, signal);
        isCarriedOut = true;
        return new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason)),
        );
      },
    };
    const first = await startCoordinator(t, rig, {
      ...options,
      leaseSeconds: 30,
      agents: unheard,
      identity: 'first',
    });
    await first.rest.create(body('unheard', never));
    await until(t, 'it was carried out', () => isCarriedOut);
    await first.kill();
    const second = await startCoordinator(t, rig, { ...options, leaseSeconds: 30, identity: 'second' });
    t.match(await second.rest.ended('unheard'), { verdict: 'inconclusive' });
    t.equal(stopsOn('unheard').length, 1);
    t.equal(recordsWith(rig, 'unheard', 'nf_conntrack'), 1);
  });

  await t.test('one that was cut short proves nothing', async (t) => {
    for (const [node, how, text] of [
      ['cut', 'agent-restarted', /started again while it lasted/],
      ['failed', 'failed', /could not be kept up/],
    ] as const) {
      await rest.create(body(node, never));
      await waits(node);
      lasting.end(node, how);
      const answer = await rest.ended(node);
      t.match(answer, {
        verdict: 'inconclusive',
        explanation: { code: 'injection-interrupted', summary: text },
      });
      t.match(answer.explanation?.evidence, [
        { observed: /^(interrupted|ended), ended/ },
        { observed: new RegExp(how) },
        {},
      ]);
    }
  });

  await t.test('one that cannot be stopped is told, with its own end', async (t) => {
    lasting.refuseStops(true);
    await rest.create(body('stuck', long));
    await waits('stuck');
    await rest.ask('POST', '/api/v1/experiments/stuck/abort');
    t.match(await rest.ended('stuck'), {
      verdict: 'aborted',
      explanation: { remedy: /could not be stopped: call StopInjection of the agent of stuck/ },
    });
    const notes = ((await statusOf('stuck'))?.timeline ?? []).map(({ text }) => text);
    t.ok(
      notes.some((text) => /could not be stopped: this agent is disarmed; it ends by itself at 2/.test(text)),
    );
    lasting.refuseStops(false);
  });

  await t.test('in a negative drill before the control that follows it', async (t) => {
    const orders: string[] = [];
    const node = 'quiet';
    const others = await place('quiet');
    const agents: Agents = {
      ...others.agents,
      async order(at, order, signal) {
        orders.push(
          order.orderId.includes('-after-')
            ? 'after'
            : order.orderId.includes('-before-')
              ? 'before'
              : 'fault',
        );
        // Controls are over at once.
        const isFault = orders.at(-1) === 'fault';
        return isFault ? others.agents.order(at, order, signal) : httpAgents(rig).order(at, order, signal);
      },
      async stop(at, orderId, signal) {
        orders.push('stop');
        return others.agents.stop(at, orderId, signal);
      },
    };
    const { rest } = await startCoordinator(t, rig, { ...others, agents });
    t.match(await rest.drill({ ...body(node), expectation: { none: true, for: '5s' } }), { verdict: 'pass' });
    t.strictSame(orders, ['before', 'fault', 'stop', 'after']);
  });
});

t.test('real agents', async (t) => {
  const rig = await startRig(t, {
    rows: ['script', 'loss', 'pause'].map((name) => gpuNode(name)),
    nma: '1.7.2',
  });
  const { rest } = rig;
  const statusOf = async (name: string) => (await rest.injections(name))[0]?.status;

  await t.test('a reaction to the first part of a script does not cut off the rest', async (t) => {
    const steps = [48, 63, 43].map((xid, index) => ({ xid, afterSeconds: index * 7 }));
    const body = {
      name: 'script',
      fault: { name: 'cascade', parameters: { steps } },
      target: only('script'),
    };
    t.match(await rest.drill(body), { verdict: 'pass', explanation: { summary: /NvidiaXID48Error/ } });
    const status = await statusOf('script');
    t.match(status?.receipt, { state: 'ended', surfaces: steps.map(() => ({ outcome: 'injected' })) });
    t.equal(status?.timeline?.filter(({ kind }) => kind === 'injected').length, 3, 'each part is told once');
  });

  await t.test('an engine that is paused until NMA has seen it', async (t) => {
    const fault = { name: 'engine-loss', parameters: { forSeconds: 1800 } };
    t.match(await rest.drill({ name: 'loss', fault, target: only('loss') }), { verdict: 'pass' });
    t.match((await statusOf('loss'))?.receipt, {
      state: 'ended',
      surfaces: [{ surface: 'host-engine', sustained: { ended: 'stopped' } }],
    });
  });

  await t.test('one that is paused too shortly to be seen', async (t) => {
    const fault = { name: 'engine-loss', parameters: { forSeconds: 30 } };
    const answer = await rest.drill({
      name: 'pause',
      fault,
      target: only('pause'),
      expectation: { none: true, for: '20s', event: 'forbidden' },
    });
    t.match(answer, {
      verdict: 'pass',
      explanation: { code: 'no-reaction-as-expected' },
    });
    t.match((await statusOf('pause'))?.receipt, { surfaces: [{ sustained: { ended: 'stopped' } }] });
  });
});
