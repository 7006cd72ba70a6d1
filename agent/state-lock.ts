import { spawnSync } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import { messageFromUnknown, Refusal } from '../shared/errors.ts';

/** flock(1) of util-linux, as the image has it beside nsenter; busybox takes the same arguments. */
const lockProgram = 'flock';

/**
 * Locks the state directory for the life of this process: a second agent on it would take back what the first one holds, and
 * repeat its orders. The lock is on the open directory (flock(2)), so that it needs no writable disk, leaves no file, and goes
 * with the process however that ends. False: there is no such directory, and so nothing to lock yet. Refuses with
 * `state_dir_busy`, or with `journal_unwritable` where `stateDir` is no directory.
 */
export function lockStateDir(stateDir: string): boolean {
  let directory: number;
  try {
    directory = openSync(stateDir, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new Refusal(
      'journal_unwritable',
      `the journal in ${stateDir} cannot be used: ${messageFromUnknown(thrown)}`,
      { remedy: 'give --state-dir a directory that this process may read and write' },
      thrown,
    );
  }
  // The lock belongs to the open file description, which the child only borrows.
  const done = spawnSync(lockProgram, ['-n', '-x', '3'], { stdio: ['ignore', 'ignore', 'pipe', directory] });
  if (done.status === 0) return true;
  const because = done.error?.message ?? done.stderr.toString().trim();
  if (done.error === undefined && done.status === 1 && because === '') {
    throw new Refusal('state_dir_busy', `another agent works on ${stateDir}`, {
      field: 'state-dir',
      value: stateDir,
      remedy: 'end it first, or give this agent a --state-dir of its own',
    });
  }
  throw new Refusal('state_dir_busy', `${stateDir} could not be locked: ${because}`, {
    field: 'state-dir',
    value: stateDir,
    remedy: `install ${lockProgram} (util-linux)`,
  });
}
