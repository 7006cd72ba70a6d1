import t from 'tap';
import { proven, type Rule } from '../../coordinator/diagnosis/rule.ts';
import { rules } from '../../coordinator/diagnosis/rules.ts';
import { type LinkRow, links } from '../../coordinator/drill/links.ts';
import { cpuNode, only, recordsWith, startCoordinator, startRig, until } from './rig.ts';

/** A link behind detection that the product does not have, as somebody would add it: a row with its two functions. */
const cordon: LinkRow = {
  name: 'cordon',
  title: 'somebody cordons the node',
  phase: 'Verifying',
  by: 'watch',
  onRequest: true,
  endsWithNode: true,
  plan: ({ asked }) =>
    asked.then?.some(({ link }) => link === 'cordon') === true
      ? [{ id: 'cordon', expected: 'spec.unschedulable is true' }]
      : [],
  find(_link, { node }, { baseline, isDue }) {
    if ((node?.spec as { unschedulable?: boolean } | undefined)?.unschedulable !== true)
      return isDue ? { state: 'missed' } : undefined;
    const source = 'spec.unschedulable';
    const text = 'the node is cordoned';
    const entry = { at: baseline.at, clock: 'coordinator', kind: 'note', source, text, match: true } as const;
    return { state: 'reached', match: { entry, source, how: 'false → true' } };
  },
};

/** A cause for it, as somebody would add it. */
const nobodyCordons: Rule = {
  code: 'nobody-cordons',
  title: 'Nobody cordons nodes here',
  link: 'cordon',
  verdict: 'fail',
  judge: ({ at }) =>
    proven({
      summary: 'Nobody cordons nodes in this cluster.',
      evidence: [{ source: 'the test', observed: 'nobody does', at }],
      remedy: 'Cordon it by hand.',
    }),
};

t.test('a link is one row: planned, awaited across a restart, judged, explained and reported', async (t) => {
  const names = ['plan', 'restart', 'late', 'known', 'unknown', 'other'];
  const rig = await startRig(t, { rows: names.map((name) => cpuNode(name)) });
  for (const namespace of names)
    await rig.cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    });
  const more = { links: [...links, cordon] };
  const body = (node: string, within: string) => ({
    name: 'drill',
    fault: { name: 'task-blocked' },
    target: only(node),
    expectation: { then: [{ link: 'cordon', within }] },
  });
  const setCordon = (name: string) => rig.cluster.patch('nodes', { name }, { spec: { unschedulable: true } });

  await t.test('planned, and refused where there is no such link', async (t) => {
    const { rest } = await startCoordinator(t, rig, { namespace: 'plan', ...more });
    const plan = await rest.ask('POST', '/api/v1/experiments?dryRun=All', body('plan', '10m'));
    t.match(plan.body, {
      targets: [
        {
          chain: [
            { id: 'order', link: 'order' },
            { id: 'detection', link: 'detection' },
            { id: 'cordon', link: 'cordon', withinSeconds: 600, expected: 'spec.unschedulable is true' },
          ],
        },
      ],
    });
    const then = [{ link: 'cordn' }];
    t.match(
      await rest.ask('POST', '/api/v1/experiments', { ...body('plan', '10m'), expectation: { then } }),
      {
        status: 400,
        body: {
          code: 'expectation_invalid',
          errors: [{ field: 'expectation.then[0].link' }],
          allowed: ['taint', 'drain', 'reboot', 'termination', 'replacement', 'cordon'],
        },
      },
    );
    const none = { none: true, then: [{ link: 'cordon' }] };
    t.match(await rest.ask('POST', '/api/v1/experiments', { ...body('plan', '10m'), expectation: none }), {
      status: 400,
      body: { code: 'expectation_invalid', errors: [{ field: 'expectation.then' }] },
    });
  });

  await t.test('awaited by a second coordinator when the first one dies', async (t) => {
    const first = await startCoordinator(t, rig, { namespace: 'restart', identity: 'first', ...more });
    await first.rest.create(body('restart', '30m'));
    await until(t, 'the reaction', async () => {
      const [injection] = await first.rest.injections('drill');
      return injection?.links[1]?.state === 'reached';
    });
    const [before] = await first.rest.injections('drill');
    t.match(before?.status?.links?.[2], { id: 'cordon', state: 'waiting', since: String, dueAt: String });
    await first.kill();
    const second = await startCoordinator(t, rig, { namespace: 'restart', identity: 'second', ...more });
    await setCordon('restart');
    t.match(await second.rest.ended('drill'), {
      verdict: 'pass',
      links: [
        { id: 'order', nodes: { reached: 1 } },
        { id: 'detection', nodes: { reached: 1 }, slowestSeconds: Number },
        { id: 'cordon', link: 'cordon', nodes: { reached: 1 }, slowestSeconds: Number },
      ],
      explanation: { code: 'reacted', summary: /Also reached: cordon \(spec\.unschedulable is true\) after/ },
      injections: [
        {
          links: [
            { id: 'order', state: 'reached' },
            { id: 'detection', state: 'reached', seconds: Number },
            {
              id: 'cordon',
              state: 'reached',
              seconds: Number,
              evidence: [{ observed: 'the node is cordoned' }],
            },
          ],
        },
      ],
    });
    t.equal(recordsWith(rig, 'restart', 'blocked'), 1);
  });

  await t.test('what happens before it is its turn is seen all the same', async (t) => {
    const { rest } = await startCoordinator(t, rig, { namespace: 'late', ...more });
    await setCordon('late');
    t.match(await rest.drill(body('late', '10s')), { verdict: 'pass' });
  });

  await t.test('missed, and explained by a cause of its own', async (t) => {
    const { rest } = await startCoordinator(t, rig, {
      namespace: 'known',
      ...more,
      rules: [...rules, nobodyCordons],
    });
    const answer = await rest.drill(body('known', '5s'));
    t.match(answer, {
      verdict: 'fail',
      explanation: { code: 'nobody-cordons', remedy: 'Cordon it by hand.' },
      injections: [{ links: [{}, { state: 'reached' }, { id: 'cordon', state: 'missed' }] }],
    });
    const metrics = await fetch(`${rest.url}/metrics`);
    t.match(await metrics.text(), /xidrill_explanations_total\{cause="nobody-cordons"\} 1/);
  });

  await t.test('missed, and no cause is known', async (t) => {
    const { rest } = await startCoordinator(t, rig, { namespace: 'unknown', ...more });
    t.match(await rest.drill(body('unknown', '5s')), {
      verdict: 'fail',
      explanation: { code: 'unexplained', summary: /no cordon \(spec\.unschedulable is true\)/ },
    });
  });

  await t.test('a drill that does not ask for it has none', async (t) => {
    const { rest } = await startCoordinator(t, rig, { namespace: 'other', ...more });
    const answer = await rest.drill({
      name: 'drill',
      fault: { name: 'task-blocked' },
      target: only('other'),
    });
    t.match(answer, { verdict: 'pass' });
    t.equal(answer.injections[0]?.links.length, 2);
  });
});
