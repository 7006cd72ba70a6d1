import t from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createKillSwitch, killSwitchName } from '../../../coordinator/store/kill-switch.ts';
import { createKillSwitchEvents } from '../../../coordinator/store/kill-switch-events.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { until } from '../rig.ts';

const namespace = 'xidrill';
const log = createSilentLog();
const clock = createRealClock();
const key = { name: killSwitchName, namespace };

const server = await startApiServer({ clock, log });
t.teardown(() => server.close());
const cluster = createClusterClient({
  kubeconfig: { url: server.url },
  userAgent: 'test',
  fieldManager: 'test',
  log,
});
await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });

function createSwitch(over: Cluster = cluster) {
  return createKillSwitch({
    cluster: over,
    namespace,
    clock,
    changed: createKillSwitchEvents({ cluster: over, namespace, clock, log }),
  });
}

const events = async () => (await cluster.list('events', { namespace })).items as readonly KubeObject[];

t.test('each reading has the version of the store, also without an object', async (t) => {
  const killSwitch = createSwitch();
  const revisions: number[] = [];
  const look = async () => revisions.push(Number((await killSwitch.read()).revision));
  await look();
  revisions.push(Number((await killSwitch.set({ engaged: true, reason: 'one' })).revision));
  await look();
  await cluster.remove('configmaps', key);
  await look();
  t.strictSame(
    revisions,
    revisions.toSorted((left, right) => left - right),
  );
  t.ok(new Set(revisions).size >= 3, `each change is another version: ${revisions.join(', ')}`);
});

t.test('each change is an event, once, however many coordinators see it', async (t) => {
  const [one, two] = [createSwitch(), createSwitch()];
  for (const each of [one, two]) await each.read();
  const { metadata } = await cluster.create('configmaps', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: key,
    data: { engaged: 'true', reason: 'incident 42' },
  });
  const mine = async () =>
    (await events()).filter((event) => (event.involvedObject as { uid?: string }).uid === metadata.uid);
  for (const each of [one, two]) await each.read();
  await until(t, 'engaged', async () => (await mine()).length === 1);
  await two.set({ engaged: false });
  for (const each of [one, two]) await each.read();
  await until(t, 'released', async () => (await mine()).length === 2);
  t.match(
    (await mine()).toSorted((a, b) => String(a.reason).localeCompare(String(b.reason))),
    [
      {
        type: 'Warning',
        reason: 'KillSwitchEngaged',
        message: /engaged: incident 42\./,
        involvedObject: { kind: 'ConfigMap', name: killSwitchName },
      },
      { type: 'Normal', reason: 'KillSwitchReleased' },
    ],
  );
  await cluster.remove('configmaps', key);
});

t.test('who set it: the field manager, and the user only while a coordinator wrote it', async (t) => {
  const owner = (manager: string) => [
    { manager, operation: 'Update', fieldsV1: { 'f:data': { 'f:engaged': {} } } },
  ];
  const rows = [
    ['xidrill-coordinator', 'system:serviceaccount:ops:ann', 'system:serviceaccount:ops:ann'],
    ['kubectl-patch', 'system:serviceaccount:ops:ann', 'field manager kubectl-patch'],
    ['kubectl-create', undefined, 'field manager kubectl-create'],
    ['xidrill-coordinator', undefined, 'field manager xidrill-coordinator'],
  ] as const;
  for (const [manager, by, shown] of rows) {
    const object: KubeObject = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...key, managedFields: owner(manager) },
      data: { engaged: 'true', ...(by === undefined ? {} : { by }) },
    };
    const over = { ...cluster, list: async () => ({ items: [object], resourceVersion: '7' }) };
    t.match(await createSwitch(over).read(), { engaged: true, by: shown, revision: '7' });
  }
});

t.test('an answer that comes late does not replace a newer one', async (t) => {
  const old = Promise.withResolvers<{ items: KubeObject[]; resourceVersion: string }>();
  let lists = 0;
  const over: Cluster = {
    ...cluster,
    list: (...asked) => {
      lists += 1;
      return lists === 1 ? old.promise : cluster.list(...asked);
    },
  };
  const killSwitch = createSwitch(over);
  const early = killSwitch.read();
  await killSwitch.set({ engaged: true, reason: 'now' });
  t.match(
    await killSwitch.assertReleased().catch((thrown: unknown) => thrown),
    { reason: 'kill_switch_engaged' },
    'what was asked before is not used',
  );
  old.resolve({ items: [], resourceVersion: '1' });
  t.match(await early, { engaged: false });
  t.match(killSwitch.last(), { engaged: true, reason: 'now' });
  await cluster.remove('configmaps', key);
});
