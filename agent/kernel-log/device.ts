import { closeSync, constants, fstatSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import {
  encodeKmsgWrite,
  type KmsgLevel,
  type KmsgRecord,
  kmsgLevels,
  parseKmsgRecord,
} from '../../shared/kmsg-record.ts';
import type { KernelLog, TailEntry } from './port.ts';

/** Linux, Documentation/admin-guide/devices.txt: memory devices are major 1, kmsg is minor 11. */
const kmsgDevice = (1 << 8) | 11;

/** One record is at most 8 KiB with its key=value lines (CONSOLE_EXT_LOG_MAX). */
const recordBytes = 8192;

const pollMs = 50;

/** Records between a write and its read-back; more than this is a storm in which the ring may have turned over. */
const readBackRecords = 20000;

/** How long a record before ours may take to be complete: a virtual processor can lose its turn for this long. */
const settleMs = 100;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** No ring is larger; whoever reads this many without an end is behind a writer that he cannot catch up with. */
const ringRecords = 1_000_000;

/** The real kernel log. */
export function createDeviceKernelLog(options: { readonly path: string }): KernelLog {
  const { path } = options;
  // Kept open: Node has no lseek, and reading the whole ring to its end before every write would take milliseconds.
  let reader: number | undefined;

  // Opened by the check before an order and used up by its record: still one open file a record.
  let spare: number | undefined;

  function closeSpare(): void {
    if (spare !== undefined) closeSync(spare);
    spare = undefined;
  }

  function closeReader(): void {
    if (reader !== undefined) closeSync(reader);
    reader = undefined;
  }

  return {
    path,
    // Both ways: writing needs no right of its own, reading one's own record back needs CAP_SYSLOG on some nodes.
    unavailable: () =>
      refusalOf(() => {
        closeSpare();
        spare = openChecked(path, constants.O_WRONLY);
        reader ??= openChecked(path, constants.O_RDONLY | constants.O_NONBLOCK);
      }),
    // Synchronous from the drained reader to the read-back, so that orders cannot come between one another.
    async write(level, text) {
      const bytes = encodeKmsgWrite(level, text);
      const writer = spare ?? openChecked(path, constants.O_WRONLY);
      spare = undefined;
      try {
        reader ??= openChecked(path, constants.O_RDONLY | constants.O_NONBLOCK);
        readToEnd(reader, path);
        writeRecord(writer, path, bytes);
        return readBack(reader, level, text);
      } catch (thrown) {
        closeReader();
        throw thrown;
      } finally {
        closeSync(writer);
      }
    },
    tail: ({ from, signal }) => tail(path, from, signal),
    close: () => {
      closeSpare();
      closeReader();
    },
  };
}

function refusalOf(attempt: () => void): Refusal | undefined {
  try {
    attempt();
    return undefined;
  } catch (thrown) {
    return refusalFromUnknown(thrown);
  }
}

/**
 * Opens only the character device, and never with O_CREAT: where the device is missing, creating would leave a
 * regular file that swallows every record. The check is made on the open file, so that no swap can come between.
 */
function openChecked(path: string, flags: number): number {
  assertKernelLogDevice(path, () => statSync(path));
  let file: number;
  try {
    file = openSync(path, flags);
  } catch (thrown) {
    throw unavailable(`${path} cannot be opened`, thrown);
  }
  try {
    assertKernelLogDevice(path, () => fstatSync(file));
    return file;
  } catch (thrown) {
    closeSync(file);
    throw thrown;
  }
}

function assertKernelLogDevice(
  path: string,
  read: () => { isCharacterDevice(): boolean; isFile(): boolean; rdev: number },
): void {
  let found: ReturnType<typeof read>;
  try {
    found = read();
  } catch (thrown) {
    throw unavailable(`${path} cannot be opened`, thrown);
  }
  if (found.isCharacterDevice() && found.rdev === kmsgDevice) return;
  const what = found.isFile()
    ? 'a regular file, which would swallow every record'
    : found.isCharacterDevice()
      ? `character device ${found.rdev >> 8}:${found.rdev & 0xff}`
      : 'no character device';
  throw new Refusal('not_a_kernel_log', `${path} is ${what}; the kernel log is character device 1:11`, {
    field: 'kernel-log',
    value: path,
    allowed: 'character device 1:11',
    remedy: 'mount the host’s /dev/kmsg as a character device',
  });
}

function unavailable(what: string, thrown: unknown): Refusal {
  return new Refusal(
    'kernel_log_unavailable',
    `${what}: ${messageFromUnknown(thrown)}`,
    { remedy: 'run privileged, with the host’s /dev/kmsg mounted' },
    thrown,
  );
}

/** Shared: an order reads synchronously, and two new ones of 8 KiB for each would be half of the garbage it makes. */
const orderBuffer = Buffer.alloc(recordBytes);

/** Everything before the write is none of ours. */
function readToEnd(file: number, path: string): void {
  for (let seen = 0; seen < ringRecords; seen += 1) {
    if (readOne(file, orderBuffer) === 'empty') return;
  }
  throw new Refusal('kernel_log_unavailable', `${path} is written faster than it can be read`);
}

/** `file` is fresh for every record: `ratelimit` counts 10 per 5 s per open file and drops the rest without a word. */
function writeRecord(file: number, path: string, bytes: Buffer): void {
  let written: number;
  try {
    written = writeSync(file, bytes);
  } catch (thrown) {
    throw unavailable(`${path} did not take the record`, thrown);
  }
  if (written !== bytes.length) {
    throw new Refusal('read_back_failed', `the kernel took ${written} of ${bytes.length} bytes`);
  }
}

/**
 * The record is there as soon as write() has returned (measured). Readers get it only after all before it, and another
 * processor may have been held up in the middle of one of those (kernel/printk/printk_ringbuffer.c: what is not finalized
 * ends the reading), so that an end that comes too early is waited out. Not a timer: nothing else may write meanwhile.
 */
function readBack(reader: number, level: KmsgLevel, text: string): KmsgRecord {
  // Facility 1, user: a record of the kernel's own with this very text is not ours.
  const priority = 8 + kmsgLevels.indexOf(level);
  let lost = '';
  let waitedMs = 0;
  for (let seen = 0; seen < readBackRecords; seen += 1) {
    const entry = readOne(reader, orderBuffer);
    if (entry === 'empty') {
      if (waitedMs >= settleMs) break;
      Atomics.wait(pause, 0, 0, 1);
      waitedMs += 1;
    } else if (entry === 'overwritten') lost = '; the ring was overwritten meanwhile';
    else if (entry?.text === text && entry.priority === priority) return entry;
  }
  throw new Refusal('read_back_failed', `the ${level} record was written but did not come back${lost}`, {
    remedy: 'sysctl kernel.printk_devkmsg: `off` drops every record; set it to `on`',
  });
}

/** undefined: something that is no record. */
function readOne(file: number, buffer: Buffer): KmsgRecord | 'empty' | 'overwritten' | undefined {
  try {
    const length = readSync(file, buffer, 0, buffer.length, null);
    return length === 0 ? 'empty' : parseKmsgRecord(buffer.toString('utf8', 0, length));
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'EAGAIN') return 'empty';
    if (code === 'EPIPE') return 'overwritten';
    throw thrown;
  }
}

/** Polls: Node has no way to wait for a device without holding a pool thread in a blocking read. */
async function* tail(path: string, from: 'end' | 'oldest', signal: AbortSignal): AsyncGenerator<TailEntry> {
  const file = openChecked(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (from === 'end') readToEnd(file, path);
    const buffer = Buffer.alloc(recordBytes);
    while (!signal.aborted) {
      const entry = readOne(file, buffer);
      if (entry === 'empty') await sleep(pollMs, undefined, { signal }).catch(() => undefined);
      else if (entry === 'overwritten') yield { lost: 'records were overwritten before they could be read' };
      else if (entry !== undefined) yield { record: entry };
    }
  } finally {
    closeSync(file);
  }
}
