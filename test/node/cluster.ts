import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { guarded } from '../cluster/controlplane/guard.ts';
import { type ControlPlane, kubeconfig, startControlPlane } from '../cluster/controlplane/start.ts';
import { kubectlOf } from '../cluster/kubectl.ts';
import { until } from '../cluster/processes.ts';
import { dnsObjects } from './dns-objects.ts';
import { layWire, network } from './network.ts';
import { type NodeSpec, type RealNode, startNode } from './node.ts';

/** Of what a cluster is made, and where. */
export type ClusterOptions = {
  /** A folder for everything that it writes; absent before. */
  readonly folder: string;
  /** Where kube-controller-manager, kube-scheduler, kubelet and kube-proxy lie. */
  readonly binaries: string;
  /** The program that enforces NetworkPolicies. */
  readonly kubeRouter: string;
  /** A docker archive of every image that its pods name. */
  readonly images: string;
  /** A cgroup of its own, made in every controller. */
  readonly cgroup: string;
  readonly nodes: readonly NodeSpec[];
  readonly log: (line: string) => void;
};

/** A cluster whose nodes are Ready. */
export type Cluster = {
  readonly plane: ControlPlane;
  readonly nodes: readonly RealNode[];
  stop(): Promise<void>;
};

/** A real control plane with real nodes, in the network, mount and process namespaces of this process. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { folder, binaries, kubeRouter, images, cgroup, nodes, log } = options;
  mkdirSync(folder);
  layWire();
  const client = clientCertificate(folder);
  const tokens = new Map<string, string>();
  const tokenOf = (user: string) => {
    const token = tokens.get(user) ?? randomBytes(24).toString('hex');
    tokens.set(user, token);
    return token;
  };
  const rows = [
    ...nodes.map(
      ({ name }) => `${tokenOf(`system:node:${name}`)},system:node:${name},${name},"system:nodes"`,
    ),
    `${tokenOf('system:kube-proxy')},system:kube-proxy,kube-proxy`,
    // It only reads, and what it may read is not what is tested here.
    `${tokenOf('kube-router')},kube-router,kube-router,"system:masters"`,
  ];
  const plane = await startControlPlane({
    log,
    address: network.gateway,
    port: network.apiServerPort,
    tokens: rows,
    apiserverArgs: [
      '--enable-admission-plugins=NodeRestriction',
      '--kubelet-preferred-address-types=InternalIP',
      `--kubelet-client-certificate=${client.cert}`,
      `--kubelet-client-key=${client.key}`,
    ],
  });
  const stops: (() => Promise<void>)[] = [() => plane.stop()];
  const stop = async () => {
    for (const each of stops.toReversed()) await each();
  };
  try {
    for (const { name, args } of controllers(plane)) {
      const output = openSync(join(folder, `${name}.log`), 'w');
      const child = spawn(...guarded(join(binaries, name), args), { stdio: ['ignore', output, output] });
      closeSync(output);
      stops.push(async () => {
        child.kill('SIGKILL');
      });
    }
    const ca = readFileSync(plane.caFile);
    const users = {
      kubelet: (node: string) => `system:node:${node}`,
      'kube-proxy': () => 'system:kube-proxy',
      'kube-router': () => 'kube-router',
    };
    const started = nodes.map((spec, index) =>
      startNode(spec, index, {
        folder,
        binaries,
        kubeRouter,
        images,
        cgroup,
        clientCa: readFileSync(client.cert, 'utf8'),
        nodes: nodes.length,
        kubeconfigFor: (user, node) => kubeconfig(plane.url, ca, tokenOf(users[user](node))),
      }),
    );
    stops.push(async () => {
      await Promise.all(started.map((node) => node.stop()));
    });
    const kubectl = kubectlOf(plane);
    await until(
      `${nodes.length} nodes are there`,
      async () => {
        const names = (await kubectl(['get', 'nodes', '-o', 'name'])).trim();
        return names !== '' && names.split('\n').length === nodes.length;
      },
      180,
    );
    await kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: dnsObjects }),
    );
    await kubectl(['wait', 'node', '--all', '--for=condition=Ready', '--timeout=120s']);
    return { plane, nodes: started, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the API server shows to kubelets: a certificate that is its own authority. */
function clientCertificate(folder: string): { readonly cert: string; readonly key: string } {
  const [cert, key] = [
    join(folder, 'apiserver-kubelet-client.crt'),
    join(folder, 'apiserver-kubelet-client.key'),
  ];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', '/O=system:masters/CN=kube-apiserver'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { cert, key };
}

/** Each with the rights of its own service accounts, as clusters run them. */
function controllers({ kubeconfigPath, caFile }: ControlPlane) {
  const common = ['--leader-elect=false', '--bind-address=127.0.0.1'];
  return [
    {
      name: 'kube-controller-manager',
      args: [
        ...common,
        `--kubeconfig=${kubeconfigPath}`,
        `--service-account-private-key-file=${join(dirname(kubeconfigPath), 'service-account.key')}`,
        `--root-ca-file=${caFile}`,
        '--use-service-account-credentials=true',
        // Defaults 40 s and 5 s: when a node that says nothing more is NotReady.
        '--node-monitor-grace-period=20s',
      ],
    },
    {
      name: 'kube-scheduler',
      args: [
        ...common,
        `--kubeconfig=${kubeconfigPath}`,
        `--authentication-kubeconfig=${kubeconfigPath}`,
        `--authorization-kubeconfig=${kubeconfigPath}`,
      ],
    },
  ];
}

/** What a test needs of a cluster that another process keeps. */
export type ClusterFile = {
  readonly kubeconfig: string;
  readonly kubectl: string;
  readonly nodes: readonly RealNode[];
};

/** Where tests find it. */
export const clusterVariable = 'XIDRILL_NODE_CLUSTER';

export function writeClusterFile(file: string, { plane, nodes }: Cluster, kubectl: string): void {
  const content: ClusterFile = {
    kubeconfig: plane.kubeconfigPath,
    kubectl,
    nodes: nodes.map(({ name, address, disk }) => ({ name, address, disk })),
  };
  writeFileSync(file, JSON.stringify(content));
}
