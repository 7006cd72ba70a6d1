import { type PciAddress, parsePci, pciToXid } from '../pci.ts';
import { xidTexts } from './texts.ts';

export type XidLine = {
  readonly pci: PciAddress;
  readonly xid: number;
  readonly process?: { readonly pid: number; readonly name: string };
  /** Text behind the number; the driver's own for that Xid if absent. */
  readonly detail?: string;
};

/**
 * An Xid line as R570.86 and later print it: `NVRM: Xid (PCI:%04x:%02x:%02x): %d, [pid=%d, name=%s, ]%s`; pid and name
 * are left out altogether when the process is unknown (open-gpu-kernel-modules 570.86.15 … 590.44.01, kernel_rc.c).
 */
export function renderXidLine(line: XidLine): string {
  const process = line.process === undefined ? '' : `pid=${line.process.pid}, name=${line.process.name}, `;
  return `NVRM: Xid (PCI:${pciToXid(line.pci)}): ${line.xid}, ${process}${line.detail ?? xidTexts[line.xid] ?? ''}`.trimEnd();
}

/** Xid lines in any spelling that some reader takes, wherever they stand in the text. */
const anySpelling = /NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)[^)]*\).*?: (\d+)/;

export function parseXidLine(text: string): { readonly address: string; readonly xid: number } | undefined {
  const match = anySpelling.exec(text);
  if (match === null) return undefined;
  const [, address = '', xid] = match;
  return { address, xid: Number(xid) };
}

/** The address in `parseXidLine`, or undefined where it is none (then no reader can map it to a GPU). */
export function addressOfXidLine(address: string): PciAddress | undefined {
  try {
    return parsePci(address);
  } catch {
    return undefined;
  }
}
