import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { cpuNode, httpAgents, only, recordsWith, startCoordinator, startRig, until } from '../rig.ts';

/** Waits for what never comes. */
const endless = { expectation: { message: 'never', within: '30m' } };

t.test('aborts and deadlines', async (t) => {
  const rows = ['early', 'prep', 'order', 'wait', 'due', 'stuck', 'there', 'pair-a', 'pair-b', 'gone'];
  const rig = await startRig(t, { rows: rows.map((name) => cpuNode(name)) });
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'drills' },
  });
  const real = httpAgents(rig);
  const gates = new Map(['prep', 'order', 'stuck'].map((name) => [name, Promise.withResolvers<void>()]));
  const reached = new Set<string>();
  const agents: Agents = {
    ...real,
    async inventory(node, signal) {
      if (node === 'prep') {
        reached.add(node);
        await new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason)),
        );
      }
      return real.inventory(node, signal);
    },
    async order(node, order, signal) {
      if (node === 'order') {
        const receipt = await real.order(node, order, signal);
        reached.add(node);
        await gates.get(node)?.promise;
        return receipt;
      }
      if (node === 'stuck') {
        reached.add(node);
        await new Promise((_resolve, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason)),
        );
      }
      return real.order(node, order, signal);
    },
  };
  const { rest } = await startCoordinator(t, rig, { namespace: 'drills', agents });
  const create = (node: string, more: object = endless) =>
    rest.create({ name: node, fault: { name: 'conntrack-full' }, target: only(node), ...more });
  const abort = (name: string) => rest.ask('POST', `/api/v1/experiments/${name}/abort`);

  await t.test('before it was looked at', async (t) => {
    await rig.cluster.create('experiments', {
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name: 'early', namespace: 'drills' },
      spec: { fault: { name: 'conntrack-full' }, target: only('early'), abort: true },
    });
    t.match(await rest.ended('early'), {
      phase: 'Aborted',
      verdict: 'aborted',
      injected: 'none',
      causes: [],
      injections: [],
      explanation: { code: 'aborted', summary: /before anything was written/, remedy: 'Nothing to undo.' },
    });
  });

  await t.test('while it is prepared', async (t) => {
    await create('prep');
    await until(t, 'its agent is asked', () => reached.has('prep'));
    t.match(await abort('prep'), { status: 202 });
    t.match(await rest.ended('prep'), {
      phase: 'Aborted',
      explanation: { code: 'aborted', summary: /before anything was written/ },
      injected: 'none',
      injections: [{ verdict: 'aborted', injected: 'none', cause: 'aborted' }],
    });
    t.equal(recordsWith(rig, 'prep', 'conntrack'), 0);
  });

  await t.test('while the order is on its way: what it did is told', async (t) => {
    await create('order');
    await until(t, 'the order was carried out', () => reached.has('order'));
    await abort('order');
    gates.get('order')?.resolve();
    const answer = await rest.ended('order');
    t.match(answer, {
      phase: 'Aborted',
      injected: 'yes',
      explanation: {
        code: 'aborted',
        summary: /after the injection/,
        remedy: /stays; undo: kernel-log: cannot be undone before the next reboot/,
      },
    });
    t.match(answer.explanation?.evidence, [
      { source: /spec\.abort/ },
      { source: /readBack/, observed: /^record \d+/ },
    ]);
    t.match((await rest.injections('order'))[0]?.status?.receipt, { state: 'ended' });
  });

  await t.test('while an order gets no answer: it may have been carried out', async (t) => {
    await create('stuck');
    await until(t, 'the order is on its way', () => reached.has('stuck'));
    await abort('stuck');
    t.match(await rest.ended('stuck'), {
      phase: 'Aborted',
      injected: 'perhaps',
      explanation: { summary: /may have been carried out/, remedy: /GetReceipt/ },
    });
  });

  await t.test('while it waits', async (t) => {
    await create('wait');
    await until(t, 'it waits', async () => (await rest.injections('wait'))[0]?.status?.phase === 'Verifying');
    await abort('wait');
    const answer = await rest.ended('wait');
    t.match(answer, {
      phase: 'Aborted',
      verdict: 'aborted',
      explanation: { summary: /after the injection/ },
    });
    t.ok(
      Date.parse(answer.explanation?.evidence[0]?.at ?? '') <= Date.parse(answer.endedAt ?? ''),
      'told when',
    );
    t.equal(recordsWith(rig, 'wait', 'conntrack'), 1, 'what was injected stays');
    t.match(await abort('wait'), { status: 200, body: { phase: 'Aborted' } }, 'once more changes nothing');
  });

  await t.test('a deadline that passes', async (t) => {
    await create('due', { expectation: { message: 'never', within: '20s' }, deadline: '20s' });
    const answer = await rest.ended('due');
    t.match(answer, {
      phase: 'Completed',
      verdict: 'error',
      explanation: { code: 'deadline-passed', summary: /while the reaction was awaited/, remedy: /stays/ },
    });
    t.ok(Date.parse(answer.endedAt ?? '') >= Date.parse(answer.deadlineAt ?? ''));
    t.match(answer.explanation?.evidence, [{ source: /deadlineAt/ }, { source: /readBack/ }]);
  });

  await t.test('one of two has ended by itself', async (t) => {
    await rest.create({
      name: 'pair',
      fault: { name: 'conntrack-full' },
      target: { selector: { names: ['pair-a', 'pair-b'] }, mode: 'all' },
      ...endless,
    });
    await until(t, 'both wait', async () => {
      const injections = await rest.injections('pair');
      return injections.length === 2 && injections.every(({ status }) => status?.phase === 'Verifying');
    });
    await rig.cluster.remove('nodes', { name: 'pair-a' });
    await until(t, 'one has ended', async () =>
      (await rest.injections('pair')).some(({ status }) => status?.phase === 'Completed'),
    );
    await abort('pair');
    t.match(await rest.ended('pair'), { verdict: 'aborted', explanation: { code: 'aborted' } });
    t.strictSame((await rest.injections('pair')).map(({ status }) => status?.verdict).toSorted(), [
      'aborted',
      'inconclusive',
    ]);
  });

  await t.test('an experiment that is deleted while somebody waits for it', async (t) => {
    await create('gone');
    await until(t, 'it waits', async () => (await rest.injections('gone'))[0]?.status?.phase === 'Verifying');
    const waiting = rest.ask('GET', '/api/v1/experiments/gone', undefined, { prefer: 'wait=240' });
    await rig.cluster.remove('experiments', { namespace: 'drills', name: 'gone' });
    t.match(await waiting, { status: 404, body: { code: 'experiment_unknown' } });
    await until(t, 'its injections are gone', () =>
      rig.apiServer.store.list('injections').every(({ spec }) => (spec as { node: string }).node !== 'gone'),
    );
    const again = await create('gone', {});
    t.match(await rest.ended(again.name), { verdict: 'pass' }, 'the name is free, and another order');
    t.equal(recordsWith(rig, 'gone', 'conntrack'), 2);
  });
});
