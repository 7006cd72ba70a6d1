import { parsePci } from '../pci.ts';
import type { DiscoveredGpus } from '../schemas/inventory.ts';
import { identityLabels, readGpuTable, type TableGpu } from './gpu-table.ts';

/** A GPU as `dcgmi discovery -l` lists it; `id` is this engine's own number. */
export type EngineGpu = {
  readonly id: number;
  /** Empty: the engine does not know it. */
  readonly name: string;
  /** As NVML spells it: `00000000:3B:00.0`. Empty: the engine does not know it. */
  readonly pci: string;
  /** Empty: the engine does not know it. */
  readonly uuid: string;
};

/** What `dcgmi discovery -l` printed about GPUs. */
export type Discovery = DiscoveredGpus & {
  /** Those that can be told from others: by PCI address, UUID or both. */
  readonly gpus: readonly EngineGpu[];
  /** What was not understood or does not fit together, with dcgmi's own words. */
  readonly problems: readonly string[];
};

/** What the engine prints for a text that it cannot read from the driver any more. */
const blank = '<<<NULL>>>';

/** Before DCGM's own answer in an error row. */
const returnLabel = 'Return: ';

/** What dcgmi prints for DCGM_ST_GPU_IS_LOST (dcgm_structs.h, errorString). */
const lostText = 'GPU is lost';

/**
 * Reads `dcgmi discovery -l`. A GPU is kept with whatever identifies it; one with neither address nor UUID is in
 * `unreadableGpus` with the words that stand in its place. An engine that prints blanks for every GPU stopped reading
 * the driver (it does so after a kernel-log line with Xid 119) until it is restarted.
 */
export function parseDiscovery(output: string): Discovery {
  const summary = /^(\d+) GPUs? found/m.exec(output)?.[1];
  const table = readGpuTable(output);
  if (summary === undefined && !table.isThere) {
    const because = `the list of GPUs has an unknown shape: ${quote(firstLine(output))}`;
    return { gpus: [], problems: [because], gpuListIncomplete: because };
  }
  const incomplete = whyIncomplete(summary, table.gpus.length);
  const problems = [...table.problems];
  if (incomplete !== undefined) problems.push(incomplete);
  else if (table.gpus.length > Number(summary))
    problems.push(`the engine counts ${summary} GPUs and lists ${table.gpus.length}`);
  const gpus: EngineGpu[] = [];
  const unreadable: NonNullable<Discovery['unreadableGpus']> = [];
  for (const row of table.gpus) {
    const gpu = identityOf(row, problems);
    if (gpu.pci !== '' || gpu.uuid !== '') gpus.push(gpu);
    else unreadable.push({ id: row.id, because: whyUnreadable(row), lost: row.errors.some(saysLost) });
  }
  problems.push(...sharedIdentities(gpus));
  const isBlind = table.gpus.length > 0 && table.gpus.every(isBlank);
  if (isBlind) {
    const ids = table.gpus.map(({ id }) => id).join(', ');
    problems.push(
      `the engine answers ${blank} for GPU ${ids}: it no longer reads the driver until it is restarted ` +
        '(a kernel-log line with Xid 119 does this)',
    );
  }
  return {
    gpus,
    problems,
    ...(unreadable.length === 0 ? {} : { unreadableGpus: unreadable }),
    ...(table.inactive === undefined ? {} : { inactiveGpus: table.inactive }),
    ...(incomplete === undefined ? {} : { gpuListIncomplete: incomplete }),
  };
}

function whyIncomplete(count: string | undefined, listed: number): string | undefined {
  if (count === undefined) return `the line with the number of GPUs is missing; ${listed} are listed`;
  return listed < Number(count) ? `the engine counts ${count} GPUs and lists ${listed}` : undefined;
}

function identityOf(row: TableGpu, problems: string[]): EngineGpu {
  const known = (label: (typeof identityLabels)[number], isValid: (text: string) => boolean) => {
    const text = row.isMixedUp ? undefined : row.members.get(label);
    if (text === undefined || text === blank || text === '') return '';
    if (isValid(text)) return text;
    problems.push(`GPU ${row.id}: its ${label} ${quote(text)} is none`);
    return '';
  };
  return {
    id: row.id,
    name: known('Name', () => true),
    pci: known('PCI Bus ID', isPci),
    uuid: known('Device UUID', (text) => /^GPU-\S+$/.test(text)),
  };
}

function isBlank({ members }: TableGpu): boolean {
  return identityLabels.every((label) => members.get(label) === blank);
}

function whyUnreadable({ errors, members, isMixedUp }: TableGpu): string {
  if (isMixedUp) return 'its rows in the output contradict one another';
  const returned = errors.find((text) => text.startsWith(returnLabel));
  const others = errors.filter((text) => text !== returned).join(' ');
  if (returned !== undefined) {
    const answer = returned.slice(returnLabel.length).trim();
    return others === '' ? answer : `${answer} (${others})`;
  }
  if (others !== '') return others;
  if (members.size === 0) return 'the output holds nothing about it';
  return [...members].map(([label, text]) => `${label}: ${text}`).join(', ');
}

function saysLost(text: string): boolean {
  return text.includes(lostText);
}

/** Two numbers for one GPU: the output was mixed up, or the engine is. */
function sharedIdentities(gpus: readonly EngineGpu[]): string[] {
  return (['pci', 'uuid'] as const).flatMap((key) => {
    const known = gpus.filter((gpu) => gpu[key] !== '');
    const twice = known.filter((gpu, index) => known.findIndex((other) => other[key] === gpu[key]) < index);
    return twice.map((gpu) => `GPU ${gpu.id}: another GPU of the list has ${gpu[key]} too`);
  });
}

function isPci(text: string): boolean {
  try {
    parsePci(text);
    return true;
  } catch {
    return false;
  }
}

function firstLine(output: string): string {
  return output.split('\n').find((line) => line.trim() !== '') ?? '';
}

function quote(text: string): string {
  return text.trim() === '' ? 'no text' : JSON.stringify(text.trim().slice(0, 200));
}

/** DCGM releases of `dcgmi` and of the engine it asked; null: not in the output, or twice and not the same. */
export type Versions = { readonly client: string | null; readonly engine: string | null };

/**
 * Reads `dcgmi -v`: the same block twice, for the client and for the host engine. The second one is missing when the
 * engine does not answer within 100 ms; the exit code is 0 all the same.
 */
export function parseVersions(output: string): Versions {
  // What stands before the first title is the client's: `dcgmi --version` prints none.
  const [first = '', ...rest] = output.split(/^(Local|Hostengine) build info:/m);
  const blocks = rest.flatMap((title, index) =>
    index % 2 === 0 ? [{ title, text: rest[index + 1] ?? '' }] : [],
  );
  const textOf = (wanted: string) => blocks.filter(({ title }) => title === wanted).map(({ text }) => text);
  return { client: versionIn([first, ...textOf('Local')]), engine: versionIn(textOf('Hostengine')) };
}

function versionIn(blocks: readonly string[]): string | null {
  // To the end of its line: of a line that was cut off, a part of a number may be missing.
  const pattern = /^[ \t]*(?:dcgmi[ \t]+)?version[ \t]*:[ \t]*(\d+\.\d+\.\d+)(?:[-+.]\S*)?[ \t]*\r?\n/gim;
  const found = new Set(blocks.flatMap((text) => [...text.matchAll(pattern)].map(([, version]) => version)));
  const [version] = found;
  return found.size === 1 ? (version ?? null) : null;
}
