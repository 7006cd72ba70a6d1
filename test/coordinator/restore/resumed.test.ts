import t from 'tap';
import type { Cluster } from '../../../coordinator/cluster/port.ts';
import { restoreStepNames } from '../../../coordinator/store/restore.ts';
import { conditionsOf } from '../../../coordinator/view/node.ts';
import { gpuNode, only, startCoordinator, startRig, until } from '../rig.ts';

/** A coordinator that dies in the middle of a restore: another one goes on from the stored step, and no pod is restarted twice. */

for (const stepName of restoreStepNames) {
  t.test(`killed at step ${stepName}`, async (t) => {
    const rig = await startRig(t, { rows: [gpuNode('g0')] });
    const metadata = { name: 'second' };
    await rig.cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
    const deleted: string[] = [];
    const counting: Cluster = {
      ...rig.cluster,
      remove(resource, key, uid) {
        if (resource === 'pods') deleted.push(`${key.name} ${uid ?? ''}`);
        return rig.cluster.remove(resource, key, uid);
      },
    };
    const start = (identity: string) =>
      startCoordinator(t, rig, { namespace: 'second', identity, cluster: counting });
    const first = await start('first');
    await first.rest.create({
      name: 'drill',
      fault: { name: 'xid', parameters: { xid: 79 } },
      target: only('g0'),
      restore: 'auto',
    });
    await until(t, `step ${stepName}`, async () => {
      const [injection] = await first.rest.injections('drill');
      const step = injection?.status?.restore?.steps.find((one) => one.step === stepName);
      return step?.since !== undefined;
    });
    await first.kill();
    const second = await start('second');
    t.match(await second.rest.ended('drill'), { verdict: 'pass', restore: { state: 'restored' } });
    const [injection] = await second.rest.injections('drill');
    t.match(
      injection?.status?.restore?.steps.map(({ state }) => state),
      restoreStepNames.map(() => 'done'),
    );
    const uids = new Set(deleted);
    t.equal(uids.size, 2, `each pod was restarted once: ${deleted.join(', ')}`);
    const node = await rig.cluster.read('nodes', { name: 'g0' });
    const condition = node && conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady');
    t.match(condition, { status: 'True' });
  });
}
