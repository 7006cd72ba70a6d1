import t, { type Test } from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { createCollector } from '../../../coordinator/view/collect.ts';
import type { DrillFacts } from '../../../coordinator/view/facts.ts';
import { isUnread } from '../../../coordinator/view/facts.ts';
import { Refusal } from '../../../shared/errors.ts';
import { counting } from '../counting.ts';
import { planned } from '../diagnosis/builder.ts';
import { refusal, until } from '../rig.ts';
import { nmaLabels, pod, start } from './running.ts';

const noAgents = { find: async () => undefined } as unknown as Agents;

function nodeWith(name: string, heartbeat: number) {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: {
      conditions: [
        { type: 'Ready', status: 'True' },
        {
          type: 'AcceleratedHardwareReady',
          status: 'True',
          lastHeartbeatTime: new Date(heartbeat).toISOString(),
        },
      ],
    },
  };
}

async function collecting(t: Test, heartbeatAgeMs = 0) {
  const running = await start(t, async ({ cluster }) => {
    for (const name of ['a', 'b']) {
      await cluster.create('nodes', nodeWith(name, Date.now() - heartbeatAgeMs));
      await cluster.create('pods', pod(`nma-${name}`, name, nmaLabels));
    }
  });
  await running.view.ready;
  const { cluster, counts } = counting(running.cluster);
  const { view, clock } = running;
  return { ...running, counts, collector: createCollector({ cluster, view, agents: noAgents, clock }) };
}

const reacted: DrillFacts = {
  ...planned(),
  timeline: [{ at: 'x', clock: 'node', kind: 'condition', source: 's', text: 't', match: true }],
};

t.test(
  'what all targets share is read once; a log is read once a drill, and not after its reaction',
  async (t) => {
    const { collector, counts } = await collecting(t);
    const asked = () => [...counts].map(([call, count]) => `${count} ${call}`).toSorted();
    const [facts] = await Promise.all([collector.facts('a', planned()), collector.facts('b', planned())]);
    t.match(facts, {
      node: { name: 'a' },
      nma: { pod: { name: 'nma-a', image: 'i:v1.6.4' }, version: { row: { version: '1.6.4' } } },
      view: [{ kind: 'nodes', seenAt: String }],
    });
    t.match(facts.repair.doNotDisruptPods, { unread: String }, 'no rule of a drill looks at them');
    t.strictSame(asked(), ['1 get configmaps', '1 get serviceaccounts', '2 get pods/log']);
    const ended = await collector.facts('a', reacted);
    t.match(ended.nma.log, { unread: 'it was not asked for' });
    await collector.basics('b');
    t.strictSame(asked(), ['1 get configmaps', '1 get serviceaccounts', '2 get pods/log']);
    t.strictSame((await collector.facts('a')).repair.doNotDisruptPods, []);
    t.strictSame(asked(), [
      '1 get configmaps',
      '1 get serviceaccounts',
      '1 list poddisruptionbudgets',
      '1 list pods',
      '3 get pods/log',
    ]);
    t.match(
      [...(await collector.nmaVersions())],
      [
        ['a', { row: { version: '1.6.4' } }],
        ['b', {}],
      ],
    );
  },
);

t.test('old heartbeats and an unknown node are looked at in the API server before they count', async (t) => {
  const { collector, counts, cluster } = await collecting(t, 3_600_000);
  t.match(await collector.basics('a'), { node: { name: 'a' } });
  t.equal(counts.get('get nodes'), 1);
  await t.rejects(
    collector.basics('nobody'),
    refusal({ reason: 'node_missing', details: { value: 'nobody' } }),
  );
  t.equal(counts.get('get nodes'), 2);
  const written = nodeWith('a', Date.now()).status;
  await cluster.patch('nodes', { name: 'a' }, { status: written }, 'status');
  const { node } = await collector.basics('a');
  // Kubernetes keeps whole seconds.
  const heartbeat = Date.parse(node.conditions[1]?.lastHeartbeatTime ?? '');
  t.equal(heartbeat, Math.floor(Date.parse(written.conditions[1]?.lastHeartbeatTime ?? '') / 1000) * 1000);
});

t.test('while its watch is broken a node comes from the API server', async (t) => {
  const { collector, counts, view, server } = await collecting(t);
  await until(t, 'the watches', () => server.requests.filter(({ verb }) => verb === 'watch').length >= 10);
  await collector.basics('a');
  t.equal(counts.get('get nodes'), undefined);
  server.faults.failNext({ code: 500, count: 1_000_000, resource: 'nodes', verb: 'watch' });
  server.faults.cutWatches('nodes');
  await until(t, 'the gap', () => !view.isCurrent('nodes'));
  const facts = await collector.basics('a');
  t.equal(counts.get('get nodes'), 1);
  t.match(
    facts.view.find(({ kind }) => kind === 'nodes'),
    { gap: { since: String, because: String } },
    'and the facts say so',
  );
  server.faults.clear();
});

t.test('budgets are read once a pool, and only for a Karpenter that keeps to them', async (t) => {
  const labels = { 'karpenter.sh/nodepool': 'gpu' };
  const withKarpenter = async (tag: string) => {
    const { cluster, view, clock } = await start(t, async ({ cluster }) => {
      for (const name of ['a', 'b'])
        await cluster.create('nodes', { ...nodeWith(name, Date.now()), metadata: { name, labels } });
      await cluster.create('deployments', {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { namespace: 'nma', name: 'karpenter', labels: { 'app.kubernetes.io/name': 'karpenter' } },
        spec: { template: { spec: { containers: [{ name: 'controller', image: `karpenter:${tag}` }] } } },
      });
    });
    await view.ready;
    const counted = counting(cluster);
    const collector = createCollector({ cluster: counted.cluster, view, agents: noAgents, clock });
    const [facts] = await Promise.all([collector.facts('a', planned()), collector.facts('b', planned())]);
    return { budgets: facts.repair.budgets, asked: counted.counts.get('get nodepools') };
  };
  // The kind is Karpenter's own: here nobody has defined it, which is no failure.
  t.match(await withKarpenter('1.15.0'), { budgets: { unread: /are not served/ }, asked: 1 });
  t.match(await withKarpenter('1.14.3'), {
    budgets: { unread: 'they were not asked for' },
    asked: undefined,
  });
});

t.test('agents whose pods may not be read are unread, not absent', async (t) => {
  const { cluster, view, clock } = await start(t, async ({ cluster }) => {
    await cluster.create('nodes', nodeWith('a', Date.now()));
  });
  await view.ready;
  const find = async () => {
    throw new Refusal('cluster_refused', 'pods of our agents cannot be read', { remedy: 'grant it' });
  };
  const agents = { find } as unknown as Agents;
  const { agent } = await createCollector({ cluster, view, agents, clock }).basics('a');
  t.strictSame(agent.directory, {
    unread: 'pods of our agents cannot be read',
    reason: 'cluster_refused',
    remedy: 'grant it',
  });
  t.ok(isUnread(agent.inventory));
});
