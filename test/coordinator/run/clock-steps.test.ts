import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { cpuNode, httpAgents, only, startCoordinator, startRig, until } from '../rig.ts';

const hourMs = 3_600_000;
const nodes = ['answers', 'silent', 'taken'] as const;

const rig = await startRig(t, { rows: nodes.map((name) => cpuNode(name)) });

/**
 * A coordinator whose wall clock is set back by an hour while what has elapsed goes on: when it has stored what became of the order,
 * or, where the agent is `silent`, while it waits for the answer. `startNext` starts another one, in its place, whose clock is that one.
 */
async function startSetBack(node: (typeof nodes)[number]) {
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: node },
  });
  let offset = 0;
  const clock = { ...rig.clock, now: () => rig.clock.now() + offset };
  const real = httpAgents(rig);
  const agents: Agents = {
    ...real,
    async order(name, order, signal) {
      const receipt = await real.order(name, order, signal);
      if (node === 'answers') return receipt;
      offset = -hourMs;
      return new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
      );
    },
  };
  const cluster: typeof rig.cluster = {
    ...rig.cluster,
    async replace(resource, object, ...rest) {
      const stored = await rig.cluster.replace(resource, object, ...rest);
      if (JSON.stringify(object).includes('"phase":"Verifying"')) offset = -hourMs;
      return stored;
    },
  };
  const startNext = () => startCoordinator(t, { ...rig, clock }, { namespace: node, agents, cluster });
  return { ...(await startNext()), startNext };
}

const drill = {
  fault: { name: 'kernel-message', parameters: { text: 'nobody reads this' } },
  expectation: { kind: 'event', type: 'KernelReady', reason: 'Nothing', within: '60s' },
  deadline: '100s',
};

t.test('M12 a reaction is not awaited for an hour longer', async (t) => {
  const { rest } = await startSetBack('answers');
  t.match(await rest.drill({ ...drill, target: only('answers') }), {
    verdict: 'fail',
    explanation: { code: /^(?!deadline-passed)/ },
  });
});

t.test('M12 the deadline passes when its time has elapsed, not an hour later', async (t) => {
  const { rest } = await startSetBack('silent');
  t.match(await rest.drill({ ...drill, target: only('silent') }), {
    verdict: 'error',
    explanation: { code: 'deadline-passed' },
  });
});

t.test('M12 a coordinator that takes over after the step has no hour more either', async (t) => {
  const { rest, kill, startNext } = await startSetBack('taken');
  await rest.create({ ...drill, name: 'taken', target: only('taken') });
  await until(t, 'the order is sent', async () => (await rest.injections('taken')).length === 1);
  await kill();
  const next = await startNext();
  const began = rig.clock.elapsed();
  const seen = async () => (await next.rest.ask('GET', '/api/v1/experiments/taken')).body;
  // Three times its deadline, by a clock that nobody sets.
  const isLate = () => rig.clock.elapsed() - began > 300_000;
  await until(t, 'it ends, or is late', async () => isLate() || (await seen()).phase === 'Completed');
  t.match(await seen(), { verdict: 'error', explanation: { code: 'deadline-passed' } });
});
