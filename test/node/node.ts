import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { guarded } from '../cluster/controlplane/guard.ts';
import { makeCgroup } from './cgroups.ts';
import { network, plugIn } from './network.ts';

/** A node that the cluster is to have. */
export type NodeSpec = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
};

/** A node that runs: a kubelet, a containerd, a kube-proxy and a kube-router in namespaces of their own. */
export type RealNode = {
  readonly name: string;
  readonly address: string;
  /** Its files on this machine: logs, configuration, what was written to its disk. */
  readonly disk: string;
};

type Started = RealNode & { stop(): Promise<void> };

/** What all nodes of a cluster have in common. */
type Around = {
  /** A folder below which every node gets its own. */
  readonly folder: string;
  /** Of kubelet and kube-proxy. */
  readonly binaries: string;
  readonly kubeRouter: string;
  /** A docker archive that each node imports before its kubelet starts. */
  readonly images: string;
  /** The cgroup below which everything of a node lives, made in every controller. */
  readonly cgroup: string;
  readonly kubeconfigFor: (user: 'kubelet' | 'kube-proxy' | 'kube-router', node: string) => string;
  readonly clientCa: string;
  readonly nodes: number;
};

const script = join(import.meta.dirname, 'node.sh');

/**
 * Starts a node, and starts it again with a new boot id whenever its first process ends, until it is stopped: whoever
 * kills that process (`pid` in the node's folder) reboots the node.
 */
export function startNode({ name, labels }: NodeSpec, index: number, around: Around): Started {
  const disk = join(around.folder, name);
  const address = network.nodeOf(index);
  for (const at of ['system', 'cni']) mkdirSync(join(disk, at), { recursive: true });
  // What is written to the node outside of its containers; it cannot lie on the file system that it is laid over.
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=0755', 'none', join(disk, 'system')]);
  for (const at of ['upper', 'work']) mkdirSync(join(disk, 'system', at));
  plugIn(name, index, around.nodes);
  const cgroup = `${around.cgroup}/${name}`;
  makeCgroup(cgroup);
  const write = (file: string, content: string | object) =>
    writeFileSync(join(disk, file), typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  const labelled = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  write('node.sh', readFileSync(script, 'utf8'));
  write(
    'environment',
    [
      `NODE=${name}`,
      `ADDRESS=${address}`,
      `BIN=${around.binaries}`,
      `KUBE_ROUTER=${around.kubeRouter}`,
      `SERVICES=${network.services}`,
      `IMAGES=${around.images}`,
      `LABELS=${labelled.join()}`,
      '',
    ].join('\n'),
  );
  write('cni/10-bridge.conflist', cniConfiguration(index));
  write('containerd.toml', containerdConfiguration);
  write('resolv.conf', '');
  write('kubelet.kubeconfig', around.kubeconfigFor('kubelet', name));
  write('kube-proxy.kubeconfig', around.kubeconfigFor('kube-proxy', name));
  write('kube-router.kubeconfig', around.kubeconfigFor('kube-router', name));
  write('kubelet.json', kubeletConfiguration(address, `/${cgroup}`));
  write('client-ca.crt', around.clientCa);
  // By which the simulated monitoring agent knows that a driver is there.
  if (labels['nvidia.com/gpu.present'] === 'true') write('gpus', '');
  write('kube-proxy.json', kubeProxyConfiguration(name));

  let isStopping = false;
  let running: ChildProcess;
  let ended: Promise<void>;
  const boot = () => {
    write('boot_id', `${randomUUID()}\n`);
    const namespaces = ['--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child=KILL'];
    const [program, args] = guarded('nsenter', [
      `--net=/run/netns/${name}`,
      ...['unshare', ...namespaces, 'sh', script, disk],
    ]);
    // The name in the environment of its processes is how a test finds them.
    const env = { ...process.env, NODE: name };
    running = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env });
    ended = new Promise((resolve) => running.once('exit', () => resolve()));
    void ended.then(() => {
      rmSync(join(disk, 'pid'), { force: true });
      if (!isStopping) boot();
    });
  };
  boot();
  return {
    name,
    address,
    disk,
    async stop() {
      isStopping = true;
      running.kill('SIGKILL');
      await ended;
    },
  };
}

/** The bridge plugin, as on a node without a cloud's own; hostPort by portmap. */
const cniConfiguration = (index: number) => ({
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni0',
      isGateway: true,
      ipMasq: false,
      hairpinMode: true,
      ipam: {
        type: 'host-local',
        dataDir: '/run/cni-addresses',
        ranges: [[{ subnet: network.podsOf(index) }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true }, snat: true },
  ],
});

// Without CAP_SYS_RESOURCE, as in many sandboxes, runc must not lower oom_score_adj.
const containerdConfiguration = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/node/cni"
`;

/** kubelet.config.k8s.io/v1beta1; what is not a default is for a small machine, or makes changes visible sooner. */
const kubeletConfiguration = (address: string, cgroupRoot: string) => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  address,
  readOnlyPort: 0,
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: '/node/client-ca.crt' },
  },
  authorization: { mode: 'Webhook' },
  cgroupDriver: 'cgroupfs',
  cgroupRoot,
  failSwapOn: false,
  containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
  enforceNodeAllocatable: [],
  // The disk is this machine's, however full it is.
  evictionHard: { 'memory.available': '50Mi' },
  imageGCHighThresholdPercent: 100,
  resolvConf: '/node/resolv.conf',
  clusterDNS: [network.dns],
  clusterDomain: 'cluster.local',
  volumePluginDir: '/var/lib/kubelet/plugins-exec',
  // Default 1m: when a Secret that has changed appears in its pods.
  syncFrequency: '2s',
});

const kubeProxyConfiguration = (name: string) => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  hostnameOverride: name,
  clientConnection: { kubeconfig: '/node/kube-proxy.kubeconfig' },
  mode: 'iptables',
  clusterCIDR: network.pods,
  // Those are settings of the whole machine.
  conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
});
