import t from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createScaledClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { clusterContract } from '../../contract/cluster.ts';

const server = await startApiServer({
  clock: createScaledClock({ factor: 100, startAt: Date.now() }),
  log: createSilentLog(),
  authorize: ({ token }) => ({ allowed: token === 'good' }),
});
t.teardown(() => server.close());

await clusterContract(t, {
  connect: ({ token = 'good' } = {}) =>
    createClusterClient({
      kubeconfig: { url: server.url, token },
      userAgent: 'xidrill-coordinator/test',
      fieldManager: 'xidrill-coordinator',
      log: createSilentLog(),
    }),
  wrongToken: 'bad',
  collectsGarbage: true,
  forgetHistory: async () => server.faults.compact(),
  writePodLog: server.appendPodLog,
});
