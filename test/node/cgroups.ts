import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where the controllers of cgroup version 1 lie. */
export const cgroupsFolder = '/sys/fs/cgroup';

/** Makes a cgroup in every controller; a new cpuset has no CPUs until it is given its parent's. guardian.sh removes them. */
export function makeCgroup(name: string): void {
  for (const controller of readdirSync(cgroupsFolder)) {
    const made = join(cgroupsFolder, controller, name);
    if (!existsSync(join(dirname(made), 'cgroup.procs'))) continue;
    mkdirSync(made);
    for (const file of ['cpuset.cpus', 'cpuset.mems'])
      if (controller === 'cpuset') writeFileSync(join(made, file), readFileSync(join(dirname(made), file)));
  }
}
