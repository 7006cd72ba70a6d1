import { type PciAddress, pciToXid } from '../../../shared/pci.ts';
import { xidsReadByEngine } from '../../../shared/xid/guard.ts';
import { addressOfXidLine, parseXidLine } from '../../../shared/xid/line.ts';
import { isNvlink5 } from '../../../shared/xid/nvlink.ts';
import { journalEntryOf } from './journald.ts';

/** Where a reader takes its lines from, and what it gets to see of a record. */
export type ReaderSurface = '/dev/kmsg' | 'dmesg' | 'the journal' | 'journalctl -k';

/** What a line is about; a reader is asked only about lines of its kind. */
export type LineSubject =
  | 'Xid'
  | 'NVLink5 error'
  | 'GPU UUID'
  | 'GPU fallen off'
  | 'GPU missing at load'
  | 'SXid';

/** A program that looks for driver messages in the kernel log, with the pattern that it uses. */
export type KernelLogReader = {
  /** The program. Several of its patterns are several readers, distinguished by `looksFor`. */
  readonly name: string;
  readonly looksFor: LineSubject;
  readonly reads: ReaderSurface;
  /** All of them have to match what it gets to see; none at all: it has no rule for such lines. */
  readonly patterns: readonly RegExp[];
  /** It leaves lines with this alone. */
  readonly skips?: RegExp;
  /** The only Xids that it takes; absent: all. */
  readonly xids?: readonly number[];
  /** The address has to be the driver's own spelling, because it is compared as a text. */
  readonly exactAddress?: boolean;
  readonly note?: string;
  readonly source: string;
};

/** Facility `user`, error: what the kernel makes of a write to /dev/kmsg, by any program (traps §4a, 2). */
const userSpacePriority = 11;

const gpud = { name: 'gpud', reads: '/dev/kmsg', source: 'leptonai/gpud' } as const;
const nvSentinel = {
  name: 'NVSentinel',
  reads: 'the journal',
  source: 'NVIDIA/NVSentinel, patterns package',
} as const;
const onlyKern = 'releases that read SYSLOG_FACILITY=0 only (#1426) see no record of user space at all';

/** Patterns as they stand in the sources (traps-formats-conventions.md §5.4, dcgm.md §1.7), read 2026-11. */
export const kernelLogReaders: readonly KernelLogReader[] = [
  {
    ...gpud,
    looksFor: 'Xid',
    patterns: [/NVRM: Xid \(((?:PCI:)?[0-9a-fA-F:]+)\).*?: (\d+),/],
    note: 'the same text again within 15 min is dropped, as are 63 and 64 on GPUs that remap rows',
  },
  {
    ...gpud,
    name: 'gpud (older releases)',
    reads: 'dmesg',
    looksFor: 'Xid',
    patterns: [/NVRM: Xid.*?: (\d+),/],
  },
  {
    ...nvSentinel,
    looksFor: 'Xid',
    patterns: [
      /NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)(?:, pid=(\d+))?(?:, name=([^,]+))?(?:, Ch ([0-9a-fA-F]+))?/,
    ],
    note: onlyKern,
  },
  {
    name: 'Meta gcm',
    looksFor: 'Xid',
    reads: 'dmesg',
    patterns: [/NVRM: Xid \([^)]+\): (\d+)/],
    source: 'facebookresearch/gcm',
  },
  {
    name: 'awsome-distributed-ai',
    looksFor: 'Xid',
    reads: 'journalctl -k',
    patterns: [/NVRM.*Xid/i, /.*Xid[^)]*\):\s*([0-9]+).*/],
    source: 'awsome-distributed-ai, check 0-nvidia-smi',
  },
  {
    name: 'DCGM’s host engine',
    looksFor: 'Xid',
    reads: '/dev/kmsg',
    patterns: [/NVRM: Xid \(PCI:(.*)\): (\d+),/],
    xids: xidsReadByEngine,
    exactAddress: true,
    note: 'it reports to no one, NMA included',
    source: 'NVIDIA/DCGM dcgmlib/src/DcgmKmsgReader.cpp',
  },
  {
    name: 'node-problem-detector',
    looksFor: 'Xid',
    reads: '/dev/kmsg',
    patterns: [],
    note: 'a custom rule may have a pattern',
    source: 'kubernetes/node-problem-detector, config/',
  },
  {
    name: 'EKS NMA',
    looksFor: 'Xid',
    reads: '/dev/kmsg',
    patterns: [],
    note: 'it gets Xids from the host engine, field 230',
    source: 'nma.md §0.1',
  },
  {
    ...gpud,
    looksFor: 'NVLink5 error',
    patterns: [
      /NVRM: Xid \(PCI:([0-9a-fA-F:]+)\): (\d+)(?:, pid=(\d+), name=([^,]+))?, ([A-Z_]+(?:\/[A-Z_]+)?)\s+(Nonfatal|Fatal)\s+(XC[01])\s+(i\d+)\s+Link\s+(-?\d+)\s+\((0x[0-9a-fA-F]+)\s+(0x[0-9a-fA-F]+)(?:\s+(0x[0-9a-fA-F]+))?(?:\s+(0x[0-9a-fA-F]+))?(?:\s+(0x[0-9a-fA-F]+))?(?:\s+(0x[0-9a-fA-F]+))?/,
    ],
    note: 'without it the sub-code is lost and the Xid alone is taken',
  },
  {
    ...nvSentinel,
    looksFor: 'NVLink5 error',
    patterns: [
      /NVRM: Xid \(PCI:([^)]+)\): (\d+)(?:, pid=[^,]*)?(?:, name=[^,]*)?, (\w+)\s+(\w+)\s+(\w+)\s+(\w+)\s+Link\s+(-?\d+)\s+\((0x[0-9a-fA-F]+)\s+(0x[0-9a-fA-F]+)/,
    ],
    note: 'without it the sub-code is lost and the Xid alone is taken',
  },
  {
    ...nvSentinel,
    looksFor: 'GPU UUID',
    patterns: [/NVRM: GPU at PCI:([0-9a-fA-F:.]+): (GPU-[0-9a-fA-F-]+)/],
    note: onlyKern,
  },
  {
    ...gpud,
    looksFor: 'GPU fallen off',
    patterns: [
      /NVRM:\s+GPU ((?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2})\.0:\s+GPU has fallen off the bus\.?/,
    ],
  },
  {
    ...gpud,
    looksFor: 'GPU missing at load',
    patterns: [
      /NVRM:\s+The NVIDIA GPU ((?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2})\.0.*?fallen off the bus and is not responding to commands\./s,
    ],
  },
  {
    ...nvSentinel,
    looksFor: 'GPU missing at load',
    patterns: [
      /NVRM: The NVIDIA GPU ([0-9a-fA-F:.]+).*?fallen off the bus and is not responding to commands/s,
    ],
    skips: /\bXid\b/,
    note: onlyKern,
  },
  {
    ...gpud,
    looksFor: 'SXid',
    patterns: [/SXid.*?: (\d+),/, /SXid \((PCI:[0-9a-fA-F:.]+)\)/],
    note: 'one fault is three lines, and each of them is taken',
  },
  {
    ...nvSentinel,
    looksFor: 'SXid',
    patterns: [
      /nvidia-nvswitch(\d+): SXid \(PCI:([0-9a-fA-F:.]+)\): (\d+), (Fatal|Non-fatal), Link (\d+) (.+)/,
    ],
    note: 'only the line that names a link',
  },
  {
    name: 'awsome-distributed-ai',
    looksFor: 'SXid',
    reads: 'journalctl -k',
    patterns: [/SXid/i],
    source: 'awsome-distributed-ai, check 0-nvidia-smi',
  },
];

/** Whether a reader takes a line, and if not, what it misses. */
export type ReaderVerdict = {
  readonly reader: KernelLogReader;
  /** undefined: it takes the line. */
  readonly rejects: string | undefined;
};

/**
 * What every reader of such lines makes of one that user space writes into the kernel log: the record is not of the
 * kernel's facility, and journald cuts an identifier off its head. Empty for lines that no reader here looks for.
 */
export function judgeLine(text: string): readonly ReaderVerdict[] {
  return verdicts(text, (reader) => visibleTo(reader.reads, text));
}

/** The same for a line that a driver prints, which everybody sees whole. */
export function judgeDriverLine(text: string): readonly ReaderVerdict[] {
  return verdicts(text, () => text);
}

function verdicts(text: string, visible: (reader: KernelLogReader) => string): readonly ReaderVerdict[] {
  const subjects = subjectsOf(text);
  return kernelLogReaders
    .filter(({ looksFor }) => subjects.includes(looksFor))
    .map((reader) => ({ reader, rejects: why(reader, text, visible(reader)) }));
}

function subjectsOf(text: string): readonly LineSubject[] {
  if (/\bXid \(/.test(text)) {
    const { xid } = parseXidLine(text) ?? {};
    return xid !== undefined && isNvlink5(xid) ? ['Xid', 'NVLink5 error'] : ['Xid'];
  }
  return lineSubjects.filter(([, pattern]) => pattern.test(text)).map(([subject]) => subject);
}

const lineSubjects: readonly (readonly [LineSubject, RegExp])[] = [
  ['SXid', /\bSXid\b/],
  ['GPU UUID', /\bGPU at PCI:/],
  ['GPU fallen off', /\bGPU has fallen off the bus/],
  // A driver prints three lines as one record; user space can write them as three only.
  [
    'GPU missing at load',
    /\bThe NVIDIA GPU |NVRM: \(PCI ID: |NVRM: fallen off the bus and is not responding/,
  ],
];

function visibleTo(surface: ReaderSurface, text: string): string {
  if (surface === '/dev/kmsg' || surface === 'dmesg') return text;
  const { identifier, message } = journalEntryOf({ priority: userSpacePriority, text });
  // journalctl prints the identifier in front of the message again.
  return surface === 'journalctl -k' && identifier !== undefined ? `${identifier}: ${message}` : message;
}

function why(reader: KernelLogReader, written: string, seen: string): string | undefined {
  const { patterns, skips, xids } = reader;
  const line = parseXidLine(written);
  if (patterns.length === 0) return `it has no rule for ${reader.looksFor} lines`;
  if (xids !== undefined && line !== undefined && !xids.includes(line.xid))
    return `it takes only Xid ${xids.join(', ')}`;
  if (skips?.test(seen) === true) return `it leaves lines with ${skips.source} to others`;
  if (!matches(reader, seen))
    return matches(reader, written) ? whyCut(reader, written, seen) : whyNot(reader, written);
  if (reader.exactAddress !== true || line === undefined) return undefined;
  const pci = addressOfXidLine(line.address);
  if (pci !== undefined && line.address === pciToXid(pci)) return undefined;
  return `it compares the address as a text, and ${line.address} is no driver’s spelling`;
}

function matches({ patterns }: KernelLogReader, text: string): boolean {
  return patterns.every((pattern) => pattern.test(text));
}

function whyCut({ reads }: KernelLogReader, written: string, seen: string): string {
  const cut = written.slice(0, written.length - seen.length).trim();
  return `it reads ${reads}, and journald cuts "${cut}" off a record of user space; with "kernel: " in front that would be cut instead`;
}

/** The part of the line that keeps a pattern from matching, as far as it can be found. */
function whyNot({ looksFor }: KernelLogReader, text: string): string {
  if (looksFor === 'GPU missing at load')
    return 'it wants the three lines in one record, which only a driver writes';
  if (looksFor !== 'Xid') return `its pattern for ${looksFor} lines does not match the text`;
  const line = parseXidLine(text);
  if (line === undefined) return 'it is no Xid line';
  if (text.includes(' GPU-I:')) return 'its pattern has no place for the MIG device behind the address';
  if (!text.includes('(PCI:')) return 'its pattern wants "PCI:" before the address';
  if (!text.includes(`: ${line.xid},`)) return 'its pattern wants a comma behind the number';
  return `its pattern does not match the address ${line.address}`;
}

/** How a driver would have spelled the address of this line; undefined where it is spelled so, or is no address. */
export function driverSpelling(text: string): { readonly given: string; readonly usual: string } | undefined {
  const given = parseXidLine(text)?.address;
  const pci: PciAddress | undefined = given === undefined ? undefined : addressOfXidLine(given);
  if (given === undefined || pci === undefined || given === pciToXid(pci)) return undefined;
  return { given, usual: pciToXid(pci) };
}
