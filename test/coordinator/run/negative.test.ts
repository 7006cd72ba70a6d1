import t from 'tap';
import { nmaPodName } from '../../../coordinator/rehearsal/objects.ts';
import { cpuNode, gpuNode, only, recordsWith, startRig } from '../rig.ts';

const none = (more: object = {}) => ({ expectation: { none: true, for: '20s', ...more } });

t.test('negative drills on the rehearsal cluster', async (t) => {
  const rows = [
    ...['benign', 'fatal', 'silent', 'line', 'deaf'].map((name) => gpuNode(name)),
    cpuNode('cpu'),
  ];
  const rig = await startRig(t, { rows, nma: '1.7.2' });
  const { rest } = rig;
  const xid = (name: string, node: string, parameters: object, more: object) =>
    rest.drill({ name, fault: { name: 'xid', parameters }, target: only(node), ...more });
  const statusOf = async (name: string) => (await rest.injections(name))[0]?.status;
  const controlsSent = async (name: string) =>
    (await rest.injections(name))[0]?.status?.links?.filter(
      ({ id, receipt }) => id.startsWith('control-') && receipt !== undefined,
    ).length;

  await t.test('a benign Xid: its event must come, the condition must stay', async (t) => {
    const answer = await xid('benign', 'benign', { xid: 43 }, none({ event: 'required' }));
    t.match(answer, {
      verdict: 'pass',
      latency: null,
      explanation: { code: 'no-reaction-as-expected', alsoFound: [] },
    });
    const text = JSON.stringify(answer.explanation?.evidence);
    for (const part of ['control before the fault, by dcgm', 'control after the fault', 'XID-43', 'XID-45'])
      t.ok(text.includes(part), part);
    const [injection] = await rest.injections('benign');
    const [before, , fault, , after] = injection?.spec.chain ?? [];
    const orderId = fault?.order?.orderId ?? '';
    t.match(before, {
      when: 'before',
      path: 'dcgm',
      order: { orderId: `${orderId}-before-dcgm`, body: { xid: 45 } },
    });
    t.match(after, {
      when: 'after',
      path: 'dcgm',
      order: { orderId: `${orderId}-after-dcgm`, body: { xid: 45 } },
    });
    t.match(injection?.status?.links, [
      { id: 'control-before-dcgm-order', state: 'reached', receipt: { state: 'ended' } },
      { id: 'control-before-dcgm-detection', state: 'reached', entry: { kind: 'event' } },
      { id: 'order', state: 'reached', receipt: { orderId } },
      { id: 'detection', state: 'reached', entry: { kind: 'event' } },
      { id: 'control-after-dcgm-order', state: 'reached', receipt: { state: 'ended' } },
      { id: 'control-after-dcgm-detection', state: 'reached', entry: { kind: 'event' } },
    ]);
    const timeline = injection?.status?.timeline ?? [];
    t.equal(timeline.filter(({ kind }) => kind === 'injected').length, 3);
    t.strictSame(
      timeline.filter(({ match }) => match).map(({ text }) => text.includes('XID43Warning')),
      [true],
      'the fault’s own event, once',
    );
  });

  await t.test('the same event, forbidden', async (t) => {
    const answer = await xid('forbidden', 'benign', { xid: 43 }, none({ event: 'forbidden' }));
    t.match(answer, {
      verdict: 'fail',
      explanation: {
        code: 'unexpected-reaction',
        summary: /event that must not come came.*NvidiaXID43Warning/,
      },
    });
    t.match(answer.explanation?.evidence, [
      {},
      { observed: /count went from 1 to 2, and it must not come/ },
      {},
      {},
    ]);
  });

  await t.test('the control’s own Xid needs another control', async (t) => {
    t.match(await xid('own', 'benign', { xid: 45 }, none({ event: 'required' })), { verdict: 'pass' });
    const [injection] = await rest.injections('own');
    t.match(injection?.spec.chain[0], { order: { body: { xid: 92 } } });
    t.match(injection?.spec.chain[4], { order: { body: { xid: 92 } } });
  });

  await t.test('a fatal Xid changes the condition', async (t) => {
    const answer = await xid('fatal', 'fatal', { xid: 79 }, none({ for: '330s' }));
    t.match(answer, {
      verdict: 'fail',
      explanation: { code: 'unexpected-reaction', summary: /AcceleratedHardwareReady changed/ },
    });
    t.match(answer.explanation?.evidence, [
      { source: /receipt/ },
      { observed: /NvidiaXID79Error.*True → False/ },
      {},
      {},
    ]);
    t.equal(await controlsSent('fatal'), 1, 'no control after a failure');

    const again = await xid('latched', 'fatal', { xid: 79 }, none({ for: '330s' }));
    t.match(again, { verdict: 'inconclusive', explanation: { code: 'already-false' } });
    t.equal(await controlsSent('latched'), 0, 'what cannot be seen is not written');
    const other = await xid('grown', 'fatal', { xid: 109 }, none({ for: '60s' }));
    t.match(other, {
      verdict: 'fail',
      explanation: { summary: /already False, its message was/, remedy: /drill a node that is True/ },
    });
  });

  await t.test('NMA is stopped: the path is broken, and why', async (t) => {
    const node = rig.node('silent');
    await node.stopNma();
    await rig.cluster.remove('pods', { namespace: 'kube-system', name: nmaPodName(node.row) });
    const gpu = await xid('stopped', 'silent', { xid: 43 }, none());
    t.match(gpu, {
      verdict: 'inconclusive',
      explanation: { code: 'path-not-proven', summary: /not verified before the fault/, remedy: String },
    });
    t.ok((gpu.explanation?.alsoFound.length ?? 0) > 0, 'the usual diagnosis says why');
    t.ok((gpu.explanation?.refuted.length ?? 0) > 0);
    t.match((await statusOf('stopped'))?.receipt, undefined, 'the fault itself was not written');
    const line = await rest.drill({
      name: 'stopped-line',
      fault: { name: 'kernel-message', parameters: { text: 'nothing at all' } },
      target: only('silent'),
      ...none(),
    });
    t.match(line, {
      verdict: 'inconclusive',
      explanation: { code: 'path-not-proven', alsoFound: [{ code: 'nma-not-running' }] },
    });
    t.match(line.explanation?.evidence, [
      { observed: /^sequence \d+: / },
      { observed: /none with "AppBlocked/ },
    ]);
    t.equal(recordsWith(rig, 'silent', 'nothing at all'), 0);
    t.equal(recordsWith(rig, 'silent', 'task xidrill-'), 1, 'one control');
  });

  await t.test('an Xid in the kernel log only, which nobody reads', async (t) => {
    const answer = await xid(
      'line',
      'line',
      { xid: 13, surfaces: ['kernel-log'] },
      none({ event: 'forbidden' }),
    );
    t.match(answer, { verdict: 'pass', explanation: { code: 'no-reaction-as-expected' } });
    t.equal(recordsWith(rig, 'line', 'NVRM: Xid'), 1);
    t.equal(recordsWith(rig, 'line', 'task xidrill-'), 2);
    const both = await xid('both', 'line', { xid: 13, surfaces: ['kernel-log', 'dcgm'] }, none());
    t.match(both, { verdict: 'pass' });
    t.equal(await controlsSent('both'), 4, 'each path, before and after');
  });

  await t.test('an event of a fault in the kernel log', async (t) => {
    const drill = (name: string, event: string) =>
      rest.drill({ name, fault: { name: 'task-blocked' }, target: only('cpu'), ...none({ event }) });
    t.match(await drill('blocked', 'required'), { verdict: 'pass' });
    t.match(await drill('blocked-not', 'forbidden'), { verdict: 'fail' });
  });

  await t.test('conditions that cannot be written: nothing is', async (t) => {
    await rig.installNma({ version: '1.7.2', credentials: 'irsa', lastReportMsAgo: 2_000_000 });
    const answer = await rest.drill({
      name: 'irsa',
      fault: { name: 'xid', parameters: { xid: 31 } },
      target: only('deaf'),
      ...none(),
    });
    t.match(answer, {
      verdict: 'inconclusive',
      explanation: {
        code: 'path-not-proven',
        summary: /^Nothing was written/,
        // In the order of the chain: the engine of this node has no listener either.
        alsoFound: [{ code: 'nobody-listens' }, { code: 'credentials-broken' }, {}],
      },
    });
    t.equal(await controlsSent('irsa'), 0);
  });
});
