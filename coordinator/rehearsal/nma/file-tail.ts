import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';

/** Log files of a node, followed as NMA follows them (pkg/observer/file.go). */
export interface FileTail {
  /**
   * Lines from now on, until the result is called. A file that is not there is waited for, and one that appears or is
   * replaced is read from its end: what it holds at that moment is never seen.
   */
  tail(path: string, onLine: (line: string) => void): () => void;
}

/** How often a missing file is looked for, and the pause at the end of one (pkg/observer/file.go). */
const pollMs = 100;

const chunkBytes = 64 * 1024;

type TailDeps = { readonly root: string; readonly clock: Clock; readonly log: Log };

/** Real files below `root`. A line that is not yet ended when it is read is lost, as with NMA. */
export function createFileTail(deps: TailDeps): FileTail {
  return {
    tail(path, onLine) {
      const stop = new AbortController();
      const file = join(deps.root, path);
      void followAll(deps, file, onLine, stop.signal);
      return () => stop.abort(new Error('the file has no follower any more'));
    },
  };
}

/** One file after the other under this name; what cannot be read now is tried again. */
async function followAll(
  { clock, log }: TailDeps,
  file: string,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const handle = await open(file, 'r');
      try {
        await follow(file, handle, onLine, () => clock.sleep(pollMs, signal));
      } finally {
        await handle.close();
      }
    } catch (thrown) {
      if (signal.aborted) return;
      if (!isMissing(thrown)) log.warn({ err: thrown, file }, 'a log file cannot be followed');
    }
    await clock.sleep(pollMs, signal).catch(() => undefined);
  }
}

/** Returns when another file has the name. */
async function follow(
  file: string,
  handle: FileHandle,
  onLine: (line: string) => void,
  pause: () => Promise<void>,
): Promise<void> {
  const buffer = Buffer.alloc(chunkBytes);
  const own = await handle.stat();
  let position = own.size;
  for (;;) {
    let text = '';
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, position);
      if (bytesRead === 0) break;
      position += bytesRead;
      text += buffer.toString('utf8', 0, bytesRead);
    }
    for (const line of text.split('\n').slice(0, -1)) onLine(line);
    const named = await stat(file);
    if (named.ino !== own.ino) return;
    await pause();
  }
}

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}
