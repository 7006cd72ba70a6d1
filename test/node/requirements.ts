import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { cgroupsFolder } from './cgroups.ts';

const run = promisify(execFile);

/** The packages of Debian that a node, its images and its network are made with, and a program of each. */
const packages = {
  containerd: '/usr/bin/containerd',
  runc: '/usr/sbin/runc',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  iptables: '/usr/sbin/iptables',
  ipset: '/usr/sbin/ipset',
  iproute2: '/sbin/ip',
  debootstrap: '/usr/sbin/debootstrap',
  buildah: '/usr/bin/buildah',
  openssl: '/usr/bin/openssl',
} as const;

/** Why no node can run on this machine; undefined: one can, as far as can be told before. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return `a kubelet needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'not run by root: namespaces, mounts and cgroups need it';
  if (!existsSync('/usr/bin/apt-get'))
    return 'no apt-get: containerd, runc and CNI plugins come from Debian packages';
  if (!readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n'))
    return 'the kernel has no overlay file system';
  if (!existsSync('/dev/kmsg') || !statSync('/dev/kmsg').isCharacterDevice())
    return 'there is no kernel log at /dev/kmsg';
  const found = existsSync(cgroupsFolder) ? readdirSync(cgroupsFolder) : [];
  const lacking = ['cpu', 'cpuset', 'memory', 'devices', 'pids'].filter((name) => !found.includes(name));
  if (lacking.length > 0)
    return `no cgroup controllers ${lacking.join(', ')} below ${cgroupsFolder} (version 1; version 2 alone was never tried)`;
  const namespaces = [
    '--net',
    '--mount',
    '--pid',
    '--uts',
    '--ipc',
    '--fork',
    'mount',
    '-t',
    'tmpfs',
    'none',
    '/mnt',
  ];
  const tried = spawnSync('unshare', namespaces, { encoding: 'utf8' });
  if (tried.status !== 0) return `no namespaces: ${tried.error?.message ?? tried.stderr.trim()}`;
  const wire = spawnSync('unshare', ['--net', 'ip', 'link', 'add', 'wire', 'type', 'bridge'], {
    encoding: 'utf8',
  });
  if (wire.status !== 0 && wire.error === undefined) return `no network bridges: ${wire.stderr.trim()}`;
  return undefined;
}

/** Installs the packages that are missing, and says which versions there are. */
export async function installPackages(log: (line: string) => void): Promise<void> {
  const missing = Object.entries(packages).flatMap(([name, program]) => (existsSync(program) ? [] : [name]));
  if (missing.length > 0) {
    log(`installing ${missing.join(', ')}`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-q'], { env, maxBuffer: 2 ** 26 });
    const install = ['install', '-q', '-y', '--no-install-recommends', ...missing];
    await run('apt-get', install, { env, maxBuffer: 2 ** 26 });
  }
  const listed = execFileSync('dpkg-query', ['-W', ...Object.keys(packages)], { encoding: 'utf8' });
  const versions = listed
    .trim()
    .split('\n')
    .map((line) => line.replace('\t', ' '));
  log(`with ${versions.join(', ')}`);
}
