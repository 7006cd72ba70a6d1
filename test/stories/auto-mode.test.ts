import t from 'tap';
import type { Json } from '../coordinator/rig.ts';
import { gpuNode, only, startRig, until } from '../coordinator/rig.ts';

const labels = { 'xidrill.dev/drill': 'allowed', 'eks.amazonaws.com/compute-type': 'auto' };
const auto = gpuNode('auto', { ...labels, 'karpenter.sh/nodepool': 'general-purpose' });
const autoArm = { ...gpuNode('auto-arm', labels), arch: 'arm64' as const };

t.test('F12: on EKS Auto Mode NMA and its engine are processes of the host, and drills work', async (t) => {
  // The add-on is installed for the other nodes of the cluster, in a version whose arm64 gate does not hold on Auto Mode.
  const rig = await startRig(t, { rows: [auto, autoArm, gpuNode('group')], nma: '1.6.4' });
  const fault = { name: 'xid', parameters: { xid: 79 } };

  await t.test('the agent finds the engine on the host and brings its own dcgmi', async (t) => {
    const asked = await fetch(`${rig.node('auto').url}/xidrill.agent.v1.AgentService/GetInventory`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    t.match(await asked.json(), {
      engines: [
        {
          podUid: null,
          container: null,
          address: '127.0.0.1:5555',
          dcgmi: '/opt/nvidia/dcgm/bin/dcgmi',
          nma: { listening: true },
          problems: [],
        },
      ],
      agentLacks: [],
    });
  });

  await t.test('what the add-on has on other nodes is not taken for this one’s', async (t) => {
    const answer = await rig.rest.ask<{ targets: Json[] }>('POST', '/api/v1/experiments?dryRun=All', {
      fault,
      target: only('auto'),
    });
    t.match(answer.body.targets[0], {
      refusals: [],
      writes: [{ what: /^dcgmi test --inject/, where: /127\.0\.0\.1:5555/ }],
      confidence: { level: 'low', because: [/version of the monitoring agent/] },
      repair: [{ controller: 'EKS Auto Mode', willAct: 'yes', action: 'replace' }],
    });
    const { body } = await rig.rest.ask<{ checks: { code: string; result: string }[] }>(
      'GET',
      '/api/v1/nodes/auto-arm/preflight?fault=xid',
    );
    const causes = body.checks.filter(({ result }) => result === 'cause').map(({ code }) => code);
    t.same(causes, [], 'no arm64 gate, no missing dcgm-server, no role, nothing not running');
  });

  for (const node of ['auto', 'auto-arm', 'group'])
    await t.test(`Xid 79 on ${node}`, async (t) => {
      const answer = await rig.rest.drill({ name: `on-${node}`, fault, target: only(node) });
      t.match(answer, { verdict: 'pass', injected: 'yes', explanation: { code: 'reacted' } });
      const remedy = answer.explanation?.remedy ?? '';
      t.match(remedy, /AcceleratedHardwareReady stays False/);
    });

  await t.test('the same fault again: no pod is named that is not there', async (t) => {
    const answer = await rig.rest.drill({ name: 'again', fault, target: only('auto') });
    t.match(answer.explanation, {
      code: 'already-false',
      remedy: /replace the node.*kubectl delete node auto/,
    });
    t.notMatch(answer.explanation?.remedy, /rollout|delete pod|dcgm-server/);
  });

  await t.test('an engine that has ended', async (t) => {
    for (const engine of rig.node('auto-arm').engines) engine.kill();
    await until(t, 'DCGMError', async () => {
      const node = await rig.cluster.read('nodes', { name: 'auto-arm' });
      return JSON.stringify(node).includes('DCGMError');
    });
    const { body } = await rig.rest.ask<{ checks: { code: string; result: string; remedy?: string }[] }>(
      'GET',
      '/api/v1/nodes/auto-arm/preflight?fault=xid',
    );
    const lost = body.checks.find(({ code }) => code === 'engine-lost');
    t.match(lost, { result: 'cause', remedy: /^Replace the node.*kubectl delete node auto-arm/ });
    t.equal(
      body.checks.find(({ code, result }) => code === 'dcgm-server-missing' && result === 'cause'),
      undefined,
    );
    for (const { remedy = '' } of body.checks) t.notMatch(remedy, /rollout restart|delete pod/);
  });

  await t.test('an NMA that has ended', async (t) => {
    await rig.node('auto').stopNma();
    const answer = await rig.rest.drill({
      name: 'stopped',
      fault: { name: 'task-blocked' },
      target: only('auto'),
    });
    t.match(answer.explanation, {
      code: 'nma-not-running',
      summary: /host process/,
      remedy: /On EKS Auto replace the node/,
    });
  });
});
