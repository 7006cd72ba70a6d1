import t, { type Test } from 'tap';
import type { InjectionAnswer } from '../../coordinator/routes/answers.ts';
import { conditionsOf, list, text } from '../../coordinator/view/node.ts';
import { gpuNode, only, type Rig, startCoordinator, startRig, until } from '../coordinator/rig.ts';

/** What follows the condition where Karpenter owns the node: karpenter.md §2 to §4. Each scenario by itself: test/contract/karpenter. */

const versions = ['1.14.3', '1.15.0'] as const;
/** 10 min in both: Xid 109 is in a list of 1.15, and no later check of NMA gives the condition another reason. */
const fault = { name: 'xid', parameters: { xid: 109, surfaces: ['dcgm'] } };
const pool = { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': 'gpu' };

async function rigOf(
  t: Test,
  nodes: number,
  karpenter: { readonly version: string; readonly nodeRepair?: boolean },
): Promise<Rig> {
  const rows = Array.from({ length: nodes }, (_, index) => gpuNode(`g${index}`, pool));
  const rig = await startRig(t, { rows, karpenter: { nodeRepair: true, ...karpenter } });
  for (const { name } of rows) await addWork(rig, name);
  return rig;
}

/** A pod with a controller, which needs another node when this one goes. */
async function addWork({ cluster }: Rig, node: string): Promise<void> {
  const labels = { app: node };
  const containers = [{ name: 'job', image: 'job:1' }];
  const template = { metadata: { labels }, spec: { containers } };
  const made = await cluster.create('deployments', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: `job-${node}`, namespace: 'xidrill' },
    spec: { selector: { matchLabels: labels }, template },
  });
  const { apiVersion, kind, metadata } = made;
  const owner = { apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true };
  await cluster.create('pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `job-${node}`, namespace: 'xidrill', labels, ownerReferences: [owner] },
    spec: { nodeName: node, containers },
  });
}

/** When the condition turned False, milliseconds. */
async function transitionOf(t: Test, { cluster }: Rig, name: string): Promise<number> {
  let since: string | null | undefined;
  await until(t, 'the condition', async () => {
    const node = await cluster.read('nodes', { name });
    const found = node && conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady');
    since = found?.status === 'False' ? found.lastTransitionTime : undefined;
    return since !== undefined;
  });
  return Date.parse(since ?? '');
}

function linkOf({ links }: InjectionAnswer, name: string) {
  return links.find(({ link }) => link === name);
}

for (const version of versions) {
  t.test(`Karpenter ${version}: one of three is replaced, link by link`, async (t) => {
    const rig = await rigOf(t, 3, { version });
    const body = {
      name: 'drill',
      fault,
      target: only('g0'),
      expectation: { repair: 'expect', within: '5m' },
    };
    const plan = await rig.rest.ask('POST', '/api/v1/experiments?dryRun=All', body);
    t.match(plan.body, {
      targets: [
        {
          chain: ['order', 'detection', 'taint', 'drain', 'termination', 'replacement'].map((link) => ({
            link,
          })),
          repair: [{ controller: 'Karpenter', action: 'replace', afterSeconds: 600, blockedBy: [] }],
        },
      ],
    });
    const before = await rig.cluster.read('nodes', { name: 'g0' });
    await rig.rest.create(body);
    const turnedAt = await transitionOf(t, rig, 'g0');
    const ended = await rig.rest.ended('drill');
    t.match(ended, {
      verdict: 'pass',
      explanation: { summary: /Also reached: taint .*drain .*termination .*replacement/ },
    });
    const [injection] = await rig.rest.injections('drill');
    if (injection === undefined) throw new Error('no injection');
    for (const name of ['taint', 'drain', 'termination', 'replacement'])
      t.match(
        linkOf(injection, name),
        { state: 'reached', clock: 'coordinator', at: String, evidence: [{}] },
        name,
      );
    const at = (name: string) => Date.parse(linkOf(injection, name)?.at ?? '');
    t.ok(at('taint') <= at('termination'), 'the taint comes first');
    const waited = (at('taint') - turnedAt) / 1000;
    t.ok(
      // 1.15 looks every ten seconds.
      waited >= 600 && waited <= 612,
      `the taint came ${waited} s after the condition, as forecast`,
    );
    t.match(linkOf(injection, 'drain')?.evidence, [{ observed: /1 pod left the node: xidrill\/job-g0/ }]);
    t.not((await rig.cluster.read('nodes', { name: 'g0' }))?.metadata.uid, before?.metadata.uid);
    t.match(injection.status?.explanation?.summary, /The node is gone since/);
  });
}

t.test('an idle node is not replaced: refused, and without that link it passes', async (t) => {
  const rows = [gpuNode('idle', pool), gpuNode('other', pool)];
  const rig = await startRig(t, { rows, karpenter: { version: '1.15.0', nodeRepair: true } });
  const target = only('idle');
  t.match(
    await rig.rest.ask('POST', '/api/v1/experiments', {
      fault,
      target,
      expectation: { repair: 'expect', within: '5m' },
    }),
    { status: 400, body: { code: 'repair_blocked', blocks: [{ code: 'no-displaced-pods' }] } },
  );
  const then = [{ link: 'taint' }, { link: 'termination' }];
  await rig.rest.create({ name: 'idle', fault, target, expectation: { then, within: '5m' } });
  t.match(await rig.rest.ended('idle'), { verdict: 'pass' });
  t.equal((await rig.cluster.list('nodes')).items.length, 1, 'nothing replaced it');
});

t.test('another coordinator goes on when the first one dies between condition and taint', async (t) => {
  const rig = await rigOf(t, 2, { version: '1.14.3' });
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'second' },
  });
  const first = await startCoordinator(t, rig, { namespace: 'second', identity: 'first' });
  await first.rest.create({
    name: 'drill',
    fault,
    target: only('g0'),
    expectation: { repair: 'expect', within: '5m' },
  });
  await until(t, 'the condition', async () => {
    const [injection] = await first.rest.injections('drill');
    return injection !== undefined && linkOf(injection, 'detection')?.state === 'reached';
  });
  await first.kill();
  const second = await startCoordinator(t, rig, { namespace: 'second', identity: 'second' });
  t.match(await second.rest.ended('drill'), { verdict: 'pass' });
});

t.test('a condition that was False already is due from its own transition, as forecast', async (t) => {
  const rig = await rigOf(t, 2, { version: '1.14.3' });
  const target = only('g0');
  t.match(await rig.rest.drill({ name: 'first', fault, target }), { verdict: 'pass' });
  const turnedAt = await transitionOf(t, rig, 'g0');
  const other = { ...fault, parameters: { ...fault.parameters, xid: 140 } };
  const body = {
    name: 'second',
    fault: other,
    target,
    expectation: { repair: 'expect', within: '5m' },
  };
  const dueAt = new Date(turnedAt + 600_000).toISOString();
  const plan = await rig.rest.ask<{ targets: readonly { repair: readonly { dueAt: string }[] }[] }>(
    'POST',
    '/api/v1/experiments?dryRun=All',
    body,
  );
  t.equal(plan.body.targets[0]?.repair[0]?.dueAt, dueAt);
  await rig.rest.create(body);
  t.match(await rig.rest.ended('second'), { verdict: 'pass' });
  const [injection] = await rig.rest.injections('second');
  const taintedAt = Date.parse((injection && linkOf(injection, 'taint')?.at) ?? '');
  const orderedAt = Date.parse((injection && linkOf(injection, 'order')?.at) ?? '');
  t.ok(taintedAt >= turnedAt + 600_000, 'not before it is due');
  t.ok(taintedAt < orderedAt + 600_000, 'sooner than ten minutes after its own order');
});

t.test('1.15: the reason is kept until the taint, because a later one waits 20 min longer', async (t) => {
  const rows = [gpuNode('g0', pool), gpuNode('h0', { ...pool, 'karpenter.sh/nodepool': 'other' })];
  const rig = await startRig(t, { rows, karpenter: { version: '1.15.0', nodeRepair: true } });
  const lasting = { name: 'xid', parameters: { xid: 79 } };
  for (const { name } of rows) await addWork(rig, name);
  const then = [{ link: 'taint' }];
  const body = { name: 'kept', fault: lasting, target: only('g0'), expectation: { then } };
  const plan = await rig.rest.ask('POST', '/api/v1/experiments?dryRun=All', body);
  t.match(plan.body, {
    targets: [
      {
        order: { method: 'InjectXid', body: { forSeconds: Number } },
        repair: [
          {
            afterSeconds: 600,
            latestSeconds: 635,
            notes: [/DCGMHealthCode120 \(replace after 30 min\).*again every 20 s.*is back within 35 s/],
          },
        ],
      },
    ],
  });
  // The same fault, which nobody sustains.
  await rig.rest.create({ name: 'moved', fault: lasting, target: only('h0') });
  await rig.rest.create(body);
  const [kept, moved] = await Promise.all(['g0', 'h0'].map((name) => transitionOf(t, rig, name)));
  t.match(await rig.rest.ended('kept'), { verdict: 'pass' });
  const [injection] = await rig.rest.injections('kept');
  const waited = (Date.parse((injection && linkOf(injection, 'taint')?.at) ?? '') - (kept ?? 0)) / 1000;
  t.ok(waited >= 600 && waited <= 650, `the taint came ${waited} s after the condition`);
  t.match(injection?.status?.timeline?.map((entry) => entry.text).join('; '), /stopped InjectXid/);
  const isTaken = async () => {
    const node = await rig.cluster.read('nodes', { name: 'h0' });
    return list(node, 'spec', 'taints').some((one) => text(one, 'key') === 'karpenter.sh/disrupted');
  };
  await until(t, 'the other one is taken too', isTaken);
  t.ok(rig.clock.now() - (moved ?? 0) >= 1800_000, 'with the reason of the health check after 30 min only');
});
