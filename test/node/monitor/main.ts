import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createDeviceKernelLog } from '../../../agent/kernel-log/device.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { createNma } from '../../../coordinator/rehearsal/nma/actor.ts';
import { createFileTail } from '../../../coordinator/rehearsal/nma/file-tail.ts';
import { type Clock, createRealClock } from '../../../shared/clock.ts';
import { createLog } from '../../../shared/log.ts';
import { createEngineClient } from './engine-client.ts';

/**
 * The rehearsal's monitoring agent in a pod like that of the real one: the node's name and its root come from the
 * environment (nma.md section 8.1), conditions and events are written with the kubelet's identity, and the host engine is
 * whatever answers on port 5555 of the node. Its log goes to standard error, as the real one's.
 */
const {
  HOST_ROOT: root = '/host',
  MY_NODE_NAME: node = '',
  NMA_VERSION = '1.6.4',
  KUBECONFIG = '',
} = process.env;
const log = createLog({ name: 'nma', level: 'warn' });
const real = createRealClock();
/** It connects to its engine and reports in a fifth of the real one's time (30 s and 15 s, nma.md section 1); what it does in minutes stays so. */
const clock: Clock = {
  ...real,
  sleep: (milliseconds, signal) =>
    real.sleep(milliseconds >= 5_000 && milliseconds < 60_000 ? milliseconds / 5 : milliseconds, signal),
};
const { engine } = createEngineClient(5555, clock);
const nma = createNma({
  cluster: createClusterClient({
    kubeconfig: { path: KUBECONFIG },
    userAgent: 'eks-node-monitoring-agent',
    fieldManager: 'eks-node-monitoring-agent',
    log,
  }),
  node,
  version: findNmaVersion(NMA_VERSION).row,
  arch: 'amd64',
  kernelLog: createDeviceKernelLog({ path: '/dev/kmsg' }),
  files: createFileTail({ root, clock, log }),
  engine,
  // The real one asks the kernel for its driver's module; there is one kernel here, and no driver.
  accelerator: existsSync(join(root, 'node/gpus')) ? 'nvidia' : 'none',
  clock,
  random: Math.random,
  credentials: 'healthy',
  podLog: (line) => process.stderr.write(`${line}\n`),
  log,
});
nma.start();
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => void nma.stop().then(() => process.exit(0)));
