import { randomInt } from 'node:crypto';
import t from 'tap';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { createSilentLog } from '../../shared/log.ts';
import { clusterContract } from '../contract/cluster.ts';
import { schemaContract } from '../contract/schema-rows.ts';
import { storedObjectsContract } from '../contract/stored-objects.ts';
import { startControlPlane } from './controlplane/start.ts';

t.setTimeout(900_000);
const plane = await startControlPlane();
t.teardown(() => plane.stop());

const connect = ({ token }: { readonly token?: string } = {}) =>
  createClusterClient({
    kubeconfig:
      token === undefined ? { path: plane.kubeconfigPath } : { url: plane.url, caFile: plane.caFile, token },
    userAgent: 'xidrill-coordinator/test',
    fieldManager: 'xidrill-coordinator',
    log: createSilentLog(),
  });

await t.test('schemas', (t) => schemaContract(t, connect()));
const seed = randomInt(2 ** 31);
await t.test('what we store', (t) => storedObjectsContract(t, connect(), { seed, runs: 40 }));
await clusterContract(t, {
  connect,
  wrongToken: 'bad',
  // Only an API server runs here: collecting garbage is the controller manager's work.
  collectsGarbage: false,
  forgetHistory: async () => {
    await plane.stopApiserver();
    await plane.startApiserver();
  },
});
