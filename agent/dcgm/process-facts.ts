import { readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import { effectiveUid, isPrivileged } from '../engines/status.ts';

/** What has to be known about an engine's process before a program of its own is run. */
export type ProcessFacts = {
  /**
   * Empty where the process could gain by it: a library path of somebody with less power would be obeyed by programs
   * that run with ours.
   */
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the mount namespace is ours, and so for the network; `root`: whether it lives below another root. */
  readonly sameMounts: boolean;
  /** Whether the network namespace is the agent’s. */
  readonly sameNetwork: boolean;
  /** Its root folder is that of its mount namespace. */
  readonly sameRoot: boolean;
  /** Its mount namespace is that of process 1, the host's where the agent sees the host's processes. */
  readonly isOnHost: boolean;
  /** It is root, in our user namespace, and holds CAP_SYS_ADMIN: it can do already what its program could do. */
  readonly isPrivileged: boolean;
};

/** Reads /proc/PID. Refuses with `agent_incapable` where that is not allowed, `engine_unreachable` where the process has ended. */
export async function readProcessFacts(procRoot: string, pid: number): Promise<ProcessFacts> {
  const own = (file: string) => readlink(join(procRoot, 'self', file));
  const its = (file: string) => readlink(join(procRoot, String(pid), file));
  try {
    const [mounts, network, user, root] = await Promise.all(['ns/mnt', 'ns/net', 'ns/user', 'root'].map(its));
    const [ownMounts, ownNetwork, ownUser, ownRoot] = await Promise.all(
      ['ns/mnt', 'ns/net', 'ns/user', 'root'].map(own),
    );
    const status = await readFile(join(procRoot, String(pid), 'status'), 'utf8');
    const environment = await readFile(join(procRoot, String(pid), 'environ'), 'utf8');
    const sameMounts = mounts === ownMounts;
    const privileged = user === ownUser && isPrivileged(status);
    const isOurs = sameMounts && effectiveUid(status) === process.geteuid?.();
    return {
      environment: privileged || isOurs ? parseEnvironment(environment) : {},
      sameMounts,
      sameNetwork: network === ownNetwork,
      sameRoot: root === ownRoot,
      isOnHost: mounts === (await mountsOfInit(procRoot)),
      isPrivileged: privileged,
    };
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM')
      throw new Refusal(
        'agent_incapable',
        `the agent may not look at process ${pid} of the host engine: ${messageFromUnknown(thrown)}`,
        { pid, lacks: 'root', remedy: 'the agent needs root and privileged: true, as its chart sets them' },
        thrown,
      );
    throw new Refusal(
      'engine_unreachable',
      `process ${pid} of the host engine cannot be looked at: ${messageFromUnknown(thrown)}`,
      { pid, remedy: 'the engine has ended: see whether its pod restarts' },
      thrown,
    );
  }
}

/** The text of /proc/PID/environ: `NAME=value`, each ended by a zero byte. */
function parseEnvironment(text: string): Record<string, string> {
  const pairs = text.split('\0').map((entry) => entry.split(/=(.*)/s, 2) as [string, string | undefined]);
  return Object.fromEntries(pairs.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function mountsOfInit(procRoot: string): Promise<string | undefined> {
  try {
    return await readlink(join(procRoot, '1', 'ns/mnt'));
  } catch {
    // Not root, or another process namespace: then nothing counts as the host.
    return undefined;
  }
}
