import { Refusal } from '../errors.ts';
import { parsePci, pciToSysfs } from '../pci.ts';
import type { InjectSxid } from '../schemas/order.ts';

/** Texts that NVSwitch drivers print (traps-formats-conventions.md §5.2). A new one is a row. */
const texts: Readonly<Record<number, { readonly severity: 'Fatal' | 'Non-fatal'; readonly text: string }>> = {
  11001: { severity: 'Fatal', text: 'ingress invalid command' },
  12028: { severity: 'Non-fatal', text: 'egress non-posted PRIV error (First)' },
  20034: { severity: 'Fatal', text: 'LTSSM Fault Up' },
  22013: { severity: 'Non-fatal', text: 'Minion Link DLREQ interrupt' },
  28002: { severity: 'Non-fatal', text: 'Therm Warn Deactivated' },
};

/**
 * The three records that an NVSwitch driver prints for one SXid: what happened, where in the chip, and raw data. All
 * with the same five digits, and the address with its function (common_nvswitch.h; Hopper and earlier).
 */
export function sxidRecords(body: Omit<InjectSxid, 'orderId'>): readonly string[] {
  const known = texts[body.sxid];
  const { severity = known?.severity ?? 'Fatal', link = 0, detail = known?.text } = body;
  if (detail === undefined) throw textUnknown(body.sxid);
  const pci = pciToSysfs(parsePci(body.switch.pci, 'switch.pci'));
  const code = String(body.sxid).padStart(5, '0');
  const instance = String(link).padStart(2, '0');
  return [
    `${severity}, Link ${instance} ${detail}`,
    `Severity ${severity === 'Fatal' ? 1 : 0} Engine instance ${instance} Sub-engine instance 00`,
    'Data {0x50610002, 0x10100030}',
  ].map((text) => `nvidia-nvswitch${body.switch.index}: SXid (PCI:${pci}): ${code}, ${text}`);
}

function textUnknown(sxid: number): Refusal {
  return new Refusal('parameter_invalid', `detail: what a driver prints for SXid ${sxid} is not known here`, {
    field: 'detail',
    allowed: { sxid: Object.keys(texts).map(Number) },
    remedy: 'give the text, or one of the SXids whose text is known',
  });
}
