import type { Findings } from './findings.ts';
import type { Life } from './processes.ts';

/** What the programs took at the most, over all lives. */
export type MemoryFigures = {
  readonly highestMiB: number;
  readonly mostDescriptors: number;
  /** Of the live heap, MiB a minute; 0: no life was long enough. */
  readonly steepestHeap: number;
  /** Open files a minute. */
  readonly steepestDescriptors: number;
  /** Lives that were long enough for a slope. */
  readonly judged: number;
};

/** Node's own heap limits and the sources of both programs are in it: a bound, not a target. */
const mostMiB = 400;
const mostDescriptorsOf = 200;
/** Below this age a program is still loading, and compiling what it uses. */
const grownUpMs = 45_000;
/** A shorter line says nothing. */
const longEnoughMs = 60_000;
/**
 * What the live heap may gain in a life, however long it is: code is compiled when it is first used (a coordinator that comes to lead
 * gains 2 MiB within a minute), and drills begin and end.
 */
const onceMiB = 4;
/** And with each minute: what is remembered for good, such as ended experiments and receipts, of which both programs keep a limited number. */
const perMinuteMiB = 0.5;
/** The same for open files: connections that are kept open for a while come and go. */
const onceDescriptors = 12;
const perMinuteDescriptors = 0.2;

/** Memory and open files of the programs that are drilled: below their bounds, and not growing by themselves. */
export function auditMemory(
  findings: Findings,
  lives: readonly Pick<Life, 'name' | 'samples' | 'heap'>[],
): MemoryFigures {
  const drilled = lives.filter(({ name }) => name.startsWith('agent') || name.startsWith('coordinator'));
  const samples = drilled.flatMap((life) => life.samples);
  const highestMiB = Math.max(0, ...samples.map(({ residentMiB }) => residentMiB));
  const mostDescriptors = Math.max(0, ...samples.map(({ descriptors }) => descriptors));
  if (highestMiB > mostMiB) findings.violate(`a program took ${highestMiB.toFixed(0)} MiB`);
  if (mostDescriptors > mostDescriptorsOf) findings.violate(`a program had ${mostDescriptors} open files`);
  const heaps = drilled.flatMap(({ name, heap }) =>
    slopes(
      name,
      heap().map(({ ageMs, liveMiB }) => [ageMs, liveMiB]),
    ),
  );
  const files = drilled.flatMap(({ name, samples: seen }) =>
    slopes(
      name,
      seen.map(({ ageMs, descriptors }) => [ageMs, descriptors]),
    ),
  );
  for (const { name, slope, minutes, first } of heaps)
    if (slope * minutes > onceMiB + perMinuteMiB * minutes)
      findings.violate(
        `the live heap of ${name} grew by ${slope.toFixed(2)} MiB a minute for ${minutes.toFixed(1)} minutes, from ${first.toFixed(0)} MiB`,
      );
  for (const { name, slope, minutes, first } of files)
    if (slope * minutes > onceDescriptors + perMinuteDescriptors * minutes)
      findings.violate(
        `the open files of ${name} grew by ${slope.toFixed(2)} a minute for ${minutes.toFixed(1)} minutes, from ${first}`,
      );
  return {
    ...{ highestMiB, mostDescriptors, judged: heaps.length },
    steepestHeap: Math.max(0, ...heaps.map(({ slope }) => slope)),
    steepestDescriptors: Math.max(0, ...files.map(({ slope }) => slope)),
  };
}

type Point = readonly [ageMs: number, value: number];

/** None: the life was too short. */
function slopes(name: string, all: readonly Point[]) {
  const old = all.filter(([ageMs]) => ageMs > grownUpMs);
  const [first, last] = [old[0], old.at(-1)];
  if (first === undefined || last === undefined || last[0] - first[0] < longEnoughMs) return [];
  const slope = slopeOf(old.map(([ageMs, value]) => [ageMs / 60_000, value]));
  return [{ name, slope, minutes: (last[0] - first[0]) / 60_000, first: first[1] }];
}

/** Least squares. */
function slopeOf(points: readonly (readonly [number, number])[]): number {
  const mean = (index: 0 | 1) => points.reduce((sum, point) => sum + point[index], 0) / points.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const below = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return below === 0 ? 0 : above / below;
}
