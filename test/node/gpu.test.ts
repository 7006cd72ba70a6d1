import t from 'tap';
import { at, type Rendered } from '../charts/render.ts';
import { until } from '../cluster/processes.ts';
import { type Attached, attach } from './attached.ts';
import { installOn } from './installed.ts';
import { monitorNamespace } from './monitor-objects.ts';

t.setTimeout(900_000);
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

async function stories(attached: Attached): Promise<void> {
  const node = 'gpu-1';
  const release = installOn(attached, 'gpus');
  const { kubectl, read } = attached;
  await release.startMonitor();
  // The engine's pod has a dcgmi of its own, as the monitoring agent's containers do.
  await release.install('--set=agent.armed=true', '--set=agent.dcgm.sidecar.enabled=false');
  await kubectl('label', 'node', node, 'xidrill.dev/drill=allowed', '--overwrite');
  await release.listens(node);

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

  for (const xid of [31, 79])
    t.test(`Xid ${xid} into the engine's pod is seen by the monitoring agent`, async (t) => {
      const ended = await release.drill(`xid-${xid}`, node, { name: 'xid', parameters: { xid } });
      t.equal(at(ended, 'status.verdict'), 'pass', explained(ended));
    });

  t.test('restored by hand, in the order that the product says, the condition is True again', async (t) => {
    await until('the condition is False', async () => (await acceleratedHardware())?.status === 'False');
    const engine = await monitorPod('k8s-app=dcgm-server');
    await kubectl('-n', monitorNamespace, 'delete', 'pod', engine, '--wait=true');
    await release.startMonitor();
    const agent = await monitorPod('app.kubernetes.io/name=eks-node-monitoring-agent');
    await kubectl('-n', monitorNamespace, 'delete', 'pod', agent, '--wait=true');
    await release.startMonitor();
    await until('the condition is True', async () => (await acceleratedHardware())?.status === 'True', 120);
    await release.listens(node);
    t.match(await acceleratedHardware(), { reason: 'NvidiaGPUIsReady' });
  });

  t.teardown(() => release.uninstall());
}
