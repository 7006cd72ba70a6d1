import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a run must leave as it was, each as lines that can be compared. */
type Machine = Readonly<Record<string, readonly string[]>>;

/** Settings of the kernel that kubelet, kube-proxy or a CNI plugin write, and that belong to the whole machine. */
const settings = [
  ...['vm/overcommit_memory', 'vm/panic_on_oom', 'vm/max_map_count'],
  ...['kernel/panic', 'kernel/panic_on_oops', 'kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes'],
  ...['kernel/hostname', 'net/ipv4/ip_forward', 'net/netfilter/nf_conntrack_max'],
  ...['net/bridge/bridge-nf-call-iptables', 'fs/inotify/max_user_instances', 'fs/inotify/max_user_watches'],
];

/** In the environment of everything that a run starts, but for what is in a container: which run it is. */
export const runVariable = 'XIDRILL_NODE_RUN';

/** Links, routes, mounts, cgroups, settings, processes, and every file below /etc and /run. */
export function readMachine(run: string): Machine {
  return {
    links: lines('ip', '-o', 'link').map((line) => line.replace(/^\d+: ([^:@]+).*$/, '$1')),
    'network namespaces': lines('ip', 'netns', 'list'),
    routes: lines('ip', 'route', 'show', 'table', 'all'),
    mounts: readFileSync('/proc/self/mounts', 'utf8').trim().split('\n'),
    cgroups: cgroups(run),
    settings: settings.map((name) => `${name} ${readIf(join('/proc/sys', name))}`),
    processes: processes(run),
    '/etc': filesBelow('/etc'),
    '/run': filesBelow('/run'),
  };
}

/** What is there now and was not, or the other way round: `links: + veth0`. */
export function differences(before: Machine, after: Machine): readonly string[] {
  return Object.entries(before).flatMap(([what, were]) => {
    const are = after[what] ?? [];
    return [
      ...are.filter((line) => !were.includes(line)).map((line) => `${what}: + ${line}`),
      ...were.filter((line) => !are.includes(line)).map((line) => `${what}: - ${line}`),
    ];
  });
}

const lines = (program: string, ...args: string[]) =>
  execFileSync(program, args, { encoding: 'utf8' }).trim().split('\n');

function readIf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return 'is not there';
  }
}

/** Those of that run; others come and go with what else runs here. */
function cgroups(run: string): readonly string[] {
  return readdirSync('/sys/fs/cgroup').flatMap((controller) => {
    try {
      const below = readdirSync(join('/sys/fs/cgroup', controller));
      return below.filter((name) => name === run).map((name) => `${controller}/${name}`);
    } catch {
      return [];
    }
  });
}

/** What goes on of that run; its containers cannot be without their cgroups. */
function processes(run: string): readonly string[] {
  return readdirSync('/proc').flatMap((pid) => {
    const isOfIt = readIf(`/proc/${pid}/environ`).includes(`${runVariable}=${run}\0`);
    return isOfIt ? [`${pid} ${readIf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`] : [];
  });
}

/** On the same file system: what is mounted or linked there belongs to others. */
const filesBelow = (folder: string) =>
  lines('find', folder, '-xdev', '-printf', '%p %M %U:%G %s %T@ %l\\n').toSorted();
