import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { createRealClock } from '../shared/clock.ts';
import type { OptionTable } from '../shared/config.ts';
import { Refusal } from '../shared/errors.ts';
import { exitWith, listeningUrl, onStop, pairFaultOf, serverProgram, serverRows } from '../shared/program.ts';
import { version } from '../shared/version.ts';
import { createHttpAgents } from './agents/http.ts';
import { createCoordinator } from './app.ts';
import { parsePolicies } from './catalogue/repair/given-policies.ts';
import { createClusterClient } from './cluster/client.ts';
import { createClusterReviews } from './cluster/reviews.ts';
import { createEksNodeGroups } from './eks/sdk.ts';
import { parseAge } from './run/retention.ts';
import {
  checkAgentEntry,
  createPodDirectory,
  createStaticDirectory,
  firstOf,
  parseAgentEntry,
} from './view/agent-directory.ts';
import { createView } from './view/view.ts';

const name = 'xidrill-coordinator';
const rows = {
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
  agent: {
    kind: 'list',
    value: 'NODE=URL',
    env: 'XIDRILL_AGENTS',
    check: checkAgentEntry,
    help: 'where a node’s agent is; others are found as pods',
  },
  'agent-token-file': {
    kind: 'text',
    value: 'FILE',
    env: 'XIDRILL_AGENT_TOKEN_FILE',
    help: 'the token that is presented to agents',
  },
  'agent-ca-file': {
    kind: 'text',
    value: 'FILE',
    env: 'XIDRILL_AGENT_CA_FILE',
    help: 'agents are called over TLS, and only certificates of this PEM authority are believed',
  },
  'agent-server-name': {
    kind: 'text',
    value: 'NAME',
    env: 'XIDRILL_AGENT_SERVER_NAME',
    default: 'xidrill-agent',
    help: 'the name in the agents’ certificate, whatever address they have',
  },
  'agent-client-cert-file': {
    kind: 'text',
    value: 'FILE',
    env: 'XIDRILL_AGENT_CLIENT_CERT_FILE',
    help: 'the PEM certificate that is shown to agents that ask for one; read again when it changes',
  },
  'agent-client-key-file': {
    kind: 'text',
    value: 'FILE',
    env: 'XIDRILL_AGENT_CLIENT_KEY_FILE',
    help: 'its PEM private key',
  },
  'lease-seconds': {
    kind: 'number',
    value: 'N',
    env: 'XIDRILL_LEASE_SECONDS',
    default: 15,
    check: (text) => (Number(text) >= 1 && Number(text) <= 300 ? undefined : 'from 1 to 300'),
    help: 'how long a coordinator that died keeps others from going on',
  },
  'keep-ended': {
    kind: 'text',
    value: 'AGE',
    env: 'XIDRILL_KEEP_ENDED',
    default: '30d',
    check: checkAge,
    help: 'an ended experiment is removed with its injections after this time, such as 36h or 30d',
  },
  'keep-ended-count': {
    kind: 'number',
    value: 'N',
    env: 'XIDRILL_KEEP_ENDED_COUNT',
    default: 500,
    check: (text) =>
      Number.isInteger(Number(text)) && Number(text) >= 1 && Number(text) <= 100_000
        ? undefined
        : 'a whole number from 1 to 100000',
    help: 'of the ended experiments the newest N are kept; older ones are removed before their time',
  },
  restore: {
    kind: 'switch',
    env: 'XIDRILL_RESTORE',
    help: 'nodes may be restored: pods of NMA and of its host engine are deleted, and their DaemonSets bring them back',
  },
  'karpenter-policies-file': {
    kind: 'text',
    value: 'FILE',
    env: 'XIDRILL_KARPENTER_POLICIES_FILE',
    help: 'JSON list of what your Karpenter repairs and after which wait; absent: the policies of its AWS provider',
  },
  'eks-cluster': {
    kind: 'text',
    value: 'NAME',
    env: 'XIDRILL_EKS_CLUSTER',
    help: 'EKS is asked for the repair settings of managed node groups of this cluster (eks:DescribeNodegroup); absent: it is not',
  },
  'eks-region': {
    kind: 'text',
    value: 'REGION',
    env: 'AWS_REGION',
    help: 'the region of --eks-cluster',
  },
  ...serverRows('127.0.0.1:8475'),
} as const satisfies OptionTable;

const { config, log, address, gate, hosts, tls } = serverProgram(name, rows, (given) => {
  const { 'agent-client-cert-file': certFile, 'agent-client-key-file': keyFile } = given;
  const isSecure = given['agent-ca-file'] !== undefined;
  const plain = given.agent.find((entry) => parseAgentEntry(entry)?.[1].startsWith('http:'));
  if (isSecure && plain !== undefined)
    return `--agent: ${plain} would be shown the token in clear; with --agent-ca-file agents are called by https`;
  if (given['eks-cluster'] !== undefined && given['eks-region'] === undefined)
    return '--eks-cluster: give the region with --eks-region or AWS_REGION';
  if (certFile !== undefined && !isSecure)
    return '--agent-client-cert-file: give it with --agent-ca-file; only TLS has client certificates';
  return pairFaultOf('agent-client', certFile, keyFile);
});

/** The `check` of --keep-ended. */
function checkAge(text: string): string | undefined {
  try {
    return parseAge(text, '--keep-ended') >= 1000 ? undefined : 'at least 1s';
  } catch {
    return 'not a duration such as 36h or 30d';
  }
}

try {
  const source = config.kubeconfig === undefined ? { inCluster: true as const } : { path: config.kubeconfig };
  const userAgent = `${name}/${version}`;
  const clock = createRealClock();
  const cluster = createClusterClient({
    kubeconfig: source,
    userAgent,
    fieldManager: name,
    log,
  });
  const known = new Map(
    config.agent.flatMap((entry) => [parseAgentEntry(entry)].filter((pair) => pair !== undefined)),
  );
  const { 'agent-token-file': tokenFile, 'agent-ca-file': caFile, 'agent-server-name': serverName } = config;
  const { 'agent-client-cert-file': certFile, 'agent-client-key-file': keyFile } = config;
  const client = certFile === undefined || keyFile === undefined ? {} : { client: { certFile, keyFile } };
  const isSecure = caFile !== undefined;
  const { 'eks-cluster': eksCluster, 'eks-region': region } = config;
  const policiesFile = config['karpenter-policies-file'];
  const policies = policiesFile === undefined ? undefined : parsePolicies(readFileSync(policiesFile, 'utf8'));
  const view = createView({ cluster, namespace: config.namespace, clock, random: Math.random, log });
  const notRenewed = (because: string) =>
    log.error({ because }, 'the new files for agents are not used; those before them go on');
  const coordinator = await createCoordinator({
    cluster,
    view,
    agents: createHttpAgents({
      directory: firstOf(createStaticDirectory(known), createPodDirectory(view, isSecure ? 'https' : 'http')),
      ...(tokenFile === undefined ? {} : { tokenFile }),
      ...(isSecure ? { tls: { caFile, serverName, ...client, onProblem: notRenewed } } : {}),
    }),
    namespace: config.namespace,
    identity: `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`,
    leaseSeconds: config['lease-seconds'],
    restore: config.restore,
    retention: {
      keepMs: parseAge(config['keep-ended'], '--keep-ended'),
      keepCount: config['keep-ended-count'],
    },
    repairSettings: {
      ...(policies === undefined ? {} : { karpenterPolicies: policies }),
      ...(eksCluster === undefined || region === undefined
        ? {}
        : { nodeGroups: createEksNodeGroups({ cluster: eksCluster, region }) }),
    },
    clock,
    random: Math.random,
    newName: () => `drill-${randomBytes(4).toString('hex')}`,
    ...gate({ clock, reviews: () => createClusterReviews({ source, userAgent }) }),
    hosts,
    ...tls,
    log,
  });
  const stop = new AbortController();
  onStop((signal) => {
    log.info({ signal }, 'coordinator stops');
    stop.abort(new Refusal('shutting_down', 'the coordinator is shutting down'));
  });
  const running = coordinator.run(stop.signal);
  running.catch(() => undefined);
  const url = listeningUrl(await coordinator.app.listen(address), coordinator.app.server.address());
  log.info({ url, namespace: config.namespace, version }, 'coordinator is listening');
  await running;
  await coordinator.app.close();
  process.exit(0);
} catch (thrown) {
  exitWith(name, thrown);
}
