import t from 'tap';
import { chart } from '../charts/helm.ts';
import { at, type Rendered, release } from '../charts/render.ts';
import { type Attached, attach, imageValues } from './attached.ts';
import { monitorNamespace, monitorObjects } from './monitor-objects.ts';

t.setTimeout(600_000);
const { name: releaseName, namespace } = release;
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

async function stories({ kubectl, apply, create, read, helm }: Attached): Promise<void> {
  const node = 'gpu-1';
  const fullname = `${releaseName}-xidrill`;

  const rolledOut = async () => {
    for (const workload of [`daemonset/${fullname}-agent`, `deployment/${fullname}-coordinator`])
      await kubectl('-n', namespace, 'rollout', 'status', workload, '--timeout=180s');
  };
  const podsOf = async (component: string): Promise<readonly Rendered[]> => {
    const selector = `app.kubernetes.io/component=${component}`;
    return (await read('-n', namespace, 'pods', '-l', selector)).items as readonly Rendered[];
  };
  /** A drill by kubectl alone, as README has it; answers when it has ended. */
  const drill = async (name: string, fault: object): Promise<Rendered> => {
    await create({
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name, namespace },
      spec: { fault, target: { selector: { names: [node] } } },
    });
    const ended = `--for=jsonpath={.status.phase}=Completed`;
    await kubectl('-n', namespace, 'wait', `experiment/${name}`, ended, '--timeout=180s');
    return read('-n', namespace, 'experiment', name);
  };

  t.test('helm install: every container of both programs starts and is ready', async (t) => {
    await apply(...monitorObjects);
    const sidecar = '--set=agent.dcgm.sidecar.engine.enabled=true';
    await helm('install', releaseName, chart, '-n', namespace, '--create-namespace', ...imageValues, sidecar);
    await rolledOut();
    await kubectl('-n', monitorNamespace, 'rollout', 'status', 'daemonset', '--timeout=120s');
    const agents = await podsOf('agent');
    t.strictSame(
      agents.map(({ spec, status }) => [
        at(spec, 'nodeName'),
        (at(status, 'containerStatuses') as readonly { name: string; ready: boolean }[]).map(
          ({ name, ready }) => [name, ready],
        ),
      ]),
      [
        [
          node,
          [
            ['agent', true],
            ['dcgm-engine', true],
          ],
        ],
      ],
      'one agent, on the node with GPUs, with its sidecar',
    );
    const coordinators = await podsOf('coordinator');
    t.strictSame(
      coordinators.map(({ spec }) => at(spec, 'nodeName')),
      ['system-1', 'system-1'],
    );
    for (const { status } of [...agents, ...coordinators])
      t.equal(at(status, 'containerStatuses.0.restartCount'), 0, 'nothing had to start twice');
  });

  t.test('disarmed, it says how to arm it; armed by an upgrade, a drill passes', async (t) => {
    await kubectl('label', 'node', node, 'xidrill.dev/drill=allowed');
    const refused = await drill('disarmed', { name: 'task-blocked' });
    t.match(at(refused, 'status.explanation'), { code: 'agent-disarmed', remedy: /agent\.armed=true/ });

    await helm(
      'upgrade',
      releaseName,
      chart,
      '-n',
      namespace,
      '--reset-then-reuse-values',
      '--set=agent.armed=true',
    );
    await rolledOut();
    const passed = await drill('first-drill', { name: 'task-blocked' });
    t.equal(at(passed, 'status.verdict'), 'pass', JSON.stringify(at(passed, 'status.explanation')));
  });

  t.test('helm uninstall leaves no pod of ours', async (t) => {
    await helm('uninstall', releaseName, '-n', namespace, '--wait', '--timeout=120s');
    const ours = ['-l', `app.kubernetes.io/instance=${releaseName}`];
    // helm waits for workloads, not for what they leave: an agent ends its orders first.
    await kubectl('-n', namespace, 'wait', 'pod', ...ours, '--for=delete', '--timeout=60s');
    t.strictSame((await read('-n', namespace, 'pods', ...ours)).items, []);
    await kubectl('delete', 'namespace', namespace, '--timeout=60s');
  });
}
