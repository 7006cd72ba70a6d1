import t from 'tap';
import { at } from '../charts/render.ts';
import { type Attached, attach } from './attached.ts';
import { installOn } from './installed.ts';

t.setTimeout(600_000);
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else await stories(found);

async function stories(attached: Attached): Promise<void> {
  const node = 'gpu-1';
  const release = installOn(attached, 'xidrill');
  const { kubectl } = attached;

  t.test('helm install: every container of both programs starts and is ready', async (t) => {
    await release.restartMonitor();
    await release.install('--set=agent.dcgm.sidecar.engine.enabled=true');
    const agents = await release.pods('agent');
    const states = agents.map(({ spec, status }) => {
      const containers = at(status, 'containerStatuses') as readonly { name: string; ready: boolean }[];
      return [at(spec, 'nodeName'), ...containers.map(({ name, ready }) => `${name} ${ready}`)];
    });
    t.strictSame(
      states.toSorted(),
      ['gpu-1', 'gpu-2'].map((name) => [name, 'agent true', 'dcgm-engine true']),
      'an agent with its sidecar on each node with GPUs',
    );
    const coordinators = await release.pods('coordinator');
    t.strictSame(
      coordinators.map(({ spec }) => at(spec, 'nodeName')),
      ['system-1', 'system-1'],
    );
    for (const { status } of [...agents, ...coordinators])
      t.equal(at(status, 'containerStatuses.0.restartCount'), 0, 'nothing had to start twice');
  });

  t.test('disarmed, it says how to arm it; armed by an upgrade, a drill passes', async (t) => {
    await kubectl('label', 'node', node, 'xidrill.dev/drill=allowed');
    const refused = await release.drill('disarmed', node, { name: 'task-blocked' });
    t.match(at(refused, 'status.explanation'), { code: 'agent-disarmed', remedy: /agent\.armed=true/ });

    await release.upgrade('--set=agent.armed=true');
    const passed = await release.drill('first-drill', node, { name: 'task-blocked' });
    t.equal(at(passed, 'status.verdict'), 'pass', JSON.stringify(at(passed, 'status.explanation')));
  });

  t.test('helm uninstall leaves no pod of ours', async (t) => {
    await release.uninstall();
    t.strictSame(await release.pods(), []);
    await kubectl('label', 'node', node, 'xidrill.dev/drill-');
  });
}
