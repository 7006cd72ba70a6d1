import t from 'tap';
import { startGate } from './gate.ts';
import { experimentAt, injectionsAt, kubeconfigFor, namespace, recordsWith, startRig } from './rig.ts';

/** Every write that carries an experiment forward, as the API server or the agent sees it. */
const points = [
  { name: 'selecting', method: 'PUT', path: /\/experiments\/[^/]+\/status/, body: /"phase":"Running"/ },
  { name: 'creating the injection', method: 'POST', path: /\/injections(\?|$)/ },
  { name: 'prepared', method: 'PUT', path: /\/injections\/[^/]+\/status/, body: /"phase":"Injecting"/ },
  { name: 'ordering', method: 'POST', path: /AgentService\/WriteKernelMessage/ },
  { name: 'injected', method: 'PUT', path: /\/injections\/[^/]+\/status/, body: /"phase":"Verifying"/ },
  { name: 'judged', method: 'PUT', path: /\/injections\/[^/]+\/status/, body: /"phase":"Completed"/ },
  { name: 'concluding', method: 'PUT', path: /\/experiments\/[^/]+\/status/, body: /"phase":"Completed"/ },
] as const;

t.setTimeout(900_000);
const rig = await startRig(t, 'restarted');
const agent = await rig.startAgent();
await rig.startNma();

for (const [index, point] of points.entries()) {
  for (const when of ['before', 'after'] as const) {
    t.test(`killed while ${point.name}, ${when} it took effect: one injection, one verdict`, async (t) => {
      const apiGate = await startGate({
        url: rig.plane.url,
        caFile: rig.plane.caFile,
        token: rig.plane.adminToken,
      });
      const agentGate = await startGate({ url: agent.url });
      t.teardown(() => Promise.all([apiGate.close(), agentGate.close()]));
      const kubeconfig = await kubeconfigFor(rig, apiGate.url);
      const first = await rig.startCoordinator(agentGate.url, { kubeconfig });

      const gate = point.name === 'ordering' ? agentGate : apiGate;
      const held = gate.hold({ ...point, when });
      const name = `killed-${index}-${when}`;
      await rig.apply({
        apiVersion: 'xidrill.dev/v1alpha1',
        kind: 'Experiment',
        metadata: { name, namespace },
        spec: { fault: { name: 'task-blocked' } },
      });
      await held;
      await first.kill('SIGKILL');

      const second = await rig.startCoordinator(agent.url);
      const answer = await experimentAt(second.url, name);
      t.equal(answer.verdict, 'pass', JSON.stringify(answer.explanation));
      const injections = await injectionsAt(second.url, name);
      t.equal(injections.length, 1, 'one injection');
      const body = injections[0]?.spec.chain[0]?.order?.body ?? {};
      const text = 'text' in body ? String(body.text) : '';
      t.equal(recordsWith(text), 1, 'one record in the real kernel log');
      await second.kill();
    });
  }
}
