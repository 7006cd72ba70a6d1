import { closeSync, constants, openSync, readSync } from 'node:fs';
import { userInfo } from 'node:os';

/** Why the real kernel log cannot be tested here, found out without the code under test; undefined: it can. */
export function whyNoKernelLog(): string | undefined {
  if (userInfo().uid !== 0) return 'needs root to write /dev/kmsg';
  try {
    closeSync(openSync('/dev/kmsg', constants.O_WRONLY));
    closeSync(openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK));
    return undefined;
  } catch (thrown) {
    return `/dev/kmsg cannot be opened: ${String(thrown)}`;
  }
}

export type SeenRecord = {
  readonly priority: number;
  readonly sequence: number;
  readonly text: string;
  readonly raw: string;
};

/** Reads the kernel log from now on, by means of its own: what the agent says is checked against it. */
export function watchKernelLog(t: { teardown(handler: () => unknown): void }) {
  const file = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  t.teardown(() => closeSync(file));
  const buffer = Buffer.alloc(8192);
  const seen: SeenRecord[] = [];

  function next(): string | undefined {
    for (;;) {
      try {
        return buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, null));
      } catch (thrown) {
        const { code } = thrown as NodeJS.ErrnoException;
        if (code === 'EAGAIN') return undefined;
        if (code !== 'EPIPE') throw thrown;
      }
    }
  }

  for (;;) if (next() === undefined) break;
  return {
    /** Everything since the start, the newest last. */
    records(): readonly SeenRecord[] {
      for (let raw = next(); raw !== undefined; raw = next()) {
        const [head = '', ...rest] = raw.trimEnd().split(';');
        const [priority, sequence] = head.split(',');
        const text = rest.join(';').split('\n')[0] ?? '';
        seen.push({ priority: Number(priority), sequence: Number(sequence), text, raw: raw.trimEnd() });
      }
      return seen;
    },
  };
}
