import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createRealClock } from '../shared/clock.ts';
import { checkListenAddress, isLoopback, parseListenAddress, readConfig } from '../shared/config.ts';
import { messageFromUnknown, Refusal } from '../shared/errors.ts';
import { createLog, logLevels } from '../shared/log.ts';
import { version } from '../shared/version.ts';
import {
  checkAgentEntry,
  createPodDirectory,
  createStaticDirectory,
  firstOf,
  parseAgentEntry,
} from './agents/directory.ts';
import { createHttpAgents } from './agents/http.ts';
import { createCoordinator } from './app.ts';
import { createClusterClient } from './cluster/client.ts';

const outcome = readConfig(
  'xidrill-coordinator',
  {
    kubeconfig: {
      kind: 'text',
      value: 'FILE',
      env: 'KUBECONFIG',
      help: 'how to reach the API server; absent: from inside the cluster',
    },
    namespace: {
      kind: 'text',
      value: 'NS',
      env: 'XIDRILL_NAMESPACE',
      default: 'xidrill',
      help: 'where experiments live',
    },
    listen: {
      kind: 'text',
      value: 'HOST:PORT',
      env: 'XIDRILL_LISTEN',
      default: '127.0.0.1:8475',
      check: checkListenAddress,
      help: 'where to serve REST; beyond loopback only with --token-file',
    },
    agent: {
      kind: 'list',
      value: 'NODE=URL',
      env: 'XIDRILL_AGENTS',
      check: checkAgentEntry,
      help: 'where a node’s agent is; others are found as pods',
    },
    'token-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_TOKEN_FILE',
      help: 'callers must present this file’s content as bearer token',
    },
    'agent-token-file': {
      kind: 'text',
      value: 'FILE',
      env: 'XIDRILL_AGENT_TOKEN_FILE',
      help: 'the token that is presented to agents',
    },
    'lease-seconds': {
      kind: 'number',
      value: 'N',
      env: 'XIDRILL_LEASE_SECONDS',
      default: 15,
      check: (text) => (Number(text) >= 1 && Number(text) <= 300 ? undefined : 'from 1 to 300'),
      help: 'how long a coordinator that died keeps others from going on',
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
const log = createLog({
  name: 'xidrill-coordinator',
  level: config['log-level'] as (typeof logLevels)[number],
});
const address = parseListenAddress(config.listen);
const tokenFile = config['token-file'];
if (address !== undefined && !isLoopback(address.host) && tokenFile === undefined) {
  process.stderr.write(
    `--listen: ${config.listen} is reachable from other machines; give --token-file, or listen on 127.0.0.1\n`,
  );
  process.exit(2);
}

try {
  const cluster = createClusterClient({
    kubeconfig: config.kubeconfig === undefined ? { inCluster: true } : { path: config.kubeconfig },
    userAgent: `xidrill-coordinator/${version}`,
    fieldManager: 'xidrill-coordinator',
    log,
  });
  const known = new Map(
    config.agent.flatMap((entry) => [parseAgentEntry(entry)].filter((pair) => pair !== undefined)),
  );
  const agentTokenFile = config['agent-token-file'];
  const coordinator = await createCoordinator({
    cluster,
    agents: createHttpAgents({
      directory: firstOf(createStaticDirectory(known), createPodDirectory(cluster)),
      ...(agentTokenFile === undefined ? {} : { tokenFile: agentTokenFile }),
    }),
    namespace: config.namespace,
    identity: `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`,
    leaseSeconds: config['lease-seconds'],
    clock: createRealClock(),
    random: Math.random,
    newName: () => `drill-${randomBytes(4).toString('hex')}`,
    ...(tokenFile === undefined ? {} : { tokenFile }),
    log,
  });
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'coordinator stops');
      stop.abort(new Refusal('shutting_down', 'the coordinator is shutting down'));
    });
  }
  const running = coordinator.run(stop.signal);
  running.catch(() => undefined);
  await coordinator.app.listen({ host: address?.host ?? '127.0.0.1', port: address?.port ?? 8475 });
  log.info({ listen: config.listen, namespace: config.namespace, version }, 'coordinator serves');
  await running;
  await coordinator.app.close();
  process.exit(0);
} catch (thrown) {
  const remedy =
    thrown instanceof Refusal && thrown.details.remedy !== undefined ? `\n  ${thrown.details.remedy}` : '';
  process.stderr.write(`xidrill-coordinator: ${messageFromUnknown(thrown)}${remedy}\n`);
  process.exit(4);
}
