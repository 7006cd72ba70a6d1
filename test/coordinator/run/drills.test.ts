import t from 'tap';
import { conditionsOf } from '../../../coordinator/view/node.ts';
import { cpuNode, gpuNode, only, recordsWith, startRig, until } from '../rig.ts';

t.test('each fault on a healthy cluster, and again', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('a'), gpuNode('b'), gpuNode('c'), cpuNode('cpu')] });
  const { rest } = rig;

  await t.test('records in the kernel log', async (t) => {
    for (const [name, reason] of [
      ['task-blocked', 'AppBlocked'],
      ['soft-lockup', 'SoftLockup'],
      ['kernel-bug', 'KernelBug'],
      ['conntrack-full', 'ConntrackExceededKernel'],
    ] as const) {
      const answer = await rest.drill({ name, fault: { name }, target: only('cpu') });
      t.match(
        answer,
        {
          verdict: 'pass',
          latency: { clock: 'coordinator', from: 'order sent to the agent' },
          explanation: {
            code: 'reacted',
            evidence: [{ source: /receipt/ }, { observed: new RegExp(reason) }],
          },
        },
        name,
      );
      const [injection] = await rest.injections(name);
      const timeline = injection?.status?.timeline ?? [];
      t.equal(timeline.filter(({ match }) => match).length, 1, 'one entry is the reaction');
      t.match(injection?.status?.receipt, { replayed: false, surfaces: [{ surface: 'kernel-log' }] });
    }
  });

  await t.test('the same again is a new event, or one more of the same', async (t) => {
    const own = await rest.drill({ fault: { name: 'task-blocked' }, target: only('cpu') });
    t.match(own.explanation?.evidence, [{}, { observed: /a new event/ }], 'a text of its own');
    const same = await rest.drill({ fault: { name: 'conntrack-full' }, target: only('cpu') });
    t.match(same, { verdict: 'pass' });
    t.match(same.explanation?.evidence, [{}, { observed: /count went from 1 to 2/ }], 'the text is the same');
    const timeline = (await rest.injections(same.name))[0]?.status?.timeline ?? [];
    t.equal(timeline.filter(({ kind }) => kind === 'event').length, 1, 'told once');
  });

  await t.test('a warning Xid is an event, a fatal one the condition', async (t) => {
    const warning = await rest.drill({ fault: { name: 'xid', parameters: { xid: 31 } }, target: only('a') });
    t.match(warning, { verdict: 'pass', explanation: { summary: /NvidiaXID31Warning/ } });
    const node = await rig.cluster.read('nodes', { name: 'a' });
    const condition = node && conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady');
    t.match(condition, { status: 'True' }, 'and nothing else');

    const fatal = await rest.drill({
      name: 'fatal',
      fault: { name: 'xid', parameters: { xid: 79 } },
      target: only('b'),
    });
    t.match(fatal, {
      verdict: 'pass',
      explanation: { code: 'reacted', remedy: /stays False until NMA restarts/ },
    });
    const [injection] = await rest.injections('fatal');
    t.match(injection?.status, {
      links: [
        { id: 'order', state: 'reached', baseline: { condition: { status: 'True' } } },
        { id: 'detection', state: 'reached', seconds: Number, evidence: [{ observed: /NvidiaXID79Error/ }] },
      ],
      receipt: {
        surfaces: [
          { surface: 'dcgm', engine: { podUid: String }, readBack: { after: { watchers: Number } } },
        ],
      },
    });
  });

  await t.test('a second Xid on a False condition', async (t) => {
    const same = await rest.drill({
      name: 'same',
      fault: { name: 'xid', parameters: { xid: 79 } },
      target: only('b'),
    });
    t.match(same, {
      verdict: 'inconclusive',
      explanation: {
        code: 'already-false',
        evidence: [{ observed: /False, NvidiaXID79Error/ }],
        remedy: /engine first/,
      },
    });
    const [injection] = await rest.injections('same');
    t.equal(injection?.status?.receipt, undefined, 'nothing was injected: it could not have been seen');
    t.match(injection?.status?.timeline, [{ kind: 'note', text: /nothing was ordered/ }]);

    const other = await rest.drill({ fault: { name: 'xid', parameters: { xid: 109 } }, target: only('b') });
    t.match(other, { verdict: 'pass' }, 'another Xid makes the message grow');
    t.match(other.explanation?.evidence, [
      {},
      { observed: /already False, its (message grew|reason became)/ },
      {},
    ]);
  });

  await t.test('a field of the host engine', async (t) => {
    const answer = await rest.drill({
      fault: { name: 'dcgm-field', parameters: { field: 319, value: 4 } },
      target: only('c'),
    });
    t.match(answer, { verdict: 'pass', explanation: { summary: /NvidiaDoubleBitError/ } });
  });

  await t.test('an engine of nobody, by force', async (t) => {
    rig.node('c').addEngine({ pid: 4242, port: 5560, podUid: null });
    const answer = await rest.drill({
      name: 'forced',
      fault: { name: 'xid', parameters: { xid: 109, engine: { pid: 4242 }, force: true } },
      target: only('c'),
      expectation: { within: '3s' },
    });
    t.match(answer, { verdict: 'fail', explanation: { code: 'wrong-engine' } });
    const [injection] = await rest.injections('forced');
    t.match(injection?.status?.receipt?.surfaces, [
      { engine: { pid: 4242, podUid: null }, readBack: { before: null } },
    ]);
  });

  await t.test('a GPU fault on a node without GPUs', async (t) => {
    const answer = await rest.drill({ fault: { name: 'xid', parameters: { xid: 79 } }, target: only('cpu') });
    t.match(answer, { verdict: 'fail', explanation: { code: 'monitor-not-registered' } });
  });

  await t.test('several nodes at once', async (t) => {
    const before = ['a', 'b', 'c', 'cpu'].map((name) => recordsWith(rig, name, 'conntrack'));
    const answer = await rest.drill({
      name: 'wide',
      fault: { name: 'conntrack-full' },
      target: { mode: 'fixed', value: 3, seed: 11 },
    });
    t.match(answer, { verdict: 'pass', seed: 11 });
    t.equal(answer.injections.length, 3);
    t.match(answer.skipped, [{ because: /not picked: 3 of 4 fit \(mode fixed, seed 11\)/ }]);
    const after = ['a', 'b', 'c', 'cpu'].map((name) => recordsWith(rig, name, 'conntrack'));
    t.equal(after.filter((count, at) => count === (before[at] ?? 0) + 1).length, 3, 'one record on each');
  });

  await t.test('what is counted', async (t) => {
    await until(t, 'nothing is being worked on', async () =>
      /xidrill_active_experiments 0/.test(await (await fetch(`${rig.url}/metrics`)).text()),
    );
    const metrics = await (await fetch(`${rig.url}/metrics`)).text();
    t.match(metrics, /xidrill_experiments_total\{fault="conntrack-full",verdict="pass"\} 3/);
    t.match(metrics, /xidrill_explanations_total\{cause="already-false"\} 1/);
    t.match(
      metrics,
      /xidrill_experiments_total\{fault="xid",verdict="error"\} 0/,
      'there before the first one',
    );
    t.match(metrics, /xidrill_explanations_total\{cause="arm64-gate"\} 0/);
    t.match(metrics, /xidrill_detection_seconds_count\{fault="xid"\} 3/);
    t.notMatch(metrics, /node="/);
  });
});
