import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createRealClock } from '../shared/clock.ts';
import { createInClusterReviews } from '../shared/http/reviews.ts';
import { exitWith, listeningUrl, onStop, serverProgram, serverRows } from '../shared/program.ts';
import { version } from '../shared/version.ts';
import { createAgent } from './app.ts';
import { createDcgm } from './dcgm/client.ts';
import { createPtyDcgmi } from './dcgm/pty.ts';
import { createEngineProcesses } from './engine-process/signals.ts';
import { createProcEngineFinder } from './engines/proc.ts';
import { defaultTrust } from './engines/standing.ts';
import { createHostFiles } from './host-files/device.ts';
import { createSystemJournal } from './host-files/journald/journalctl.ts';
import { openHeld } from './injection/held.ts';
import { readBootId } from './inventory/inventory.ts';
import { createDeviceKernelLog } from './kernel-log/device.ts';
import { createForkedNvml } from './nvml/forked.ts';
import { createDirectPolicy, type DirectPolicy, readPolicy } from './policy/direct.ts';
import { createOptInFile } from './policy/opt-in.ts';
import { createHostPrograms } from './programs/host.ts';
import { lookAtMeans } from './programs/means.ts';
import { lockStateDir } from './state-lock.ts';

const name = 'xidrill-agent';
const { config, log, address, gate, hosts, tls } = serverProgram(name, {
  node: {
    kind: 'text',
    value: 'NAME',
    env: 'NODE_NAME',
    default: hostname(),
    help: 'name of this node in the cluster',
  },
  'state-dir': {
    kind: 'text',
    value: 'DIR',
    env: 'XIDRILL_STATE_DIR',
    required: true,
    help: 'where the journal of orders is kept',
  },
  arm: { kind: 'switch', env: 'XIDRILL_ARM', help: 'inject; without it every injection is refused' },
  'opt-in-file': {
    kind: 'text',
    value: 'PATH',
    env: 'XIDRILL_OPT_IN_FILE',
    check: (text) => (/^\/[^\0]+$/.test(text) ? undefined : 'not an absolute path'),
    help: 'inject only while this file of the host is there, root’s and writable by nobody else: the consent of the node’s owner',
  },
  'policy-file': {
    kind: 'text',
    value: 'FILE',
    env: 'XIDRILL_POLICY_FILE',
    help: 'what direct callers may inject (JSON); with --audience and without it: nothing',
  },
  'coordinator-user': {
    kind: 'text',
    value: 'USER',
    env: 'XIDRILL_COORDINATOR_USER',
    help: 'whoever else calls is a direct caller, such as system:serviceaccount:NS:NAME; default: --client-user',
  },
  'needs-lease': {
    kind: 'switch',
    env: 'XIDRILL_NEEDS_LEASE',
    help: 'what goes on ends 1.3 s after the last word of a coordinator that the kill switch is not engaged',
  },
  'kernel-log': {
    kind: 'text',
    value: 'PATH',
    env: 'XIDRILL_KERNEL_LOG',
    default: '/dev/kmsg',
    help: 'the kernel log device',
  },
  'host-root': {
    kind: 'text',
    value: 'DIR',
    env: 'XIDRILL_HOST_ROOT',
    default: '/proc/1/root',
    help: 'the host’s root directory, for its log files',
  },
  dcgmi: {
    kind: 'text',
    value: 'PATH',
    env: 'XIDRILL_DCGMI',
    help: 'the dcgmi to run, instead of the host engine’s own',
  },
  'engine-namespace': {
    kind: 'list',
    value: 'NAMESPACE',
    env: 'XIDRILL_ENGINE_NAMESPACES',
    default: defaultTrust.namespaces,
    help: 'whose pods’ host engines count as the monitoring agent’s; root’s on the host and privileged ones always do',
  },
  'engine-uid': {
    kind: 'list',
    value: 'UID',
    env: 'XIDRILL_ENGINE_UIDS',
    check: (text) => (/^\d{1,10}$/.test(text) ? undefined : 'not a number'),
    help: 'users of the host whose host engines count besides root’s',
  },
  nvml: {
    kind: 'text',
    value: 'PATH',
    env: 'XIDRILL_NVML',
    default: 'libnvidia-ml.so.1',
    help: 'the NVML library',
  },
  ...serverRows('127.0.0.1:9475'),
});

try {
  const clock = createRealClock();
  const bootId = readBootId();
  const hostFiles = createHostFiles({ root: config['host-root'] });
  const engineProcesses = createEngineProcesses();
  const isLocked = lockStateDir(config['state-dir']);
  // Before anything that may fail: an engine that an earlier agent paused must not stay so.
  const held = await openHeld({ stateDir: config['state-dir'], engineProcesses, log });
  const means = () => lookAtMeans({ hostRoot: config['host-root'] });
  const app = createAgent({
    node: config.node,
    means,
    agentVersion: version,
    armed: config.arm,
    needsLease: config['needs-lease'],
    ...directPolicy(),
    ...(config['opt-in-file'] === undefined
      ? {}
      : { optIn: createOptInFile({ root: config['host-root'], path: config['opt-in-file'] }) }),
    architecture: process.arch,
    bootId,
    stateDir: config['state-dir'],
    ...gate({ clock, reviews: () => createInClusterReviews(process.env) }),
    hosts,
    ...tls,
    newId: randomUUID,
    clock,
    log,
    hostFiles,
    systemJournal: createSystemJournal({
      files: hostFiles,
      programs: createHostPrograms({ root: config['host-root'] }),
      clock,
      bootId,
    }),
    held,
    engineProcesses,
    kernelLog: createDeviceKernelLog({ path: config['kernel-log'] }),
    nvml: createForkedNvml({ libraryPath: config.nvml, clock, log, ...bundledChild() }),
    dcgm: createDcgm({
      finder: createProcEngineFinder({
        hostRoot: config['host-root'],
        trust: { namespaces: config['engine-namespace'], uids: config['engine-uid'].map(Number) },
      }),
      dcgmi: createPtyDcgmi({ ...(config.dcgmi === undefined ? {} : { dcgmiPath: config.dcgmi }), log }),
      clock,
      log,
    }),
  });
  // By now the journal has made it, where that was possible.
  if (!isLocked) lockStateDir(config['state-dir']);
  onStop((signal) => {
    log.info({ signal }, 'agent stops');
    void app.close().then(() => process.exit(0));
  });
  const url = listeningUrl(await app.listen(address), app.server.address());
  for (const { means: lacks, because, remedy } of await means())
    log.warn({ lacks, because, remedy }, 'the agent lacks something that it needs on this node');
  log.info({ url, node: config.node, armed: config.arm, version }, 'agent is listening');
} catch (thrown) {
  exitWith(name, thrown);
}

/** Where callers have no names and no file is given, whoever may call may do everything: it is the owner's own machine or secret. */
function directPolicy(): { direct?: DirectPolicy } {
  const { 'policy-file': file, 'coordinator-user': user, 'client-user': clientUser, audience } = config;
  if (file === undefined && audience === undefined) return {};
  if (file !== undefined) readPolicy(file);
  return { direct: createDirectPolicy({ file, coordinator: user ?? clientUser }) };
}

/** A bundle is JavaScript and has the NVML child as a file beside it; sources find theirs by themselves. */
function bundledChild(): { childPath?: string } {
  if (import.meta.url.endsWith('.ts')) return {};
  return { childPath: fileURLToPath(new URL('./nvml-child.mjs', import.meta.url)) };
}
