import t, { type Test } from 'tap';
import { nmaPodName } from '../../../coordinator/rehearsal/objects.ts';
import { cpuNode, only, type Rig, recordsWith, startRig, until } from '../rig.ts';

/** Long enough to do something in between. */
const none = (more: object = {}) => ({ expectation: { none: true, for: '60s', ...more } });

async function setCondition(rig: Rig, node: string, type: string, change: object): Promise<void> {
  const found = await rig.cluster.read('nodes', { name: node });
  const { conditions = [] } = (found?.status ?? {}) as { conditions?: { type: string }[] };
  const next = conditions.map((row) => (row.type === type ? { ...row, ...change } : row));
  await rig.cluster.patch('nodes', { name: node }, { status: { conditions: next } }, 'status');
}

t.test('negative drills in a cluster that is not quiet', async (t) => {
  const names = ['gap', 'blink', 'muted', 'dies', 'early', 'late', 'due', 'gone'];
  const rig = await startRig(t, { rows: names.map((name) => cpuNode(name)) });
  const { rest, apiServer } = rig;
  const statusOf = async (name: string) => (await rest.injections(name))[0]?.status;
  const reaches = (t: Test, name: string, phase: string) =>
    until(t, `${name} is ${phase}`, async () => (await statusOf(name))?.phase === phase);
  const begin = (name: string, more: object = none()) =>
    rest.create({ name, fault: { name: 'conntrack-full' }, target: only(name), ...more });
  const broken = { status: 'False', reason: 'Other', message: 'something else' };

  await t.test('history that is lost while nothing may come', async (t) => {
    await begin('gap');
    await reaches(t, 'gap', 'Verifying');
    apiServer.faults.compact();
    apiServer.faults.failNext({ code: 410, reason: 'Expired', count: 4, verb: 'watch' });
    apiServer.faults.cutWatches();
    t.match(await rest.ended('gap'), { verdict: 'inconclusive', explanation: { code: 'observation-gap' } });
    apiServer.faults.clear();
  });

  await t.test('a condition that was False for a moment', async (t) => {
    await begin('blink');
    await reaches(t, 'blink', 'Verifying');
    await setCondition(rig, 'blink', 'KernelReady', broken);
    await setCondition(rig, 'blink', 'KernelReady', {
      status: 'True',
      reason: 'KernelIsReady',
      message: 'fine',
    });
    t.match(await rest.ended('blink'), {
      verdict: 'fail',
      explanation: { code: 'unexpected-reaction', summary: /KernelReady=False Other/ },
    });
  });

  await t.test('a watch that says nothing: the API server has the last word', async (t) => {
    await begin('muted');
    await reaches(t, 'muted', 'Verifying');
    // Else it would set its condition right again.
    await rig.node('muted').stopNma();
    t.ok(apiServer.faults.muteWatches('nodes') > 0);
    await setCondition(rig, 'muted', 'KernelReady', broken);
    t.match(await rest.ended('muted'), { verdict: 'fail', explanation: { code: 'unexpected-reaction' } });
    apiServer.faults.clear();
    apiServer.faults.cutWatches('nodes');
  });

  await t.test('NMA dies after the fault: the silence proves nothing', async (t) => {
    await begin('dies');
    await reaches(t, 'dies', 'Verifying');
    const node = rig.node('dies');
    await node.stopNma();
    await rig.cluster.remove('pods', { namespace: 'kube-system', name: nmaPodName(node.row) });
    const answer = await rest.ended('dies');
    t.match(answer, {
      verdict: 'inconclusive',
      explanation: {
        code: 'path-not-proven',
        summary: /by kernel-log was not verified after the fault/,
        alsoFound: [{ code: 'nma-not-running' }],
      },
    });
    t.equal(recordsWith(rig, 'dies', 'task xidrill-'), 2);
  });

  await t.test('an abort while the path is being verified', async (t) => {
    await rig.node('early').stopNma();
    await begin('early');
    await reaches(t, 'early', 'ControlBefore');
    await until(t, 'its control was written', () => recordsWith(rig, 'early', 'task xidrill-') === 1);
    await until(
      t,
      'that is written down',
      async () => (await statusOf('early'))?.links?.[0]?.receipt !== undefined,
    );
    await rest.ask('POST', '/api/v1/experiments/early/abort');
    t.match(await rest.ended('early'), {
      verdict: 'aborted',
      explanation: { summary: /after the injection/, remedy: /^Only controls were written/ },
    });
    t.equal(recordsWith(rig, 'early', 'nf_conntrack'), 0);
  });

  await t.test('an abort after the fault', async (t) => {
    await begin('late', none({ for: '30m' }));
    await reaches(t, 'late', 'Verifying');
    await rest.ask('POST', '/api/v1/experiments/late/abort');
    t.match(await rest.ended('late'), {
      verdict: 'aborted',
      explanation: { remedy: /^What was injected stays/ },
    });
  });

  await t.test('a deadline that passes; a reaction that is there by then counts', async (t) => {
    const watched = none({ for: '10m' });
    const asked = { fault: { name: 'conntrack-full' }, target: only('due'), ...watched, deadline: '10m' };
    const { body } = await rest.ask<{ neededSeconds: number }>('POST', '/api/v1/experiments', asked);
    // The least that is accepted. It passes during the watch, as the API server takes no Injection for a while before.
    apiServer.faults.failNext({ code: 503, verb: 'create', resource: 'injections', count: 1_000_000 });
    await begin('due', { ...watched, deadline: `${body.neededSeconds}s` });
    const enough = rig.clock.now() + (body.neededSeconds - 480) * 1000;
    await until(t, 'time has passed', async () => rig.clock.now() > enough);
    apiServer.faults.clear();
    await reaches(t, 'due', 'Verifying');
    await rig.node('due').stopNma();
    t.ok(apiServer.faults.muteWatches('nodes') > 0);
    await setCondition(rig, 'due', 'KernelReady', broken);
    t.match(await rest.ended('due'), { verdict: 'fail', explanation: { code: 'unexpected-reaction' } });
    apiServer.faults.clear();
    apiServer.faults.cutWatches('nodes');
  });

  await t.test('a node that goes away', async (t) => {
    await begin('gone');
    await reaches(t, 'gone', 'Verifying');
    await rig.cluster.remove('nodes', { name: 'gone' });
    t.match(await rest.ended('gone'), { verdict: 'inconclusive', explanation: { code: 'node-replaced' } });
  });
});
