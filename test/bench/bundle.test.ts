import { mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { startApiServer } from '../../coordinator/rehearsal/apiserver/server.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import { bundle, nodeEnvironment, nodeFlags } from '../../shared/bundle.ts';
import { createRealClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { version } from '../../shared/version.ts';
import { assertAgentRuns } from './bundled-agent.ts';
import { startProgram } from './programs.ts';

/** No node_modules is above it, so that what runs here runs in an image. */
const folder = mkdtempSync(join(realpathSync(tmpdir()), 'xidrill-bundle-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
await bundle(join(folder, 'made'));
const moved = join(folder, 'moved');
renameSync(join(folder, 'made'), moved);

t.test('the agent runs alone, with its NVML child and a pseudo terminal', async (t) => {
  await assertAgentRuns(t, join(moved, 'agent.mjs'), join(folder, 'state'));
});

t.test('the coordinator runs alone against an API server', async (t) => {
  const log = createSilentLog();
  const server = await startApiServer({ clock: createRealClock(), log });
  t.teardown(() => server.close());
  const cluster = createClusterClient({
    kubeconfig: { url: server.url },
    userAgent: 'test',
    fieldManager: 'test',
    log,
  });
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'xidrill' } });
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  const kubeconfig = join(folder, 'kubeconfig');
  const config = {
    'current-context': 'it',
    clusters: [{ name: 'it', cluster: { server: server.url } }],
    users: [{ name: 'it', user: {} }],
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const coordinator = await startProgram(join(moved, 'coordinator.mjs'), ['--kubeconfig', kubeconfig], {
    flags: nodeFlags.coordinator,
    env: nodeEnvironment,
  });
  t.teardown(coordinator.stop);
  const document = await (await fetch(`${coordinator.url}/openapi.json`)).json();
  t.match(document, { openapi: '3.1.0', info: { version } });
});
