import t from 'tap';
import { createHttpAgents } from '../../../coordinator/agents/http.ts';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { AgentOrder } from '../../../shared/schemas/order.ts';
import { cpuNode, httpAgents, only, recordsWith, startCoordinator, startRig, until } from '../rig.ts';

const unreachable = () => new Refusal('agent_unreachable', 'the agent does not answer (refused)', {});

t.test('agents that are not as they should be, and nodes that go', async (t) => {
  const rows = ['away', 'lost', 'quiet', 'safe', 'none', 'gone', 'left', 'late', 'mute'].map((name) =>
    cpuNode(name),
  );
  const rig = await startRig(t, { rows });
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'drills' },
  });
  const real = httpAgents(rig);
  const down = new Set<string>();
  const given: string[] = [];
  /** What stands between coordinator and agents; each node's trouble is named after it. */
  const before: Record<string, (order: AgentOrder) => Promise<void>> = {};
  const agents: Agents = {
    find: async (node) => (node === 'none' ? undefined : real.find(node)),
    async order(node, order, signal) {
      given.push(node);
      await before[node]?.(order);
      if (down.has(node)) throw unreachable();
      return real.order(node, order, signal);
    },
    receipt: real.receipt,
    stop: real.stop,
    isUp: real.isUp,
    setKillSwitch: real.setKillSwitch,
    async inventory(node, signal) {
      if (down.has(node)) throw unreachable();
      const inventory = await real.inventory(node, signal);
      return node === 'safe' ? { ...inventory, armed: false } : inventory;
    },
  };
  const { rest } = await startCoordinator(t, rig, { namespace: 'drills', agents });
  const drill = (node: string, more: object = {}) =>
    rest.drill({ name: node, fault: { name: 'task-blocked' }, target: only(node), ...more });

  await t.test('one that comes back is asked again', async (t) => {
    down.add('away');
    const started = await rest.create({
      name: 'away',
      fault: { name: 'task-blocked' },
      target: only('away'),
    });
    await until(t, 'it was asked twice', () => given.filter((node) => node === 'away').length >= 2);
    down.delete('away');
    t.match(await rest.ended(started.name), { verdict: 'pass' });
    t.equal(recordsWith(rig, 'away', 'blocked'), 1);
    const [injection] = await rest.injections('away');
    t.match(injection?.status?.timeline, [
      { kind: 'note', text: /was not answered \d+ times/ },
      { kind: 'ordered' },
    ]);
    t.ok((injection?.status?.latency?.seconds ?? 99) < 15, 'its absence is no part of the latency');
  });

  await t.test('an answer that was lost: the order is given again and carried out once', async (t) => {
    let lost = 0;
    before.lost = async (order) => {
      if (lost > 0) return;
      lost += 1;
      await real.order('lost', order);
      throw unreachable();
    };
    t.match(await drill('lost'), { verdict: 'pass', latency: { from: /^before the order/ } });
    t.equal(recordsWith(rig, 'lost', 'blocked'), 1);
    t.match((await rest.injections('lost'))[0]?.status?.receipt, { replayed: true });
  });

  await t.test('one that stays away', async (t) => {
    down.add('quiet');
    t.match(await drill('quiet'), {
      verdict: 'inconclusive',
      explanation: { code: 'agent-unreachable', evidence: [{}] },
    });
    t.equal(recordsWith(rig, 'quiet', 'blocked'), 0);
    t.match((await rest.injections('quiet'))[0]?.status, {
      refusal: { reason: 'agent_unreachable' },
      timeline: [{ text: /not answered/ }, { kind: 'ordered' }, { kind: 'note' }],
    });
  });

  await t.test('one that may not, and none at all', async (t) => {
    t.match(await drill('safe'), {
      verdict: 'error',
      injected: 'none',
      explanation: { code: 'agent-disarmed', remedy: /--arm/ },
    });
    t.match(await drill('none'), { verdict: 'error', explanation: { code: 'agent-unknown' } });
    t.notOk(given.includes('safe') || given.includes('none'), 'neither was given an order');
    before.late = async () => {
      throw new Refusal('disarmed', 'this agent is disarmed', {});
    };
    t.match(
      await drill('late'),
      { verdict: 'error', explanation: { code: 'agent-disarmed' } },
      'disarmed meanwhile',
    );
  });

  await t.test('a record that does not come back', async (t) => {
    rig.node('mute').kernelLog.dropWrites(true);
    t.match(await drill('mute'), {
      verdict: 'inconclusive',
      injected: 'perhaps',
      explanation: { code: 'injection-not-proven', evidence: [{ observed: /read_back_failed/ }] },
    });
    const [injection] = await rest.injections('mute');
    t.match(injection?.status?.receipt, { surfaces: [{ outcome: 'failed' }] });
    t.notOk(injection?.status?.refusal?.details.receipt, 'the receipt stands in one place');
  });

  await t.test('a node that is deleted before the order', async (t) => {
    before.gone = async () => {
      await rig.cluster.remove('nodes', { name: 'gone' });
      throw unreachable();
    };
    const answer = await drill('gone');
    t.match(answer, {
      verdict: 'inconclusive',
      explanation: { code: 'node-replaced', summary: /before anything was injected/ },
    });
    t.match(
      await rest.ask('POST', '/api/v1/experiments', {
        fault: { name: 'task-blocked' },
        target: only('gone'),
      }),
      {
        status: 400,
        body: { code: 'node_unknown' },
      },
    );
  });

  await t.test('a node that is deleted between injection and reaction', async (t) => {
    const started = await rest.create({
      name: 'left',
      fault: { name: 'task-blocked' },
      target: only('left'),
      // Nothing will say that.
      expectation: { message: 'never', within: '30m' },
    });
    await until(t, 'it waits', async () => (await rest.injections('left'))[0]?.status?.phase === 'Verifying');
    await rig.node('left').stopNma();
    await rig.cluster.remove('nodes', { name: 'left' });
    const answer = await rest.ended(started.name);
    t.match(answer, {
      verdict: 'inconclusive',
      explanation: {
        code: 'node-replaced',
        summary: /after the injection/,
        evidence: [{ source: /receipt/ }, {}, { observed: /is gone/ }],
      },
    });
  });
});

t.test('who may be drilled, and one at a time', async (t) => {
  const rig = await startRig(t, { rows: [cpuNode('one'), cpuNode('shy', {})] });
  const { rest } = rig;
  const slow = {
    fault: { name: 'conntrack-full' },
    target: only('one'),
    expectation: { message: 'never', within: '30m' },
  };
  const refused = await rest.ask('POST', '/api/v1/experiments', { ...slow, target: only('shy') });
  t.match(refused, {
    status: 400,
    body: {
      code: 'no_target',
      detail: /not opted in/,
      remedy: 'kubectl label node shy xidrill.dev/drill=allowed',
    },
  });

  await t.test('busy', async (t) => {
    const first = await rest.create({ ...slow, name: 'first' });
    await until(t, 'it works', async () => (await rest.injections(first.name)).length === 1);
    t.match(await rest.ask('POST', '/api/v1/experiments', slow), {
      status: 409,
      body: { code: 'node_busy', detail: /experiment first works on it/, remedy: /abort it/ },
    });
    await rest.ask('POST', '/api/v1/experiments/first/abort');
    await rest.ended('first');
    t.match(
      await rest.drill({ fault: { name: 'task-blocked' }, target: only('one') }),
      { verdict: 'pass' },
      'free again',
    );
  });

  await t.test('two that were made at the same moment', async (t) => {
    const spec = { fault: { name: 'conntrack-full' }, target: only('one') };
    const before = recordsWith(rig, 'one', 'conntrack');
    for (const name of ['twin-a', 'twin-b'])
      await rig.cluster.create('experiments', {
        apiVersion: 'xidrill.dev/v1alpha1',
        kind: 'Experiment',
        metadata: { name, namespace: 'xidrill' },
        spec,
      });
    const ended = await Promise.all([rest.ended('twin-a'), rest.ended('twin-b')]);
    const verdicts = ended.map(({ verdict }) => verdict).toSorted();
    // Either one found the other at work, or it came after it.
    if (verdicts.includes('error'))
      t.match(ended.find(({ verdict }) => verdict === 'error')?.explanation, {
        code: 'node-busy',
        summary: /works on it/,
      });
    else t.strictSame(verdicts, ['pass', 'pass']);
    t.equal(
      recordsWith(rig, 'one', 'conntrack'),
      before + verdicts.filter((verdict) => verdict === 'pass').length,
    );
  });
});

t.test('the agent of another node writes nothing, whoever mixed up their addresses', async (t) => {
  const rig = await startRig(t, { rows: [cpuNode('meant'), cpuNode('shy', {})] });
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'crossed' },
  });
  const crossed = createHttpAgents({ directory: async () => rig.node('shy').url });
  const { rest } = await startCoordinator(t, rig, { namespace: 'crossed', agents: crossed });
  const answer = await rest.drill({
    name: 'crossed',
    fault: { name: 'task-blocked' },
    target: only('meant'),
  });
  t.match(answer, {
    verdict: 'error',
    explanation: { code: 'agent-unknown', evidence: [{ observed: /agent of node shy, not of meant/ }] },
  });
  t.equal(recordsWith(rig, 'shy', 'blocked for more than'), 0, 'a node that did not opt in stays untouched');
  t.match(
    await (await fetch(`${rig.url}/metrics`)).text(),
    /^xidrill_agents_up 1$/m,
    'of those that opted in',
  );
});
