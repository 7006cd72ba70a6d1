import { parsePci, pciToSysfs } from '../pci.ts';
import type { InjectSxid } from '../schemas/order.ts';

/** The records that an NVSwitch driver prints for one SXid. */
export function sxidRecords(body: Omit<InjectSxid, 'orderId'>): readonly string[] {
  const pci = pciToSysfs(parsePci(body.switch.pci, 'switch.pci'));
  return [`nvidia-nvswitch${body.switch.index}: SXid (PCI:${pci}): ${body.sxid}, ${body.detail ?? ''}`];
}
