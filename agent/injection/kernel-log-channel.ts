import { encodeKmsgWrite, type KmsgLevel } from '../../shared/kmsg-record.ts';
import type { KernelLogReadBack } from '../../shared/schemas/read-back.ts';
import { type AddressIsGpu, assertKernelLogRisk, mayHoldXid } from '../../shared/xid/guard.ts';
import type { KernelLog } from '../kernel-log/port.ts';
import type { Channel, Confirmed } from './channel.ts';

/** Writes one record into the node's kernel log. */
export function createKernelLogChannel(options: {
  readonly surface: 'kernel-log' | 'journal';
  readonly afterMs: number;
  readonly kernelLog: KernelLog;
  readonly level: KmsgLevel;
  readonly text: string;
  /** The request field that a refusal of the text names. */
  readonly field: string;
  /** The one that a refusal of the Xid in the text names. */
  readonly xidField: string;
  readonly acceptRisk: boolean;
  /** Asked only about a text that has an Xid in it. */
  readonly isGpu: () => Promise<(address: string) => AddressIsGpu>;
  readonly undo: string;
  readonly notes: readonly string[];
  /** Reads the record back from the journal; absent: whoever reads it reads the kernel log. */
  readonly confirm?: (record: KernelLogReadBack, signal: AbortSignal) => Promise<Confirmed>;
}): Channel {
  const { surface, afterMs, kernelLog, level, text, field, undo, confirm } = options;
  return {
    surface,
    afterMs,
    undo,
    async prepare() {
      encodeKmsgWrite(level, text, field);
      if (mayHoldXid(text)) assertKernelLogRisk(text, { ...options, isGpu: await options.isGpu() });
      const because = kernelLog.unavailable();
      if (because !== undefined) throw because;
      return {
        async write() {
          const record = await kernelLog.write(level, text);
          const readBack: KernelLogReadBack = {
            sequence: record.sequence,
            record: record.raw,
            priority: record.priority,
            microseconds: record.microseconds,
          };
          const written = { written: text, readBack, notes: [...options.notes] };
          if (confirm === undefined) return written;
          return { ...written, confirm: (signal) => confirm(readBack, signal) };
        },
      };
    },
  };
}
