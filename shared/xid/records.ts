import { Refusal } from '../errors.ts';
import type { ScriptContext } from '../orders/script.ts';
import type { InjectCascade, InjectXid } from '../schemas/order.ts';
import { renderXidLine } from './line.ts';

/** The records of the kernel log that stand for one Xid, in order: companions, then the line, then what follows it. */
export function xidRecords(
  step: Omit<InjectCascade['steps'][number], 'afterSeconds'>,
  _order: Pick<InjectXid, 'driver' | 'mig' | 'companions'>,
  context: ScriptContext,
): readonly string[] {
  const pci = context.gpu?.pci;
  if (pci === undefined) {
    throw new Refusal(
      'gpu_unknown',
      'gpu: its PCI address is not known, and the kernel log names GPUs by it',
      {
        field: 'gpu',
      },
    );
  }
  const { xid, process, detail } = step;
  return [
    renderXidLine({
      pci,
      xid,
      ...(process === undefined ? {} : { process }),
      ...(detail === undefined ? {} : { detail }),
    }),
  ];
}
