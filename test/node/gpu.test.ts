import t from 'tap';
import { at, type Rendered } from '../charts/render.ts';
import { type Attached, attach, untilShown } from './attached.ts';
import { callerOf } from './caller.ts';
import { installOn } from './installed.ts';
import { engineObjects, enginesWithoutDcgmi, monitorNamespace, whenDeleted } from './monitor-objects.ts';

t.setTimeout(900_000);
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

async function stories(attached: Attached): Promise<void> {
  const node = 'gpu-1';
  const release = installOn(attached, 'gpus');
  const { kubectl, read } = attached;
  await release.restartMonitor(enginesWithoutDcgmi);
  await release.install(
    '--set=agent.armed=true',
    '--set=agent.dcgm.sidecar.enabled=false',
    '--set=coordinator.replicas=1',
  );
  await kubectl('label', 'node', node, 'xidrill.dev/drill=allowed', '--overwrite');

  const acceleratedHardware = async () => {
    const { status } = await read('node', node);
    const conditions = at(status, 'conditions') as readonly {
      type: string;
      status: string;
      reason: string;
    }[];
    return conditions.find(({ type }) => type === 'AcceleratedHardwareReady');
  };
  const monitorPod = async (selector: string): Promise<string> => {
    const field = `--field-selector=spec.nodeName=${node}`;
    const { items } = await read('-n', monitorNamespace, 'pods', '-l', selector, field);
    const [pod] = (items as readonly Rendered[]).filter(
      ({ metadata }) => at(metadata, 'deletionTimestamp') === undefined,
    );
    return pod?.metadata.name ?? '';
  };
  const explained = (experiment: Rendered) => JSON.stringify(at(experiment, 'status.explanation'));

  t.test('where the engine has no dcgmi either, the agent lacks it, and the sidecar gives it', async (t) => {
    const refused = await release.drill('without-dcgmi', node, { name: 'xid', parameters: { xid: 31 } });
    t.match(at(refused, 'status.explanation'), {
      code: 'agent-incapable',
      remedy: /agent\.dcgm\.sidecar\.enabled=true/,
    });
    await release.upgrade('--set=agent.dcgm.sidecar.enabled=true');
    await release.listens(node);
  });

  t.test('an agent that sees no NVML says so, and takes the GPUs from the host engine', async (t) => {
    const caller = await callerOf(attached, release, process.env.TMPDIR ?? '/tmp');
    const [coordinator] = await release.pods('coordinator');
    if (coordinator === undefined) throw new Error('there is no coordinator');
    const { body } = await caller.send('coordinator', coordinator, `nodes/${node}/preflight`);
    await caller.remove();
    const checks = body.checks as readonly { readonly code: string }[];
    t.match(
      checks.find(({ code }) => code === 'agent-incapable'),
      {
        text: /lacks the NVML library/,
        remedy: /agent\.gpu\.runtimeClassName/,
      },
    );
  });

  for (const xid of [31, 79])
    t.test(`Xid ${xid} into the engine's pod is seen by the monitoring agent`, async (t) => {
      const ended = await release.drill(`xid-${xid}`, node, { name: 'xid', parameters: { xid } });
      t.equal(at(ended, 'status.verdict'), 'pass', explained(ended));
    });

  t.test('restored by hand, in the order that the product says, the condition is True again', async (t) => {
    await untilShown('the condition is False', async () => (await acceleratedHardware())?.status === 'False');
    // From here on as the monitoring agent's containers are: with a dcgmi of their own.
    const patch = ['-n', monitorNamespace, 'patch', 'daemonset', 'dcgm-server', '--type=merge', '-p'];
    await kubectl(...patch, JSON.stringify(whenDeleted(engineObjects)));
    const engine = await monitorPod('k8s-app=dcgm-server');
    await kubectl('-n', monitorNamespace, 'delete', 'pod', engine, '--wait=true');
    await release.startMonitor();
    const agent = await monitorPod('app.kubernetes.io/name=eks-node-monitoring-agent');
    await kubectl('-n', monitorNamespace, 'delete', 'pod', agent, '--wait=true');
    await release.startMonitor();
    await release.upgrade('--set=agent.dcgm.sidecar.enabled=false');
    await untilShown(
      'the condition is True',
      async () => (await acceleratedHardware())?.status === 'True',
      120,
    );
    await release.listens(node);
    t.match(await acceleratedHardware(), { reason: 'NvidiaGPUIsReady' });
  });

  t.test('an engine’s own dcgmi needs no sidecar', async (t) => {
    const passed = await release.drill('own-dcgmi', node, { name: 'xid', parameters: { xid: 31 } });
    t.equal(at(passed, 'status.verdict'), 'pass', explained(passed));
  });

  t.teardown(() => release.uninstall());
}
