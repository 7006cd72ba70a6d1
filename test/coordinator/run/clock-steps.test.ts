import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { cpuNode, httpAgents, only, startCoordinator, startRig } from '../rig.ts';

const hourMs = 3_600_000;
const nodes = ['answers', 'silent'] as const;

const rig = await startRig(t, { rows: nodes.map((name) => cpuNode(name)) });

/**
 * A coordinator whose wall clock is set back by an hour while what has elapsed goes on: when it has stored what became of the order,
 * or, `silent`, while it waits for the answer.
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
  return startCoordinator(t, { ...rig, clock }, { namespace: node, agents, cluster });
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
