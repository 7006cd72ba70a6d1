import { firstWith } from '../nma/versions.ts';
import type { NotOfferedRow } from '../row.ts';
import { healthSource, nmaHealthSource, nmaSource } from './vocabulary.ts';

const networking = nmaSource('monitors/networking/monitor.go');
const kernel = nmaSource('monitors/kernel/monitor.go');
const storage = nmaSource('monitors/storage/monitor.go');
const runtime = nmaSource('monitors/runtime/monitor.go');
const notOnGpus = 'dcgmi injects on GPUs only, and this belongs to another kind of entity';

/** What people ask for, or what the agent shows, and why no fault makes it. Reasons are spelled as the agent spells them. */
export const notOfferedFaults: readonly NotOfferedRow[] = [
  // GPUs
  {
    name: 'device-count',
    title: 'Fewer or more GPUs than device files',
    reaction: `AcceleratedHardwareReady=False, NvidiaDeviceCountMismatch (an event before ${firstWith((row) => row.deviceCountSeverity === 'fatal')})`,
    because:
      'it takes a file such as /dev/nvidia99 in the node’s /dev, which device plugins and container runtimes pick up; the agent writes into no device directory',
    instead: 'xid with Xid 79, the fault behind a missing GPU',
    sources: [nmaSource('monitors/nvidia/dcgm/dcgm_devices.go')],
  },
  {
    name: 'engine-kill',
    title: 'The host engine’s process is killed',
    reaction:
      'AcceleratedHardwareReady=False, DCGMError where nothing starts the engine again within a minute',
    because: `since ${firstWith((row) => row.engineImage === 'agent')} the kubelet restarts it within the grace time, so that nothing shows, and before that nothing brings it back but a new pod`,
    instead: 'engine-loss, which pauses it and lets it go on',
    sources: [nmaSource('monitors/nvidia/dcgm/dcgm_reconcile.go')],
  },
  {
    name: 'dcgm-diagnostic',
    title: 'DCGM’s own diagnostic fails',
    reaction: 'AcceleratedHardwareReady=False, DCGMDiagnosticFailure',
    because:
      'the agent runs diagnostics only with DCGM_DIAG_LEVEL set, and a failing test needs a broken node',
    instead: 'xid with Xid 95 or health-faulty-memory',
    sources: [nmaSource('monitors/nvidia/dcgm/dcgm_client.go')],
  },
  {
    name: 'watched-field-status',
    title: 'A watched DCGM field cannot be read (fields 112, 856, 857)',
    reaction: 'an event, DCGMFieldError112, DCGMFieldError856 or DCGMFieldError857',
    because: 'the agent looks at the status of a sample, and an injected sample’s status is always OK',
    instead: 'fabric-manager or fabric-health, the watched fields whose value counts',
    sources: [nmaSource('monitors/nvidia/dcgm/dcgm_watchfield.go')],
  },
  {
    name: 'nvlink-down',
    title: 'An NVLink is down',
    reaction: 'AcceleratedHardwareReady=False, DCGMHealthCode14',
    because: 'link states are read from the driver; dcgmi has no way to write one',
    instead: 'health-nvlink-critical or nvlink-error',
    sources: [healthSource, nmaHealthSource],
  },
  {
    name: 'nvswitch-error',
    title: 'An NVSwitch error through DCGM (fields 856, 857 of a switch)',
    reaction: 'AcceleratedHardwareReady=False, DCGMHealthCode15 (fatal), or an event, DCGMHealthCode16',
    because: notOnGpus,
    instead: 'sxid writes the lines of the switch’s driver; no version of the monitoring agent reads them',
    sources: [healthSource],
  },
  {
    name: 'cpu-and-network-adapter-health',
    title: 'Health of CPUs and ConnectX adapters',
    reaction: 'AcceleratedHardwareReady=False, DCGMHealthCode36 or DCGMHealthCode33',
    because: notOnGpus,
    instead: 'fabric-health, which ends in code 33 on a GPU',
    sources: [healthSource],
  },
  {
    name: 'imex',
    title: 'The IMEX domain is not healthy (fields 1502, 1503)',
    reaction: 'nothing: the agent drops DCGMHealthCode122',
    because:
      'no version of the monitoring agent reacts; dcgm-field writes it for other readers of the engine',
    sources: [healthSource, nmaHealthSource],
  },
  // Network
  {
    name: 'interface-down',
    title: 'A network interface is down',
    reaction: 'NetworkingReady=False, InterfaceNotUp or InterfaceNotRunning',
    because: 'it takes a change to the node’s network, or a new interface on it',
    instead: 'ipamd-not-ready, which turns the same condition False',
    sources: [networking],
  },
  {
    name: 'loopback-missing',
    title: 'The loopback interface is missing',
    reaction: 'NetworkingReady=False, MissingLoopbackInterface',
    because: 'a node without its loopback interface loses its health checks and host engine connections',
    instead: 'ipamd-not-ready',
    sources: [networking],
  },
  {
    name: 'ipamd-process-gone',
    title: 'The VPC CNI’s process is gone',
    reaction: 'NetworkingReady=False, IPAMDNotRunning',
    because: 'killing it takes address assignment from every new pod of the node for 5 to 15 min',
    instead: 'ipamd-not-ready',
    sources: [networking],
  },
  {
    name: 'ip-forwarding-off',
    title: 'IP forwarding is switched off',
    reaction: 'an event, NetworkSysctl',
    because: 'net.ipv4.ip_forward = 0 cuts the pods of the node off',
    instead: 'ipamd-no-ips',
    sources: [networking],
  },
  {
    name: 'iptables-rules',
    title: 'A rejecting iptables rule, or one that takes the kubelet’s port',
    reaction: 'an event, UnexpectedRejectRule or PortConflict',
    because: 'the agent changes no packet filter: a rule that stays after a crash can cut traffic',
    instead: 'ipamd-no-ips',
    sources: [networking],
  },
  {
    name: 'pod-routes',
    title: 'Rules and routes of pods are missing, or addresses do not agree',
    reaction:
      'an event: MissingIPRules, MissingIPRoutes, MissingDefaultRoutes, IPAMDInconsistentState or MACAddressPolicyMisconfigured',
    because: 'each takes a change that cuts a pod off',
    instead: 'ipamd-no-ips',
    sources: [networking],
  },
  {
    name: 'kube-proxy-log',
    title: 'kube-proxy cannot list resources',
    reaction: 'an event, KubeProxyNotReady',
    because:
      'the agent follows the log files of the pods that ran when it started; container logs belong to the container runtime and are not appended to',
    instead: 'ipamd-no-ips',
    sources: [networking],
  },
  {
    name: 'network-allowance-exceeded',
    title: 'Traffic above the allowance of the instance (ENA counters)',
    reaction:
      'nothing: BandwidthInExceeded, BandwidthOutExceeded, ConntrackExceeded, LinkLocalExceeded and PPSExceeded cannot fire',
    because: 'the agent forgets the counters between two looks, in every known version',
    instead: 'conntrack-full for the kernel’s own table',
    sources: [networking],
  },
  {
    name: 'efa-errors',
    title: 'Error counters of an EFA device grow',
    reaction: 'an event, EFAErrorMetric',
    because: 'the counters are the device’s own and cannot be written',
    sources: [nmaSource('monitors/networking/efa')],
  },
  {
    name: 'network-policy-agent',
    title: 'The network policy agent fails (EKS Auto Mode)',
    reaction:
      'NetworkingReady=False, NPANotRunning; or an event, NPARepeatedlyRestart or NPABPFRecoveryError',
    because:
      'it takes a stopped unit on nodes of Auto Mode, which give no access to their services or log files',
    sources: [nmaSource('monitors/networking/npa')],
  },
  // Kernel, storage, runtime
  {
    name: 'process-table',
    title: 'Too many processes, zombies, open files, or a huge environment',
    reaction:
      'an event: ApproachingKernelPidMax, ExcessiveZombieProcesses, ApproachingMaxOpenFiles or LargeEnvironment',
    because: 'it takes real processes or files, so many that the node’s own workload suffers',
    instead: 'fork-failed, what follows when the process ids are used up',
    sources: [kernel],
  },
  {
    name: 'zram-and-clock',
    title: 'Compressed swap fills up, or the clock is not synchronised',
    reaction: 'an event, ZramHighUsage or ClockUnsynchronized',
    because:
      'both are read from the running kernel: a wrong clock breaks tokens and certificates of the node',
    sources: [kernel],
  },
  {
    name: 'io-delays',
    title: 'Processes wait for disks',
    reaction: 'an event, IODelays',
    because: 'it takes ten seconds of real waiting, which slows every pod on the disk',
    instead: 'block-device-io-error or kubelet-disk-slow',
    sources: [storage],
  },
  {
    name: 'xfs-fragmentation',
    title: 'The file system is fragmented',
    reaction: 'an event, XFSSmallAverageClusterSize',
    because: 'it takes a file system that really is',
    instead: 'kubelet-disk-slow',
    sources: [storage],
  },
  {
    name: 'ebs-limits',
    title: 'An EBS volume or the instance exceeds its limits',
    reaction:
      'an event: EBSVolumeIOPSExceeded, EBSVolumeThroughputExceeded, EBSInstanceIOPSExceeded or EBSInstanceThroughputExceeded',
    because: 'the counters are in the volume’s own NVMe log page and cannot be written',
    instead: 'block-device-io-error',
    sources: [nmaSource('monitors/storage/ebs/nvme.go')],
  },
  {
    name: 'service-restarts',
    title: 'A systemd unit restarts again and again',
    reaction: 'an event whose reason is the unit’s name with RepeatedRestart',
    because: 'the number is systemd’s own: a service of the node would have to crash four times',
    instead: 'service-failed',
    sources: [runtime],
  },
  {
    name: 'containerd-deprecations',
    title: 'containerd reports a deprecated configuration',
    reaction: 'an event, DeprecatedContainerdConfiguration',
    because: 'it takes a change to containerd’s configuration or a pull of an old image format',
    instead: 'container-runtime-failed',
    sources: [runtime],
  },
  // The kernel log
  {
    name: 'xid-119-in-the-kernel-log',
    title: 'Xid 119 of a real GPU in the kernel log',
    reaction:
      'nothing from the line itself; FabricManagerNotRunning and DCGMHealthCode11 from blank readings',
    because:
      'every host engine that reads the line stops calling the driver until it restarts, and again at each start while the line is in the ring',
    instead: 'xid with Xid 119 on the surface dcgm',
    sources: ['NVIDIA/DCGM dcgmlib/src/DcgmKmsgReader.cpp'],
  },
];
