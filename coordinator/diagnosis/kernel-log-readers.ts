import { type PciAddress, pciToXid } from '../../shared/pci.ts';
import { addressOfXidLine, parseXidLine } from '../../shared/xid/line.ts';

/** A program that reads Xid lines from the kernel log, with the pattern that it uses. NMA is none of them. */
type KernelLogReader = {
  readonly name: string;
  readonly reads: string;
  /** Runs on the text behind the record's prefix. */
  readonly pattern: RegExp;
  /** The only Xids that it takes; absent: all. */
  readonly xids?: readonly number[];
  /** The address has to be the driver's own spelling, because it is compared as a text. */
  readonly exactAddress?: boolean;
  readonly note?: string;
  readonly source: string;
};

/** Patterns as they stand in the sources (traps-formats-conventions.md §5.4, dcgm.md §1.7), read 2026-11. */
const kernelLogReaders: readonly KernelLogReader[] = [
  {
    name: 'gpud',
    reads: '/dev/kmsg',
    pattern: /NVRM: Xid \(((?:PCI:)?[0-9a-fA-F:]+)\).*?: (\d+),/,
    note: 'the same text again within 15 min is dropped',
    source: 'leptonai/gpud',
  },
  {
    name: 'NVSentinel',
    reads: 'the journal',
    pattern:
      /NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)(?:, pid=(\d+))?(?:, name=([^,]+))?(?:, Ch ([0-9a-fA-F]+))?/,
    source: 'NVIDIA/NVSentinel, patterns package',
  },
  {
    name: 'Meta gcm',
    reads: 'dmesg',
    pattern: /NVRM: Xid \([^)]+\): (\d+)/,
    source: 'facebookresearch/gcm',
  },
  {
    name: 'DCGM’s host engine',
    reads: '/dev/kmsg',
    pattern: /NVRM: Xid \(PCI:(.*)\): (\d+),/,
    xids: [79, 119, 120],
    exactAddress: true,
    note: 'it tells nobody, NMA included',
    source: 'NVIDIA/DCGM dcgmlib/src/DcgmKmsgReader.cpp',
  },
];

type ReaderVerdict = { readonly reader: KernelLogReader; readonly rejects: string | undefined };

/** What every reader makes of a line; undefined: it takes it. */
export function judgeLine(text: string): readonly ReaderVerdict[] {
  const line = parseXidLine(text);
  return kernelLogReaders.map((reader) => ({
    reader,
    rejects: line === undefined ? 'it is no Xid line' : why(reader, text, line),
  }));
}

function why(
  reader: KernelLogReader,
  text: string,
  line: { address: string; xid: number },
): string | undefined {
  if (reader.xids !== undefined && !reader.xids.includes(line.xid))
    return `it takes only Xid ${reader.xids.join(', ')}`;
  if (!reader.pattern.test(text)) return `its pattern does not match the address ${line.address}`;
  const pci = addressOfXidLine(line.address);
  if (reader.exactAddress === true && (pci === undefined || line.address !== pciToXid(pci))) {
    return `it compares the address as a text, and ${line.address} is no driver’s spelling`;
  }
  return undefined;
}

/** How a driver would have spelled the address of this line; undefined where it is spelled so, or is no address. */
export function driverSpelling(text: string): { readonly given: string; readonly usual: string } | undefined {
  const given = parseXidLine(text)?.address;
  const pci: PciAddress | undefined = given === undefined ? undefined : addressOfXidLine(given);
  if (given === undefined || pci === undefined || given === pciToXid(pci)) return undefined;
  return { given, usual: pciToXid(pci) };
}
