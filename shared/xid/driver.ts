/** `[580, 105, 8]`; a version that is not given, or that is none, is newer than all: the newest shape is written. */
export type DriverVersion = readonly number[];

/** A branch alone (`570`) means its newest release, hence the missing parts count as higher than any. */
export function parseDriverVersion(text: string | undefined): DriverVersion {
  const parts = /^\d+(?:\.\d+)*$/.test(text ?? '') ? (text ?? '').split('.').map(Number) : [];
  return [0, 1, 2].map((index) => parts[index] ?? Number.POSITIVE_INFINITY);
}

/** `from` may leave parts out, which then are 0. */
export function isFrom(version: DriverVersion, from: string): boolean {
  const first = from.split('.').map(Number);
  for (const [index, part] of version.entries()) {
    const limit = first[index] ?? 0;
    if (part !== limit) return part > limit;
  }
  return true;
}

/**
 * How Xid lines look, by driver generation (traps-formats-conventions.md §5.1). R515 and later are the open source of
 * kernel_rc.c; what lies before is closed and comes from documents and user logs, R495 as the limit is inferred.
 */
type Generation = {
  readonly name: string;
  readonly from: string;
  /** Before the address. */
  readonly prefix: '' | 'PCI:';
  /** What it can say of a process. */
  readonly names: readonly ('pid' | 'name')[];
  /** What stands there when the process is not known. */
  readonly unknownProcess: string;
};

const generations: readonly [Generation, ...Generation[]] = [
  { name: 'R570.86 and later', from: '570.86', prefix: 'PCI:', names: ['pid', 'name'], unknownProcess: '' },
  {
    name: 'R495 to R570.86',
    from: '495',
    prefix: 'PCI:',
    names: ['pid', 'name'],
    unknownProcess: "pid='<unknown>', name=<unknown>, ",
  },
  { name: 'R300 to R470', from: '300', prefix: 'PCI:', names: ['pid'], unknownProcess: '' },
  { name: 'before R300', from: '0', prefix: '', names: [], unknownProcess: '' },
];

/** The shape of Xid lines that this driver prints; older than all known ones: that of the oldest. */
export function generationOf(version: DriverVersion): Generation {
  return generations.find(({ from }) => isFrom(version, from)) ?? generations[0];
}

/** The first driver that prints it. MIG came with the A100, NVLink5 with Blackwell: inferred from their first drivers. */
export const firstDriverWith = {
  mig: '450',
  nvlink: '570',
  recoveryAction: '570',
  previousXid: '570.124',
} as const;
