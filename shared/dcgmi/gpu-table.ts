/** A GPU's rows in the table of `dcgmi discovery -l`, not yet judged. */
export type TableGpu = {
  readonly id: number;
  /** `Name`, `PCI Bus ID`, `Device UUID` and whatever a later dcgmi adds; the first value where one comes twice. */
  readonly members: ReadonlyMap<string, string>;
  /** dcgmi's words where the engine could not read the GPU: `Error: …`, `Return: …`. */
  readonly errors: readonly string[];
  /** Its rows contradict one another: they may be those of two GPUs, so that nothing in them counts. */
  readonly isMixedUp: boolean;
};

/** The GPU table of `dcgmi discovery -l` as it was printed. */
export type GpuTable = {
  readonly gpus: readonly TableGpu[];
  /** There is a table of GPUs at all. */
  readonly isThere: boolean;
  /** The note that there are GPUs which are not active, as printed; absent: there is none. */
  readonly inactive?: string;
  /** Lines that were not understood or contradict others, with their words. */
  readonly problems: readonly string[];
};

type Draft = { id: number; members: Map<string, string>; errors: string[]; isMixedUp: boolean };

/** All that dcgmi prints of a healthy GPU. */
export const identityLabels = ['Name', 'PCI Bus ID', 'Device UUID'] as const;

/** More lines of an unknown shape than these are counted only. */
const quotedLines = 3;

/**
 * Reads the GPU table (DCGM dcgmi/Query.cpp, DisplayDiscoveredDevices): a summary line, maybe a note, a table whose
 * columns are found by their titles, so that a later one does no harm, and a ruler behind each GPU. The tables behind it
 * are other devices'.
 */
export function readGpuTable(output: string): GpuTable {
  const gpus: Draft[] = [];
  const problems: string[] = [];
  const unknown: string[] = [];
  let inactive: string | undefined;
  let columns = usualColumns;
  let open: Draft | undefined;
  let section: 'before' | 'gpus' | 'others' = 'before';
  let isThere = false;
  for (const line of output.split('\n').map((text) => text.trim())) {
    if (/^\d+ GPUs? found/.test(line)) section = 'gpus';
    else if (/^\d+ \S+ found/.test(line)) section = 'others';
    else if (line.startsWith('Error')) problems.push(line);
    else if (section === 'gpus' && line.includes('not active')) inactive = line;
    else if (line.startsWith('+-')) open = undefined;
    else if (line !== '') {
      const cells = cellsOf(line);
      const titles = columnsIn(cells ?? []);
      if (titles !== undefined) {
        [columns, section, isThere, open] = [titles, 'gpus', true, undefined];
      } else if (cells?.includes(infoTitle) === true) section = 'others';
      else if (section === 'gpus') {
        // A row without the second column is another device's.
        const id = cells?.[columns.info] === undefined ? '' : (cells[columns.id] ?? '');
        if (/^\d{1,9}$/.test(id)) open = openGpu(gpus, Number(id), problems);
        const isId = id === '' || open?.id === Number(id);
        if (!isId || !readInfo(open, cells?.[columns.info])) unknown.push(line);
      }
    }
  }
  const quoted = unknown.slice(0, quotedLines).map((line) => JSON.stringify(line.slice(0, 200)));
  if (quoted.length > 0) {
    const more = unknown.length - quoted.length;
    problems.push(`not understood: ${quoted.join(', ')}${more > 0 ? ` and ${more} more lines` : ''}`);
  }
  return { gpus, isThere, problems, ...(inactive === undefined ? {} : { inactive }) };
}

/** undefined: no whole row of a table; a row that lost its end may have lost a part of its value. */
function cellsOf(line: string): string[] | undefined {
  if (line.length < 2 || !line.startsWith('|') || !line.endsWith('|')) return undefined;
  return line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim());
}

function columnsIn(cells: readonly string[]): { readonly id: number; readonly info: number } | undefined {
  const [id, info] = [cells.indexOf('GPU ID'), cells.indexOf(infoTitle)];
  return id < 0 || info < 0 ? undefined : { id, info };
}

/** Other devices' tables have this title, too. */
const infoTitle = 'Device Information';
const usualColumns = { id: 0, info: 1 };

/** False: it is none of this GPU's, or not known what it means. */
function readInfo(gpu: Draft | undefined, info: string | undefined): boolean {
  if (gpu === undefined || info === undefined) return false;
  if (info === '') return true;
  const [, label, value = ''] = /^([A-Za-z][^:]*): *(.*)$/.exec(info) ?? [];
  if (label === undefined) return false;
  if (label === 'Error' || label === 'Return') {
    addOnce(gpu.errors, info);
    return true;
  }
  const known = gpu.members.get(label);
  if (known === undefined || known === value) {
    gpu.members.set(label, value);
    return true;
  }
  // The first rows of a GPU that stands there whole are its own; what follows lost the line with its number.
  if (!identityLabels.every((each) => gpu.members.has(each))) gpu.isMixedUp = true;
  return false;
}

/** The rows that follow belong to this GPU; a number that comes again goes on with its GPU. */
function openGpu(gpus: Draft[], id: number, problems: string[]): Draft {
  const known = gpus.find((gpu) => gpu.id === id);
  if (known !== undefined) {
    addOnce(problems, `GPU ${id} is listed twice`);
    return known;
  }
  const draft = { id, members: new Map(), errors: [], isMixedUp: false };
  gpus.push(draft);
  return draft;
}

function addOnce(texts: string[], text: string): void {
  if (!texts.includes(text)) texts.push(text);
}
