import { spawnSync } from 'node:child_process';

let setprivWorks: boolean | undefined;

/**
 * The command line to spawn so that the kernel kills the program when this process dies, however it dies.
 * setpriv execs the program, so the pid stays that of the spawned child. Where setpriv is missing, or is
 * busybox's, which lacks the option, the command line comes back unchanged.
 */
export function guarded(program: string, args: readonly string[]): [string, string[]] {
  setprivWorks ??= spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0;
  return setprivWorks ? ['setpriv', ['--pdeathsig', 'KILL', '--', program, ...args]] : [program, [...args]];
}
