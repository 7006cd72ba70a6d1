import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import {
  encodeKmsgWrite,
  escapeKmsgText,
  type KmsgRecord,
  kmsgLevels,
  parseKmsgRecord,
} from '../../shared/kmsg-record.ts';
import type { KernelLog, TailEntry } from './port.ts';

/** A kernel log in memory, with the failures of a real one. */
export type FakeKernelLog = KernelLog & {
  /** What the kernel itself logs: facility 0. */
  kernelSays(level: (typeof kmsgLevels)[number], text: string): KmsgRecord;
  /** `sysctl kernel.printk_devkmsg=off`: every write is taken and dropped. */
  dropWrites(drop: boolean): void;
  /** From now on it is unavailable because of this; undefined: it works again. */
  breakWith(because: string | undefined): void;
  /** All that is in the ring, oldest first. */
  records(): readonly KmsgRecord[];
};

const ring = 4096;

/** A kernel log in memory, with the ring, the sequence numbers and the escapes of the real one. */
export function createFakeKernelLog(options: {
  readonly clock: Clock;
  readonly path?: string;
}): FakeKernelLog {
  const { clock, path = '/dev/kmsg' } = options;
  const bootedAt = clock.now() - 3_600_000;
  const kept: KmsgRecord[] = [];
  const waiting = new Set<() => void>();
  let nextSequence = 1000;
  let dropping = false;
  let broken: string | undefined;

  function append(priority: number, text: string): KmsgRecord {
    const microseconds = (clock.now() - bootedAt) * 1000;
    const record = parseKmsgRecord(`${priority},${nextSequence},${microseconds},-;${escapeKmsgText(text)}`);
    if (record === undefined) throw new RangeError('the fake made a record that the codec cannot read');
    nextSequence += 1;
    kept.push(record);
    if (kept.length > ring) kept.shift();
    for (const wake of waiting) wake();
    return record;
  }

  function unavailable(): Refusal | undefined {
    if (broken === undefined) return undefined;
    return new Refusal('kernel_log_unavailable', `${path} cannot be opened: ${broken}`);
  }

  async function* tail(from: 'end' | 'oldest', signal: AbortSignal): AsyncGenerator<TailEntry> {
    const because = unavailable();
    if (because !== undefined) throw because;
    let position = from === 'end' ? nextSequence : (kept[0]?.sequence ?? nextSequence);
    while (!signal.aborted) {
      const oldest = kept[0]?.sequence ?? nextSequence;
      if (position < oldest) {
        yield { lost: `${oldest - position} records were overwritten before they could be read` };
        position = oldest;
      }
      const record = kept[position - oldest];
      if (record === undefined) await nextAppend(signal);
      else {
        position += 1;
        yield { record };
      }
    }
  }

  function nextAppend(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  return {
    path,
    unavailable,
    async write(level, text) {
      encodeKmsgWrite(level, text);
      const because = unavailable();
      if (because !== undefined) throw because;
      if (dropping) {
        throw new Refusal('read_back_failed', `the ${level} record was written but did not come back`, {
          remedy: 'sysctl kernel.printk_devkmsg: `off` drops every record; set it to `on`',
        });
      }
      return append(8 + kmsgLevels.indexOf(level), text);
    },
    tail: ({ from, signal }) => tail(from, signal),
    close: () => undefined,
    kernelSays: (level, text) => append(kmsgLevels.indexOf(level), text),
    dropWrites: (drop) => {
      dropping = drop;
    },
    breakWith: (because) => {
      broken = because;
    },
    records: () => [...kept],
  };
}
