import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { createDeviceKernelLog } from '../../../agent/kernel-log/device.ts';
import { createFakeKernelLog } from '../../../agent/kernel-log/fake.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { Cluster, KubeObject, ResourceName } from '../../../coordinator/cluster/port.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createNma } from '../../../coordinator/rehearsal/nma/actor.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { logFiles } from '../../../shared/surfaces/log-file.ts';
import { createManualClock } from '../../manual-clock.ts';
import type { Condition } from '../catalogue/nma/memory-cluster.ts';

const log = createSilentLog();

async function setUp(t: Test) {
  const server = await startApiServer({ clock: createRealClock(), log });
  t.teardown(() => server.close());
  const cluster = createClusterClient({
    kubeconfig: { url: server.url },
    userAgent: 'test',
    fieldManager: 'eks-node-monitoring-agent',
    log,
  });
  await cluster.create('nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
  return { server, cluster };
}

/** The first object of a kind, as it is or becomes, that fits. */
async function until(
  cluster: Cluster,
  resource: ResourceName,
  fits: (object: KubeObject) => boolean,
): Promise<KubeObject> {
  const signal = AbortSignal.timeout(300_000);
  const { items, resourceVersion } = await cluster.list(resource);
  const found = items.find(fits);
  if (found !== undefined) return found;
  for await (const { object } of cluster.watch(resource, { resourceVersion, signal })) {
    if (fits(object)) return object;
  }
  throw new Error(`no ${resource} fits`);
}

const conditionsOf = (node: KubeObject) =>
  ((node.status ?? {}) as { conditions?: readonly Condition[] }).conditions ?? [];

t.test('over HTTP: conditions by a patch of the status, events by create and patch', async (t) => {
  const { cluster } = await setUp(t as Test);
  const clock = createManualClock();
  const kernelLog = createFakeKernelLog({ clock });
  const nma = createNma({
    cluster,
    node: 'n1',
    version: findNmaVersion('1.6.4').row,
    arch: 'amd64',
    kernelLog,
    clock,
    random: () => 0,
    credentials: 'healthy',
    podLog: () => undefined,
    log,
  });
  nma.start();
  t.teardown(() => nma.stop());
  await clock.advance(15_000);
  const node = await until(cluster, 'nodes', (object) => conditionsOf(object).length > 0);
  t.same(
    conditionsOf(node).map((condition) => `${condition.type} ${condition.status}`),
    [
      'KernelReady True',
      'StorageReady True',
      'ContainerRuntimeReady True',
      'NetworkingReady True',
      'AcceleratedHardwareReady True',
    ],
  );
  for (const count of [1, 2]) {
    kernelLog.kernelSays('err', 'nf_conntrack: table full, dropping packet');
    const event = await until(cluster, 'events', (object) => object.count === count);
    t.match(event, {
      reason: 'KernelReady',
      message: /^ConntrackExceededKernel: /,
      metadata: { namespace: 'default' },
    });
  }
});

const device = createDeviceKernelLog({ path: '/dev/kmsg' });
const because = device.unavailable();

t.test(
  'as a process, over the kernel log of this machine',
  { skip: because?.message ?? false },
  async (t) => {
    const { server, cluster } = await setUp(t as Test);
    const folder = t.testdir({});
    const kubeconfig = join(folder, 'kubeconfig');
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'here', cluster: { server: server.url } }],
        users: [{ name: 'me', user: {} }],
        contexts: [{ name: 'here', context: { cluster: 'here', user: 'me' } }],
        'current-context': 'here',
      }),
    );
    const program = new URL('../../../coordinator/rehearsal/nma/process.ts', import.meta.url).pathname;
    const child = spawn(
      process.execPath,
      [program, '--kubeconfig', kubeconfig, '--node', 'n1', '--version', '1.6.4', '--host-root', folder],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    t.teardown(() => child.kill('SIGKILL'));
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
    const said = await new Promise<string>((resolve) =>
      child.stdout.once('data', (data) => resolve(String(data))),
    );
    t.equal(said, 'ready\n');
    const seconds = 1000 + (process.pid % 100_000);
    await device.write(
      'warning',
      `watchdog: BUG: soft lockup - CPU#0 stuck for ${seconds}s! [xidrill-test:1]`,
    );
    const event = await until(cluster, 'events', (object) => String(object.message).includes(`${seconds}s`));
    t.match(event, { message: `SoftLockup: CPU stuck for ${seconds}s`, reason: 'KernelReady' });

    await device.write('err', `systemd: Failed to start xidrill-${seconds}.`);
    const failed = await until(cluster, 'events', (object) =>
      String(object.message).includes(`xidrill-${seconds}`),
    );
    t.match(failed, {
      message: `ServiceFailedToStart: Failed to start xidrill-${seconds}.`,
      reason: 'ContainerRuntimeReady',
    });

    const ipamd = join(folder, logFiles.ipamd);
    mkdirSync(dirname(ipamd), { recursive: true });
    writeFileSync(ipamd, '');
    // Again and again: what is in the file when it is found is never seen.
    const writing = setInterval(() => appendFileSync(ipamd, 'InsufficientFreeAddressesInSubnet\n'), 50);
    t.teardown(() => clearInterval(writing));
    const full = await until(cluster, 'events', (object) => String(object.message).startsWith('IPAMDNoIPs'));
    t.equal(full.reason, 'NetworkingReady');
    clearInterval(writing);
    child.kill('SIGTERM');
    t.equal(await exited, 0);
  },
);

t.teardown(() => device.close());
