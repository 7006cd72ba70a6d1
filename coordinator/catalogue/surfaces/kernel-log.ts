import { xidField } from '../../../shared/dcgm-fields/ids.ts';
import { kmsgLevels } from '../../../shared/kmsg-record.ts';
import { isXidOrder } from '../../../shared/orders/call.ts';
import { type RecordPart, recordOf } from '../../../shared/orders/script.ts';
import type { KernelLogPart } from '../../../shared/surfaces/kernel-log.ts';
import { xidsReadByEngine } from '../../../shared/xid/guard.ts';
import { parseXidLine } from '../../../shared/xid/line.ts';
import { kernelMessage } from '../channels/kernel-message.ts';
import { sxid } from '../channels/xid.ts';
import { kernelLogReaders } from '../readers/logs.ts';
import type { Kept, SurfaceWork } from './work.ts';

/** Records in the kernel log. */
export const kernelLog = {
  writes: (part, on) => [
    {
      afterSeconds: part.afterMs / 1000,
      ...placeOfRecord(part),
      because: [],
      readers: kernelLogReaders(part.text, on),
    },
  ],
  kept: (parts) => [keptInRing, ...readAgain(parts)],
  whySilent(order) {
    if (order.method === 'InjectSxid') return 'no version of NMA reads SXid lines';
    return isXidOrder(order) ? 'no version of NMA reads Xid lines from the kernel log' : undefined;
  },
  channels: { 'kernel-message': kernelMessage, sxid },
  channelOf(order) {
    if (order.method === 'InjectSxid') return { channel: { kind: 'sxid' } };
    if (order.method !== 'WriteKernelMessage') return undefined;
    return { channel: { kind: 'kernel-message', text: order.body.text } };
  },
} as const satisfies SurfaceWork<'kernel-log'>;

/** The device and the record, as the agent writes them. */
export function placeOfRecord(part: RecordPart): { readonly where: string; readonly what: string } {
  const { level, text } = recordOf(part);
  return { where: '/dev/kmsg', what: `<${kmsgLevels.indexOf(level)}>${text}` };
}

/** Every record, whoever reads it. */
export const keptInRing: Kept = {
  what: 'the records in the ring of the kernel log',
  until: 'the next reboot',
};

function readAgain(parts: readonly KernelLogPart[]): readonly Kept[] {
  const xids = parts.flatMap(({ text }) => parseXidLine(text)?.xid ?? []);
  return [...new Set(xids)]
    .filter((xid) => xidsReadByEngine.includes(xid))
    .map((xid) => ({
      what: `Xid ${xid} in field ${xidField} of the host engine, read again at each of its starts`,
      until: 'the record has left the ring of the kernel log',
    }));
}
