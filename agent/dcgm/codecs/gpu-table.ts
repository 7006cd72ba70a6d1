/** A GPU's rows in the table of `dcgmi discovery -l`, not yet judged. */
export type TableGpu = {
  readonly id: number;
  /** `Name`, `PCI Bus ID`, `Device UUID` and whatever a later dcgmi adds; the first value where one comes twice. */
  readonly members: ReadonlyMap<string, string>;
  /** dcgmi's words where the engine could not read the GPU: `Error: …`, `Return: …`. */
  readonly errors: readonly string[];
};

/** The GPU table of `dcgmi discovery -l` as it was printed. */
export type GpuTable = {
  readonly gpus: readonly TableGpu[];
  /** The note that there are GPUs which are not active, as printed; absent: there is none. */
  readonly inactive?: string;
  /** Lines that were not understood or contradict others, with their words. */
  readonly problems: readonly string[];
};

type Draft = { id: number; members: Map<string, string>; errors: string[] };

/** More lines of an unknown shape than these are counted only. */
const quotedLines = 3;

/**
 * Reads the GPU table (DCGM dcgmi/Query.cpp, DisplayDiscoveredDevices): a summary line, maybe a note, a table whose
 * columns are found by their titles, so that a later one does no harm. The tables behind it are other devices'.
 */
export function readGpuTable(output: string): GpuTable {
  const gpus: Draft[] = [];
  const problems: string[] = [];
  const unknown: string[] = [];
  let inactive: string | undefined;
  let columns: { readonly id: number; readonly info: number } | undefined;
  let section: 'before' | 'gpus' | 'others' = 'before';
  for (const line of output.split('\n').map((text) => text.trim())) {
    if (/^\d+ GPUs? found/.test(line)) section = 'gpus';
    else if (/^\d+ \S+ found/.test(line)) section = 'others';
    else if (line.startsWith('Error')) problems.push(line);
    else if (section === 'gpus' && line.includes('not active')) inactive = line;
    else if (section === 'gpus' && line !== '' && !line.startsWith('+-')) {
      const cells = cellsOf(line);
      const titles = cells === undefined ? undefined : columnsIn(cells);
      if (titles !== undefined) columns = titles;
      else if (cells === undefined || columns === undefined || !readRow(gpus, cells, columns, problems))
        unknown.push(line);
    }
  }
  const quoted = unknown.slice(0, quotedLines).map((line) => JSON.stringify(line.slice(0, 200)));
  if (quoted.length > 0) {
    const more = unknown.length - quoted.length;
    problems.push(`not understood: ${quoted.join(', ')}${more > 0 ? ` and ${more} more lines` : ''}`);
  }
  return { gpus, problems, ...(inactive === undefined ? {} : { inactive }) };
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
  const [id, info] = [cells.indexOf('GPU ID'), cells.indexOf('Device Information')];
  return id < 0 || info < 0 ? undefined : { id, info };
}

/** False: nothing is known of such a row. */
function readRow(
  gpus: Draft[],
  cells: readonly string[],
  columns: { readonly id: number; readonly info: number },
  problems: string[],
): boolean {
  const [id = '', info] = [cells[columns.id], cells[columns.info]];
  if (info === undefined || (id !== '' && !/^\d{1,9}$/.test(id))) return false;
  if (id !== '') openGpu(gpus, Number(id), problems);
  const gpu = gpus.at(-1);
  if (gpu === undefined) return false;
  if (info === '') return true;
  const [, label, value = ''] = /^([A-Za-z][^:]*): *(.*)$/.exec(info) ?? [];
  if (label === undefined) return false;
  if (label === 'Error' || label === 'Return') addOnce(gpu.errors, info);
  else if ((gpu.members.get(label) ?? value) === value) gpu.members.set(label, value);
  else problems.push(`GPU ${gpu.id}: a second ${label}: ${JSON.stringify(value)}`);
  return true;
}

/** The rows that follow belong to this GPU; a number that comes again goes on with its GPU. */
function openGpu(gpus: Draft[], id: number, problems: string[]): void {
  const at = gpus.findIndex((gpu) => gpu.id === id);
  const known = at < 0 ? undefined : gpus.splice(at, 1)[0];
  if (known !== undefined) problems.push(`GPU ${id} is listed twice`);
  gpus.push(known ?? { id, members: new Map(), errors: [] });
}

function addOnce(texts: string[], text: string): void {
  if (!texts.includes(text)) texts.push(text);
}
