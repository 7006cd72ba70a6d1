import t, { type Test } from 'tap';
import type { NodeRepairConfig } from '../../coordinator/catalogue/repair/eks.ts';
import { createEksNodeGroups } from '../../coordinator/eks/sdk.ts';
import type { InjectionAnswer } from '../../coordinator/routes/answers.ts';
import { conditionsOf, field } from '../../coordinator/view/node.ts';
import { startEks } from '../coordinator/eks/stand-in.ts';
import { gpuNode, only, type Rig, startRig, until } from '../coordinator/rig.ts';

/**
 * What follows the condition in a managed node group: replaced, rebooted, or nothing. The group is a model of what EKS documents and
 * users saw (field-cases F11); its settings come from EKS over HTTP, as in an account.
 */

const labels = { 'xidrill.dev/drill': 'allowed', 'eks.amazonaws.com/nodegroup': 'gpus' };
const xid = (number: number) => ({ name: 'xid', parameters: { xid: number, surfaces: ['dcgm'] } });
const links = (...names: readonly string[]) => ({
  within: '5m',
  then: names.map((link) => ({ link, within: '15m' })),
});

async function rigOf(
  t: Test,
  nodeRepairConfig: NodeRepairConfig,
  names: readonly string[] = ['g0', 'g1'],
): Promise<Rig> {
  const keys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' };
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', ...keys });
  const eks = await startEks(() => ({ nodegroup: { nodeRepairConfig } }));
  t.teardown(() => eks.close());
  const nodeGroups = createEksNodeGroups({ cluster: 'prod', region: 'ap-northeast-2', endpoint: eks.url });
  const rows = names.map((name) => gpuNode(name, labels));
  return startRig(t, { rows, nodeGroups: { gpus: nodeRepairConfig }, eks: nodeGroups });
}

async function nodeOf({ cluster }: Rig, name = 'g0') {
  const node = await cluster.read('nodes', { name });
  return {
    uid: node?.metadata.uid,
    bootId: field(node, 'status', 'nodeInfo', 'bootID'),
    spec: node?.spec,
    labels: node?.metadata.labels,
  };
}

async function linksOf({ rest }: Rig, name: string): Promise<InjectionAnswer['links']> {
  const [injection] = await rest.injections(name);
  return injection?.links ?? [];
}

t.test('Xid 79 is replaced: forecast, cordoned, terminated, and another node comes', async (t) => {
  const rig = await rigOf(t, { enabled: true });
  const before = await nodeOf(rig);
  const expectation = { repair: 'expect', within: '5m' };
  const body = { name: 'replaced', fault: xid(79), target: only('g0'), expectation };
  const plan = await rig.rest.ask('POST', '/api/v1/experiments?dryRun=All', body);
  t.match(plan.body, {
    targets: [
      {
        repair: [
          {
            controller: 'EKS managed node group auto repair',
            willAct: 'yes',
            action: 'replace',
            afterSeconds: 600,
          },
        ],
      },
    ],
  });
  t.match(await rig.rest.drill(body), { verdict: 'pass' });
  const reached = await linksOf(rig, 'replaced');
  t.strictSame(
    reached.map(({ link, state }) => `${link} ${state}`),
    ['order', 'detection', 'taint', 'drain', 'termination', 'replacement'].map((link) => `${link} reached`),
  );
  t.match(reached[2]?.evidence, [{ observed: /node\.kubernetes\.io\/unschedulable/ }]);
  t.not((await nodeOf(rig)).uid, before.uid);
});

t.test('Xid 109 is rebooted: the same node on another boot, and nothing is left on it', async (t) => {
  const rig = await rigOf(t, { enabled: true });
  const before = await nodeOf(rig);
  const target = only('g0');
  const refused = await rig.rest.ask('POST', '/api/v1/experiments', {
    fault: xid(109),
    target,
    expectation: { repair: 'expect', within: '5m' },
  });
  t.match(refused, {
    status: 400,
    body: { blocks: [{ code: 'repair-not-watched', because: /does reboot, and a replacement is expected/ }] },
  });
  const expectation = links('taint', 'drain', 'reboot');
  t.match(await rig.rest.drill({ name: 'rebooted', fault: xid(109), target, expectation }), {
    verdict: 'pass',
  });
  const after = await nodeOf(rig);
  t.equal(after.uid, before.uid, 'it is the same Node');
  t.not(after.bootId, before.bootId);
  t.match((await linksOf(rig, 'rebooted')).at(-1), {
    link: 'reboot',
    state: 'reached',
    evidence: [{ observed: /is Ready with boot id .*; it was g0-boot-1/ }],
  });
  await rig.clock.sleep(60_000);
  const { spec, labels: left } = await nodeOf(rig);
  t.strictSame([spec, left], [before.spec, before.labels]);
});

t.test('an override without action: predicted, refused, forced and found', async (t) => {
  const rig = await rigOf(t, {
    enabled: true,
    nodeRepairConfigOverrides: [
      {
        nodeMonitoringCondition: 'AcceleratedHardwareReady',
        nodeUnhealthyReason: 'NvidiaXID109Error',
        repairAction: 'NoAction',
      },
    ],
  });
  const body = { fault: xid(109), target: only('g0'), expectation: links('taint') };
  t.match(await rig.rest.ask('POST', '/api/v1/experiments', body), {
    status: 400,
    body: { blocks: [{ code: 'repair-no-action' }] },
  });
  const forced = { ...body, name: 'none', expectation: { ...body.expectation, force: true } };
  t.match(await rig.rest.drill(forced), { verdict: 'fail', explanation: { code: 'repair-no-action' } });
});

t.test('repair is off: what EKS answers decides', async (t) => {
  const rig = await rigOf(t, { enabled: false });
  const body = { fault: xid(79), target: only('g0'), expectation: links('taint') };
  t.match(await rig.rest.ask('POST', '/api/v1/experiments', body), {
    status: 400,
    body: { blocks: [{ code: 'repair-not-enabled', because: /node group gpus is off/ }] },
  });
});

t.test('too many unhealthy nodes: predicted, refused, forced and found', async (t) => {
  const rig = await rigOf(t, { enabled: true, maxUnhealthyNodeThresholdCount: 1 });
  await rig.rest.drill({ name: 'first', fault: xid(109), target: only('g1') });
  const body = { fault: xid(79), target: only('g0'), expectation: links('taint') };
  t.match(await rig.rest.ask('POST', '/api/v1/experiments', body), {
    status: 400,
    body: { blocks: [{ code: 'repair-threshold', because: /2 of 2 nodes .*; it pauses above 1/ }] },
  });
  const forced = { ...body, name: 'paused', expectation: { ...body.expectation, force: true } };
  t.match(await rig.rest.drill(forced), { verdict: 'fail', explanation: { code: 'repair-threshold' } });
});

/** A drill that misses a link, and its explanation, in which nothing is about Karpenter. */
const missing = [
  {
    node: 'g0',
    number: 79,
    then: { taint: '15m', reboot: '15m' },
    found: { code: 'replaced-instead', link: 'reboot', summary: /the Node is gone/ },
  },
  {
    node: 'g1',
    number: 109,
    then: { taint: '15m', reboot: '30s' },
    found: { code: 'not-rebooted', link: 'reboot', summary: /runs on boot id g1-boot-1 as before/ },
  },
  {
    node: 'g2',
    number: 109,
    then: { taint: '15m', reboot: '5m' },
    found: { code: 'not-ready-again', link: 'reboot', summary: /and is not Ready/ },
  },
  {
    node: 'g3',
    number: 79,
    then: { taint: '15m', termination: '10s' },
    found: { code: 'repair-undone', link: 'termination', remedy: /--nodegroup-name gpus/ },
  },
  {
    node: 'g4',
    number: 79,
    then: { taint: '15m', termination: '5m', replacement: '20s' },
    found: { code: 'replacement-missed', link: 'replacement', remedy: /nodegroup=gpus/ },
  },
  {
    node: 'g5',
    number: 79,
    then: { taint: '2m' },
    found: { code: 'repair-not-due', link: 'taint', summary: /will replace the node in/ },
  },
] as const;

t.test('each link that a group does not reach has its own cause', async (t) => {
  const names = missing.map(({ node }) => node);
  const rig = await rigOf(t, { enabled: true, maxUnhealthyNodeThresholdCount: names.length }, names);
  const drills = missing.map(({ node, number, then }) =>
    rig.rest.drill({
      name: `drill-${node}`,
      fault: xid(number),
      target: only(node),
      expectation: {
        within: '5m',
        force: true,
        then: Object.entries(then).map(([link, within]) => ({ link, within })),
      },
    }),
  );
  // Its kubelet does not come back after the boot.
  await until(t, 'g2 is taken', async () =>
    JSON.stringify((await nodeOf(rig, 'g2')).spec).includes('taints'),
  );
  const taken = await rig.cluster.read('nodes', { name: 'g2' });
  const conditions = conditionsOf(taken ?? fail()).map((condition) =>
    condition.type === 'Ready' ? { ...condition, status: 'False', reason: 'KubeletNotReady' } : condition,
  );
  await rig.cluster.patch('nodes', { name: 'g2' }, { status: { conditions } }, 'status');
  for (const [index, { explanation }] of (await Promise.all(drills)).entries()) {
    const { node, found } = missing[index] ?? fail();
    t.match(explanation, found, `${node}: ${explanation?.code}: ${explanation?.summary}`);
    t.notMatch(`${explanation?.summary} ${explanation?.remedy}`, /Karpenter|get nodeclaims/i);
  }
});

function fail(): never {
  throw new Error('it is there');
}
