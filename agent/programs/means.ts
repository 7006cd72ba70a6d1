import { access, constants, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { AgentLack } from '../../shared/schemas/inventory.ts';
import { findNsenter } from './nsenter.ts';

/** What gives the agent its means, in the words of its chart (charts/xidrill/values.yaml). */
export const means = {
  nsenter: 'use an image of this repository (agent.image.repository), which has util-linux',
  dcgmi:
    'set agent.dcgm.sidecar.enabled=true, which copies dcgmi from agent.dcgm.sidecar.image, or agent.dcgm.dcgmi to the path of one',
  nvml: 'set agent.gpu.runtimeClassName to the RuntimeClass of NVIDIA’s runtime where it is not the node’s default, with agent.gpu.driverCapabilities=utility; or agent.gpu.library to the path of libnvidia-ml.so.1',
  journal: 'run the agent from its chart, which sets hostPID: true and privileged: true, in its own image',
  'host-pid': 'run the agent from its chart, which sets hostPID: true on its pod',
  'host-root': 'run the agent from its chart, which sets hostPID: true and privileged: true',
  'kernel-log':
    'set agent.kernelLog to the character device of the kernel log, and let the pod be privileged',
  rights:
    'run the agent from its chart, which sets privileged: true and runAsUser: 0; the namespace has to allow that (pod-security.kubernetes.io/enforce: privileged)',
} as const satisfies Readonly<Record<AgentLack['means'], string>>;

/** One thing that the agent lacks, with what gives it. `because`: how that shows. */
export function lack(name: AgentLack['means'], because: string): AgentLack {
  return { means: name, because, remedy: means[name] };
}

/** What shows of the agent's own means in /proc and on its disk; runs no program. */
export async function lookAtMeans(options: {
  readonly procRoot?: string;
  /** The host's root directory as the agent sees it. */
  readonly hostRoot: string;
  /** Where the agent's nsenter may be; absent: where packages put it. */
  readonly nsenterPaths?: readonly string[];
}): Promise<readonly AgentLack[]> {
  const { procRoot = '/proc', hostRoot, nsenterPaths } = options;
  const looks = [
    whyNoRights(procRoot),
    whyNoHostPids(procRoot),
    whyNoHostRoot(hostRoot),
    whyNoNsenter(nsenterPaths),
  ];
  return (await Promise.all(looks)).filter((found) => found !== undefined);
}

/** The kernel's own pid namespace has this number on every machine (linux/proc_ns.h, PROC_PID_INIT_INO). */
const hostPids = 'pid:[4026531836]';

/**
 * Why processes of the host are not to be seen: without hostPID process 1 of the pod is one of its own container, in the
 * container's mount namespace. Process 1 of another mount namespace is the node's, also where a node is a container itself.
 */
export async function whyNoHostPids(procRoot: string): Promise<AgentLack | undefined> {
  const link = (path: string) => readlink(join(procRoot, path)).catch(() => undefined);
  const [pids, own, first] = await Promise.all(['self/ns/pid', 'self/ns/mnt', '1/ns/mnt'].map(link));
  if (pids === undefined || pids === hostPids) return undefined;
  // Of another one it may not be readable; that is a matter of rights.
  if (own === undefined || first === undefined || own !== first) return undefined;
  return lack(
    'host-pid',
    `the agent sees only the processes of its own container (${pids}, whose process 1 has the mounts of the agent): engines of other pods and of the host are not among them`,
  );
}

/** Bits of CapEff (linux/capability.h) that writing the kernel log and entering namespaces take. */
const needed = [
  ['CAP_SYS_PTRACE', 19n],
  ['CAP_SYS_ADMIN', 21n],
] as const;

async function whyNoRights(procRoot: string): Promise<AgentLack | undefined> {
  const status = await readFile(join(procRoot, 'self/status'), 'utf8').catch(() => undefined);
  if (status === undefined) return undefined;
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1];
  const effective = /^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1];
  if (uid === undefined || effective === undefined) return undefined;
  if (uid !== '0') return lack('rights', `the agent runs as uid ${uid}, not as root`);
  const missing = needed.filter(([, bit]) => ((BigInt(`0x${effective}`) >> bit) & 1n) === 0n);
  if (missing.length === 0) return undefined;
  return lack(
    'rights',
    `the agent has no ${missing.map(([name]) => name).join(', no ')} (CapEff ${effective})`,
  );
}

async function whyNoHostRoot(hostRoot: string): Promise<AgentLack | undefined> {
  try {
    await access(join(hostRoot, '/'), constants.R_OK | constants.X_OK);
    return undefined;
  } catch (thrown) {
    return lack('host-root', `the root directory of the host cannot be read: ${messageFromUnknown(thrown)}`);
  }
}

async function whyNoNsenter(paths: readonly string[] | undefined): Promise<AgentLack | undefined> {
  try {
    if ((await findNsenter(paths)) !== undefined) return undefined;
    return lack('nsenter', 'the agent has no nsenter, with which it enters the namespaces of host engines');
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return { means: 'nsenter', because: thrown.message, remedy: thrown.details.remedy ?? means.nsenter };
  }
}
