import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createRealClock } from '../shared/clock.ts';
import { checkListenAddress, isLoopback, parseListenAddress, readConfig } from '../shared/config.ts';
import { messageFromUnknown } from '../shared/errors.ts';
import { createLog, logLevels } from '../shared/log.ts';
import { version } from '../shared/version.ts';
import { createAgent } from './app.ts';
import { createDcgm } from './dcgm/client.ts';
import { createPtyDcgmi } from './dcgm/pty.ts';
import { createProcEngineFinder } from './engines/proc.ts';
import { readBootId } from './inventory/inventory.ts';
import { createDeviceKernelLog } from './kernel-log/device.ts';
import { createForkedNvml } from './nvml/forked.ts';

const outcome = readConfig(
  'xidrill-agent',
  {
    node: {
      kind: 'text',
      value: 'NAME',
      env: 'NODE_NAME',
      default: hostname(),
      help: 'name of this node in the cluster',
    },
    listen: {
      kind: 'text',
      value: 'HOST:PORT',
      env: 'XIDRILL_LISTEN',
      default: '127.0.0.1:9475',
      check: checkListenAddress,
      help: 'where to serve; beyond loopback only with --token-file',
    },
    'state-dir': {
      kind: 'text',
      value: 'DIR',
      env: 'XIDRILL_STATE_DIR',
      required: true,
      help: 'where the journal of orders is kept',
    },
    arm: { kind: 'switch', env: 'XIDRILL_ARM', help: 'inject; without it every injection is refused' },
    'token-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_TOKEN_FILE',
      help: 'callers must present this file’s content as bearer token',
    },
    'kernel-log': {
      kind: 'text',
      value: 'PATH',
      env: 'XIDRILL_KERNEL_LOG',
      default: '/dev/kmsg',
      help: 'the kernel log device',
    },
    dcgmi: {
      kind: 'text',
      value: 'PATH',
      env: 'XIDRILL_DCGMI',
      help: 'the dcgmi to run, instead of the host engine’s own',
    },
    nvml: {
      kind: 'text',
      value: 'PATH',
      env: 'XIDRILL_NVML',
      default: 'libnvidia-ml.so.1',
      help: 'the NVML library',
    },
    'log-level': {
      kind: 'text',
      value: logLevels.join('|'),
      env: 'XIDRILL_LOG_LEVEL',
      default: 'info',
      check: (text) =>
        (logLevels as readonly string[]).includes(text) ? undefined : `one of ${logLevels.join(', ')}`,
      help: 'how much to log, as JSON lines on standard error',
    },
  },
  process.argv.slice(2),
  process.env,
);

if (!('config' in outcome)) {
  process.stderr.write(
    'faults' in outcome ? `${outcome.faults.join('\n')}\n\n${outcome.help}` : outcome.help,
  );
  process.exit('faults' in outcome ? 2 : 0);
}
const { config } = outcome;
const log = createLog({ name: 'xidrill-agent', level: config['log-level'] as (typeof logLevels)[number] });
const address = parseListenAddress(config.listen);
const tokenFile = config['token-file'];
if (address !== undefined && !isLoopback(address.host) && tokenFile === undefined) {
  process.stderr.write(
    `--listen: ${config.listen} is reachable from other machines; give --token-file, or listen on 127.0.0.1\n`,
  );
  process.exit(2);
}

try {
  const clock = createRealClock();
  const app = createAgent({
    node: config.node,
    agentVersion: version,
    armed: config.arm,
    architecture: process.arch,
    bootId: readBootId(),
    stateDir: config['state-dir'],
    ...(tokenFile === undefined ? {} : { tokenFile }),
    newId: randomUUID,
    clock,
    log,
    kernelLog: createDeviceKernelLog({ path: config['kernel-log'] }),
    nvml: createForkedNvml({ libraryPath: config.nvml, clock, log, ...bundledChild() }),
    dcgm: createDcgm({
      finder: createProcEngineFinder(),
      dcgmi: createPtyDcgmi({ ...(config.dcgmi === undefined ? {} : { dcgmiPath: config.dcgmi }), log }),
      clock,
      log,
    }),
  });
  const url = await app.listen({ host: address?.host ?? '127.0.0.1', port: address?.port ?? 9475 });
  log.info({ url, node: config.node, armed: config.arm, version }, 'agent serves');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'agent stops');
      void app.close().then(() => process.exit(0));
    });
  }
} catch (thrown) {
  process.stderr.write(`xidrill-agent: ${messageFromUnknown(thrown)}\n`);
  process.exit(4);
}

/** A bundle is JavaScript and has the NVML child as a file beside it; sources find theirs by themselves. */
function bundledChild(): { childPath?: string } {
  if (import.meta.url.endsWith('.ts')) return {};
  return { childPath: fileURLToPath(new URL('./nvml-child.mjs', import.meta.url)) };
}
