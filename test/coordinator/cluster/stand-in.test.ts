import { randomInt } from 'node:crypto';
import t from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { clusterContract } from '../../contract/cluster.ts';
import { schemaContract } from '../../contract/schema-rows.ts';
import { storedObjectsContract } from '../../contract/stored-objects.ts';
import { createJumpingClock } from '../../jumping-clock.ts';

const server = await startApiServer({
  clock: createJumpingClock(Date.now()),
  log: createSilentLog(),
  authorize: ({ token }) => ({ allowed: token === 'good' }),
});
t.teardown(() => server.close());

const connect = ({ token = 'good' }: { readonly token?: string } = {}) =>
  createClusterClient({
    kubeconfig: { url: server.url, token },
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
  collectsGarbage: true,
  forgetHistory: async () => server.faults.compact(),
  writePodLog: server.appendPodLog,
});
