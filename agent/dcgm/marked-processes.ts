import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** In the environment of every program that is run, and so of all that it starts. */
export const markName = 'XIDRILL_RUN';

/** A process may fork while the list is read; it then stands in the next one. */
const mostRounds = 5;

let marks = 0;

/** A mark that no other run on this machine has. */
export function createMark(): string {
  marks += 1;
  return `${process.pid}.${Math.trunc(performance.timeOrigin)}.${marks}`;
}

/**
 * Kills what carries the mark, wherever it has gone: a child that called setsid(2) is out of the group and the session of the
 * program, and one whose parent has ended is nobody's descendant. One that replaced its environment is not found.
 */
export function killMarked(procRoot: string, mark: string): void {
  for (let round = 0; round < mostRounds; round += 1) {
    const found = markedPids(procRoot, `${markName}=${mark}`);
    if (found.length === 0) return;
    for (const pid of found) kill(pid);
  }
}

function markedPids(procRoot: string, entry: string): readonly number[] {
  return readdirSync(procRoot)
    .filter((name) => /^\d+$/.test(name) && environmentOf(join(procRoot, name)).includes(entry))
    .map(Number);
}

/** Empty for one that has ended, and for the kernel's own (proc_pid_environ(5)). */
function environmentOf(folder: string): readonly string[] {
  try {
    return readFileSync(join(folder, 'environ'), 'latin1').split('\0');
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself just now.
  }
}
