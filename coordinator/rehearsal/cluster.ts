import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import { createHttpAgents } from '../agents/http.ts';
import { type Coordinator, createCoordinator } from '../app.ts';
import { findNmaVersion, type NmaVersion } from '../catalogue/nma/versions.ts';
import type { NodeRepairConfig } from '../catalogue/repair/eks.ts';
import { createClusterClient } from '../cluster/client.ts';
import type { Cluster, OwnerReference } from '../cluster/port.ts';
import type { NodeGroups } from '../eks/port.ts';
import { customResourceDefinitions } from '../store/crds.ts';
import { createStaticDirectory } from '../view/agent-directory.ts';
import { isAutoNode, poolLabel } from '../view/node.ts';
import { createView } from '../view/view.ts';
import { type ApiServer, startApiServer } from './apiserver/server.ts';
import { type RestartSeconds, startDaemonSets } from './daemonsets.ts';
import { type Karpenter, startKarpenter } from './karpenter/actor.ts';
import {
  type KarpenterRow,
  karpenterDefinitions,
  karpenterDeployment,
  madeFrom,
  nodeClaimObject,
  nodePoolObject,
} from './karpenter/objects.ts';
import type { Credentials } from './nma/credentials.ts';
import { type RehearsalNode, startNode } from './node.ts';
import { startNodeGroups } from './node-group/actor.ts';
import {
  daemonSetObject,
  dcgmServerLabels,
  karpenterObject,
  type NodeRow,
  nmaImage,
  nmaLabels,
  nmaName,
  nmaPodName,
  nodeObject,
  nodeStatus,
  podObject,
  podStatus,
  roleAnnotation,
  roleEnvironment,
  roleVolume,
  systemNamespace,
} from './objects.ts';

/** Nodes with real agents and a real coordinator on loopback, around some API server. */
export type Rehearsal = {
  /** Of the coordinator's REST interface. */
  readonly url: string;
  readonly cluster: Cluster;
  readonly nodes: ReadonlyMap<string, RehearsalNode>;
  node(name: string): RehearsalNode;
  /** What a person does to the add-on: another version, with or without a role; all its pods start again. */
  installNma(addon: {
    readonly version: string;
    readonly credentials: Credentials;
    readonly lastReportMsAgo?: number;
  }): Promise<void>;
  /** Ends what repairs nodes, as when its Deployment is gone without a trace; the coordinator does not know. */
  stopRepairs(): Promise<void>;
  close(): Promise<void>;
};

/** An embedded cluster: a rehearsal with a stand-in API server of its own. */
export type RehearsalCluster = Rehearsal & { readonly apiServer: ApiServer };

/** The API server of a rehearsal: our definitions and the namespace are there, and no nodes. */
export type RehearsalServer = {
  /** With every right. */
  readonly cluster: Cluster;
  /** Gets each line that a container writes. */
  readonly appendPodLog: (namespace: string, pod: string, line: string) => void;
};

/** What an embedded cluster is made of; everything that varies comes in as an argument. */
export type RehearsalOptions = {
  /** Its nodes. */
  readonly rows: readonly NodeRow[];
  /** Of all its parts, the API server's time stamps included. */
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  /** How long the add-on's pods take to come back when they are deleted; absent: some seconds. */
  readonly restartSeconds?: RestartSeconds;
  /** Who makes and repairs the nodes with label karpenter.sh/nodepool; absent: nobody, and a Deployment with its gate off. */
  readonly karpenter?: KarpenterRow;
  /** Managed node groups that repair their nodes (label eks.amazonaws.com/nodegroup), by their names; absent: none does. */
  readonly nodeGroups?: Readonly<Record<string, NodeRepairConfig>>;
  /** Whom the coordinator asks for the settings of node groups; absent: nobody, and they are unknown to it. */
  readonly eks?: NodeGroups;
  /** 0: any free ones. Agents get consecutive ports from theirs on. */
  readonly coordinatorPort: number;
  readonly firstAgentPort: number;
  /** What goes on on a node ends 1.3 s after the last word of a coordinator, in real time; absent: it needs none. */
  readonly needsLease?: boolean;
  /** Of the stand-in API server; absent: any free one. */
  readonly apiServerPort?: number;
  readonly log: Log;
};

/** Where the coordinator's own objects are. */
export const namespace = 'xidrill';

/** Starts an API server and a rehearsal on it. */
export async function startRehearsalCluster(options: RehearsalOptions): Promise<RehearsalCluster> {
  const { clock, log } = options;
  const { apiServerPort: port = 0 } = options;
  const apiServer = await startApiServer({ clock, log, port });
  const cluster = createClusterClient({
    kubeconfig: { url: apiServer.url },
    userAgent: 'xidrill-rehearsal',
    fieldManager: 'xidrill-rehearsal',
    log,
  });
  try {
    await cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    });
    const ofKarpenter = options.karpenter === undefined ? [] : karpenterDefinitions();
    for (const definition of [...customResourceDefinitions(), ...ofKarpenter])
      await cluster.create('customresourcedefinitions', definition);
    const rehearsal = await startRehearsal({ cluster, appendPodLog: apiServer.appendPodLog }, options);
    return {
      ...rehearsal,
      apiServer,
      async close() {
        await rehearsal.close();
        await apiServer.close();
      },
    };
  } catch (thrown) {
    await apiServer.close();
    throw thrown;
  }
}

/** Makes the rows' nodes on an API server, and starts agents and a coordinator around it. */
export async function startRehearsal(
  { cluster, appendPodLog }: RehearsalServer,
  options: RehearsalOptions,
): Promise<Rehearsal> {
  const { rows, clock, log } = options;
  const stateDir = await mkdtemp(join(tmpdir(), 'xidrill-rehearsal-'));
  const stop = new AbortController();
  const nodes = new Map<string, RehearsalNode>();
  let coordinator: Coordinator | undefined;
  let running: Promise<void> = Promise.resolve();

  let karpenter: Karpenter | undefined;
  let nodeGroups: ReturnType<typeof startNodeGroups> | undefined;
  let daemonSets: ReturnType<typeof startDaemonSets> | undefined;

  async function stopRepairs(): Promise<void> {
    await karpenter?.stop();
    await nodeGroups?.stop();
  }

  async function close(): Promise<void> {
    stop.abort(new Error('the rehearsal ends'));
    await stopRepairs();
    await daemonSets?.stop();
    await running;
    await coordinator?.app.close();
    await Promise.all([...nodes.values()].map((node) => node.close()));
    await rm(stateDir, { recursive: true, force: true });
  }

  try {
    for (const row of rows) await createNode(cluster, row, options);
    await cluster.create(
      'deployments',
      options.karpenter === undefined
        ? karpenterObject()
        : karpenterDeployment(options.karpenter, systemNamespace),
    );
    for (const [index, row] of rows.entries()) {
      nodes.set(
        row.name,
        await startNode({
          row,
          cluster,
          clock,
          random: options.random,
          newId: options.newId,
          stateDir,
          port: options.firstAgentPort === 0 ? 0 : options.firstAgentPort + index,
          armed: true,
          needsLease: options.needsLease ?? false,
          podLog: (pod, line) => appendPodLog(systemNamespace, pod, line),
          log,
        }),
      );
    }
    coordinator = await createCoordinator({
      cluster,
      view: createView({ cluster, namespace, clock, random: options.random, log }),
      agents: createHttpAgents({
        directory: createStaticDirectory(new Map([...nodes].map(([name, { url }]) => [name, url]))),
      }),
      namespace,
      identity: 'rehearsal',
      // One coordinator, and a clock that may run a thousand times too fast for a lease of seconds.
      leaseSeconds: 86_400,
      restore: true,
      repairSettings: {
        ...(options.karpenter?.policies === undefined
          ? {}
          : { karpenterPolicies: options.karpenter.policies }),
        ...(options.eks === undefined ? {} : { nodeGroups: options.eks }),
      },
      clock,
      random: options.random,
      newName: () => `drill-${options.newId().slice(0, 8)}`,
      log,
    });
    running = coordinator.run(stop.signal);
    running.catch((thrown) => log.error({ err: thrown }, 'the coordinator of the rehearsal stopped'));
    const url = await coordinator.app.listen({ host: '127.0.0.1', port: options.coordinatorPort });

    daemonSets = startDaemonSets({ ...options, cluster, nodes });
    const installNma = createAddon({ cluster, nodes, clock });
    karpenter =
      options.karpenter &&
      startKarpenter({
        ...options,
        cluster,
        row: options.karpenter,
        // Its agent dies with the machine.
        onGone: async (name) => nodes.get(name)?.close(),
      });
    nodeGroups =
      options.nodeGroups &&
      startNodeGroups({
        ...options,
        cluster,
        groups: options.nodeGroups,
        onGone: async (name) => nodes.get(name)?.close(),
        onReboot: async (name) => nodes.get(name)?.reboot(),
      });
    return {
      url,
      cluster,
      nodes,
      node(name) {
        const found = nodes.get(name);
        if (found === undefined) throw new RangeError(`the rehearsal has no node ${name}`);
        return found;
      },
      installNma,
      stopRepairs,
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** A node of a pool comes from a NodeClaim, where a Karpenter is there to make one. */
async function createNode(
  cluster: Cluster,
  row: NodeRow,
  { clock, karpenter }: RehearsalOptions,
): Promise<void> {
  const node = nodeObject(row, clock.now());
  const pool = row.labels[poolLabel];
  if (karpenter === undefined || pool === undefined) {
    await cluster.create('nodes', node);
    return;
  }
  if ((await cluster.read('nodepools', { name: pool })) === undefined)
    await cluster.create('nodepools', nodePoolObject(pool, karpenter.budgets));
  const claim = await cluster.create('nodeclaims', nodeClaimObject(`${pool}-${row.name}`, pool));
  await cluster.create('nodes', madeFrom(node, claim));
  const status = { nodeName: row.name };
  await cluster.patch('nodeclaims', { name: claim.metadata.name }, { status }, 'status');
}

function createAddon(deps: {
  cluster: Cluster;
  nodes: ReadonlyMap<string, RehearsalNode>;
  clock: Clock;
}): Rehearsal['installNma'] {
  const { cluster, nodes, clock } = deps;

  /** DCGM servers run on GPU nodes; in versions with the arm64 gate their affinity is amd64 only (nma.md §8.3). */
  async function placeDcgmServer(
    row: NodeRow,
    version: NmaVersion,
    image: string,
    owner: OwnerReference,
  ): Promise<string | undefined> {
    const name = `dcgm-server-${row.name}`;
    await cluster.remove('pods', { namespace: systemNamespace, name });
    if (row.gpu === undefined || (row.arch === 'arm64' && version.arm64Gate)) return undefined;
    return replacePod(
      cluster,
      podObject(row, name, dcgmServerLabels, { image, serviceAccountName: 'default', owner }),
      clock.now(),
    );
  }

  return async ({ version, credentials, lastReportMsAgo }) => {
    const image = nmaImage(version);
    const hasRole = credentials === 'irsa';
    const serviceAccount = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {
        name: nmaName,
        namespace: systemNamespace,
        annotations: hasRole ? { [roleAnnotation]: roleEnvironment.AWS_ROLE_ARN } : {},
      },
    };
    await replace(cluster, 'serviceaccounts', serviceAccount);
    const nmaOwner = await replace(
      cluster,
      'daemonsets',
      daemonSetObject(nmaName, nmaLabels, { name: nmaName, image }, nmaName),
    );
    const dcgmServerOwner = await replace(
      cluster,
      'daemonsets',
      daemonSetObject('dcgm-server', dcgmServerLabels, { name: 'dcgm-server', image }, 'default'),
    );
    const found = findNmaVersion(version).row;
    for (const node of nodes.values()) {
      const { row } = node;
      if (lastReportMsAgo !== undefined) {
        const status = nodeStatus(row, clock.now(), { version: found, at: clock.now() - lastReportMsAgo });
        await cluster.patch('nodes', { name: row.name }, { status }, 'status');
      }
      // EKS Auto Mode has both on the host, the engine at localhost:5555, and no pod of the add-on (F12 of field-cases.md).
      if (isAutoNode({ metadata: row })) {
        const enginePodUid = row.gpu === undefined ? undefined : null;
        await node.startNma({ version, credentials: 'healthy', enginePodUid });
        continue;
      }
      const pod = podObject(row, nmaPodName(row), nmaLabels, {
        image,
        serviceAccountName: nmaName,
        owner: nmaOwner,
        ...(hasRole ? { environment: roleEnvironment, volumes: [roleVolume] } : {}),
      });
      const podUid = await replacePod(cluster, pod, clock.now());
      const enginePodUid = await placeDcgmServer(row, found, image, dcgmServerOwner);
      await node.startNma({ version, credentials, enginePodUid, podUid });
    }
  };
}

async function replace(
  cluster: Cluster,
  resource: 'serviceaccounts' | 'daemonsets',
  object: ReturnType<typeof daemonSetObject>,
): Promise<OwnerReference> {
  const { name, namespace: home = systemNamespace } = object.metadata;
  await cluster.remove(resource, { name, namespace: home });
  const { apiVersion, kind, metadata } = await cluster.create(resource, object);
  return { apiVersion, kind, name, uid: metadata.uid ?? '', controller: true };
}

async function replacePod(cluster: Cluster, pod: ReturnType<typeof podObject>, now: number): Promise<string> {
  const key = { namespace: systemNamespace, name: pod.metadata.name };
  await cluster.remove('pods', key);
  await cluster.create('pods', pod);
  const placed = await cluster.patch('pods', key, { status: podStatus(key.name, now) }, 'status');
  return placed.metadata.uid ?? '';
}
