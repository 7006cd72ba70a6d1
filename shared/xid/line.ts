import { type PciAddress, parsePci, pciToXid } from '../pci.ts';
import type { InjectXid } from '../schemas/order.ts';
import { generationOf, parseDriverVersion } from './driver.ts';

/** What stands in one Xid line. */
export type XidLine = {
  readonly pci: PciAddress;
  readonly xid: number;
  /** undefined: what this driver prints when it does not know it. */
  readonly process?: InjectXid['process'];
  /** The MIG device that the line names; undefined: none. */
  readonly mig?: InjectXid['mig'];
  /** Text behind number and process. */
  readonly text: string;
  /** undefined: the newest known. */
  readonly driverVersion?: string;
};

/** One line, as the driver of that version prints it. */
export function renderXidLine(line: XidLine): string {
  const { prefix, unknownProcess } = generationOf(parseDriverVersion(line.driverVersion));
  const address = `${prefix}${pciToXid(line.pci)}${renderMig(line.mig)}`;
  const process = line.process === undefined ? unknownProcess : renderProcess(line.process);
  return `NVRM: Xid (${address}): ${line.xid}, ${process}${line.text}`.trimEnd();
}

function renderProcess({ pid, name }: NonNullable<XidLine['process']>): string {
  return `pid=${pid}, ${name === undefined ? '' : `name=${name}, `}`;
}

function renderMig(mig: XidLine['mig']): string {
  if (mig === undefined) return '';
  const compute = mig.computeInstance === undefined ? '' : ` GPU-CI:${twoDigits(mig.computeInstance)}`;
  return ` GPU-I:${twoDigits(mig.gpuInstance)}${compute}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/**
 * Xid lines in any spelling that some reader takes, wherever they stand in the text. What only begins like a number (`1e3`, `79a`,
 * `7.9`) is none: the driver prints it with %d.
 */
const anySpelling = /NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)[^)]*\).*?: (\d+)(?!\w|\.\d)/;

/** The first Xid in a text, in any spelling of any driver; undefined: there is none. */
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
