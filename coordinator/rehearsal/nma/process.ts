import { parseArgs } from 'node:util';
import { createDeviceKernelLog } from '../../../agent/kernel-log/device.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createLog } from '../../../shared/log.ts';
import { findNmaVersion } from '../../catalogue/nma/versions.ts';
import { createClusterClient } from '../../cluster/client.ts';
import { createNma } from './actor.ts';
import { createFileTail } from './file-tail.ts';

/**
 * The simulated NMA as a process of its own: it reads the kernel log of this machine, journal lines out of it, and log
 * files below a root, and writes to a real API server.
 * `node process.ts --kubeconfig F --node NAME --version 1.6.4 [--kernel-log /dev/kmsg] [--host-root /] [--arch amd64|arm64]`
 * Its pod log goes to standard error; standard output gets the one word `ready`.
 */
const { values } = parseArgs({
  options: {
    kubeconfig: { type: 'string' },
    node: { type: 'string' },
    version: { type: 'string' },
    'kernel-log': { type: 'string', default: '/dev/kmsg' },
    'host-root': { type: 'string', default: '/' },
    arch: { type: 'string', default: 'amd64' },
  },
});

const { kubeconfig, node, version, arch } = values;
if (kubeconfig === undefined || node === undefined || version === undefined) {
  process.stderr.write(
    'usage: process.ts --kubeconfig FILE --node NAME --version 1.6.4 [--kernel-log /dev/kmsg] [--host-root /]\n',
  );
  process.exit(2);
}

const log = createLog({ name: 'nma', level: 'warn' });
const found = findNmaVersion(version);
if (!found.exact) log.warn({ version }, found.note);

const clock = createRealClock();
const nma = createNma({
  cluster: createClusterClient({
    kubeconfig: { path: kubeconfig },
    userAgent: 'eks-node-monitoring-agent',
    fieldManager: 'eks-node-monitoring-agent',
    log,
  }),
  node,
  version: found.row,
  arch: arch === 'arm64' ? 'arm64' : 'amd64',
  kernelLog: createDeviceKernelLog({ path: values['kernel-log'] }),
  files: createFileTail({ root: values['host-root'], clock, log }),
  clock,
  random: Math.random,
  credentials: 'healthy',
  podLog: (line) => process.stderr.write(`${line}\n`),
  log,
});

nma.start();
process.stdout.write('ready\n');
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void nma.stop().then(() => process.exit(0));
  });
}
