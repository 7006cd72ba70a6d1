import { addressIsGpu } from '../../../shared/gpu-identity.ts';
import { encodeKmsgWrite } from '../../../shared/kmsg-record.ts';
import { acceptsRisk } from '../../../shared/orders/call.ts';
import { type RecordPart, recordOf } from '../../../shared/orders/script.ts';
import type { KernelLogReadBack } from '../../../shared/schemas/read-back.ts';
import { assertKernelLogRisk, mayHoldXid, xidFieldOf } from '../../../shared/xid/guard.ts';
import type { Channel, Confirmed } from '../channel.ts';
import type { OrderOnNode, SurfaceWriter } from './writer.ts';

/** Writes one record into the node's kernel log. */
export const kernelLog: SurfaceWriter<'kernel-log'> = (part, on) =>
  kernelRecord(part, on, {
    undo: 'cannot be undone before the next reboot: readers that start later will read it again',
    notes: on.gpu?.notes ?? [],
  });

/** A channel for a part that goes by the kernel log. */
export function kernelRecord(
  part: RecordPart,
  { kernelLog, call, gpus }: OrderOnNode,
  {
    undo,
    notes,
    confirm,
  }: {
    readonly undo: string;
    readonly notes: readonly string[];
    /** Reads the record back from the journal; absent: whoever reads it reads the kernel log. */
    readonly confirm?: (record: KernelLogReadBack, signal: AbortSignal) => Promise<Confirmed>;
  },
): Channel {
  const { surface, afterMs } = part;
  const { level, text, field } = recordOf(part);
  return {
    surface,
    afterMs,
    undo,
    async prepare() {
      encodeKmsgWrite(level, text, field);
      if (mayHoldXid(text)) {
        const answer = await gpus();
        assertKernelLogRisk(text, {
          acceptRisk: acceptsRisk(call),
          isGpu: (address) => addressIsGpu(address, answer),
          // A refusal of the Xid in the text names the member that brought it there.
          xidField: xidFieldOf(call.method) ?? field,
        });
      }
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
          const written = { written: text, readBack, notes: [...notes] };
          if (confirm === undefined) return written;
          return { ...written, confirm: (signal) => confirm(readBack, signal) };
        },
      };
    },
  };
}
