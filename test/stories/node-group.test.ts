import t, { type Test } from 'tap';
import type { NodeRepairConfig } from '../../coordinator/catalogue/repair/eks.ts';
import { createEksNodeGroups } from '../../coordinator/eks/sdk.ts';
import type { InjectionAnswer } from '../../coordinator/routes/answers.ts';
import { field } from '../../coordinator/view/node.ts';
import { startEks } from '../coordinator/eks/stand-in.ts';
import { gpuNode, only, type Rig, startRig } from '../coordinator/rig.ts';

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

async function rigOf(t: Test, nodeRepairConfig: NodeRepairConfig): Promise<Rig> {
  const keys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' };
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', ...keys });
  const eks = await startEks(() => ({ nodegroup: { nodeRepairConfig } }));
  t.teardown(() => eks.close());
  const nodeGroups = createEksNodeGroups({ cluster: 'prod', region: 'ap-northeast-2', endpoint: eks.url });
  const rows = [gpuNode('g0', labels), gpuNode('g1', labels)];
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
