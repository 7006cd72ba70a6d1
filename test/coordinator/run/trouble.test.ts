import t, { type Test } from 'tap';
import { cpuNode, only, type Rig, recordsWith, startRig, until } from '../rig.ts';

const reaction = 'ConntrackExceededKernel: Connection tracking exceeded the maximum for the kernel';

/** What the node's agent would write, at a moment that the test chooses. */
async function report(rig: Rig, node: string, message = reaction): Promise<void> {
  await rig.cluster.create('events', {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${node}.${Math.trunc(rig.clock.now())}`, namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: node },
    type: 'Warning',
    reason: 'KernelReady',
    message,
    count: 1,
    source: { component: 'eks-node-monitoring-agent' },
  });
}

t.test('an API server that disappoints', async (t) => {
  const names = ['errors', 'cut', 'still', 'history', 'silent', 'late', 'resets'];
  const rig = await startRig(t, { rows: names.map((name) => cpuNode(name)) });
  const { rest, apiServer } = rig;
  // From here on the tests say when something shows on a node.
  for (const name of names) await rig.node(name).stopNma();

  async function begin(t: Test, node: string, within: string): Promise<void> {
    await rest.create({
      name: node,
      fault: { name: 'conntrack-full' },
      target: only(node),
      expectation: { within },
    });
    await until(t, 'it waits', async () => (await rest.injections(node))[0]?.status?.phase === 'Verifying');
  }
  const timelineOf = async (name: string) => (await rest.injections(name))[0]?.status?.timeline ?? [];

  await t.test('answers of 500 in the middle of everything', async (t) => {
    await rest.create({
      name: 'errors',
      fault: { name: 'conntrack-full' },
      target: only('errors'),
      expectation: { within: '30m' },
    });
    apiServer.faults.failNext({ code: 500, count: 2, resource: 'injections', verb: 'update' });
    apiServer.faults.failNext({ code: 503, count: 3, resource: 'nodes', verb: 'get' });
    apiServer.faults.failNext({ code: 429, count: 2, resource: 'experiments', verb: 'update' });
    await until(
      t,
      'it waits',
      async () => (await rest.injections('errors'))[0]?.status?.phase === 'Verifying',
    );
    await report(rig, 'errors');
    t.match(await rest.ended('errors'), { verdict: 'pass' });
    t.equal(recordsWith(rig, 'errors', 'conntrack'), 1);
    apiServer.faults.clear();
  });

  await t.test('connections that are lost', async (t) => {
    apiServer.faults.resetNext({ count: 2, resource: 'injections', verb: 'create' });
    await begin(t, 'resets', '30m');
    await report(rig, 'resets');
    t.match(await rest.ended('resets'), { verdict: 'pass' });
    t.equal(recordsWith(rig, 'resets', 'conntrack'), 1);
    apiServer.faults.clear();
  });

  await t.test('a request that the API server keeps from being answered', async (t) => {
    apiServer.faults.failNext({ code: 503, count: 20, resource: 'experiments', verb: 'create' });
    const answer = await rest.ask('POST', '/api/v1/experiments', { fault: { name: 'conntrack-full' } });
    apiServer.faults.clear();
    t.match(answer, { status: 503, body: { code: 'cluster_unreachable' } });
    t.notOk(answer.body.explanation, 'that is no refusal of a drill');
  });

  await t.test('watches that are cut, with the reaction in between', async (t) => {
    await begin(t, 'cut', '30m');
    t.ok(apiServer.faults.cutWatches() > 0);
    await report(rig, 'cut');
    t.match(await rest.ended('cut'), { verdict: 'pass' });
    const entries = (await timelineOf('cut')).filter(({ text }) => text.startsWith('not watching'));
    t.ok(
      entries.every(({ kind, text }) => kind === 'note' && text.includes('everything came')),
      'told, and no gap',
    );
  });

  await t.test('watches that are cut, and nothing comes: the verdict is still right', async (t) => {
    await begin(t, 'still', '60s');
    apiServer.faults.cutWatches();
    const answer = await rest.ended('still');
    t.match(answer, { verdict: 'fail', explanation: { evidence: Array } });
    t.not(answer.explanation?.code, 'observation-gap', 'everything came, only later');
  });

  await t.test('history that is lost', async (t) => {
    await begin(t, 'history', '120s');
    apiServer.faults.compact();
    apiServer.faults.failNext({ code: 410, reason: 'Expired', count: 4, verb: 'watch' });
    apiServer.faults.cutWatches();
    const answer = await rest.ended('history');
    apiServer.faults.clear();
    t.match(answer, { verdict: 'inconclusive' });
    const gaps = (await timelineOf('history')).filter(({ kind }) => kind === 'gap');
    t.ok(gaps.length > 0 && gaps.every(({ text }) => text.includes('is lost')), 'the gap is in the timeline');
  });

  await t.test('a watch that says nothing more: the API server has the last word', async (t) => {
    await begin(t, 'silent', '60s');
    // New watches as well: one may end by its own time while the drill waits.
    t.ok(apiServer.faults.muteWatches('events') > 0);
    await report(rig, 'silent');
    t.match(await rest.ended('silent'), {
      verdict: 'pass',
      latency: { to: 'reaction found by reading the API server at the end' },
    });
    apiServer.faults.clear();
    apiServer.faults.cutWatches('events');
  });

  await t.test('a reaction that came when the deadline had passed, and is there', async (t) => {
    await rest.create({
      name: 'late',
      fault: { name: 'conntrack-full' },
      target: only('late'),
      expectation: { within: '60s' },
      deadline: '60s',
    });
    await until(t, 'it waits', async () => (await rest.injections('late'))[0]?.status?.phase === 'Verifying');
    t.ok(apiServer.faults.muteWatches('events') > 0);
    await report(rig, 'late');
    t.match(await rest.ended('late'), { verdict: 'pass' }, 'looked for once more');
    apiServer.faults.clear();
  });
});
