import { encodeKmsgWrite, type KmsgLevel } from '../../shared/kmsg-record.ts';
import type { KernelLog } from '../kernel-log/port.ts';
import { type AddressIsGpu, assertKernelLogRisk } from './guard.ts';
import type { Channel } from './orders.ts';

/** Writes one record into the node's kernel log. */
export function createKernelLogChannel(options: {
  readonly kernelLog: KernelLog;
  readonly level: KmsgLevel;
  readonly text: string;
  /** The request field that a refusal of the text names. */
  readonly field: string;
  /** The one that a refusal of the Xid in the text names. */
  readonly xidField: 'xid' | 'text';
  readonly acceptRisk: boolean;
  readonly isGpu: (address: string) => AddressIsGpu;
  readonly notes: readonly string[];
}): Channel {
  const { kernelLog, level, text, field } = options;
  return {
    surface: 'kernel-log',
    undo: 'cannot be undone before the next reboot: readers that start later will read it again',
    async prepare() {
      encodeKmsgWrite(level, text, field);
      assertKernelLogRisk(text, options);
      const because = kernelLog.unavailable();
      if (because !== undefined) throw because;
      return async () => {
        const record = await kernelLog.write(level, text);
        return {
          written: text,
          readBack: {
            sequence: record.sequence,
            record: record.raw,
            priority: record.priority,
            microseconds: record.microseconds,
          },
          notes: [...options.notes],
        };
      };
    },
  };
}
