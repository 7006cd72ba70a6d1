import type { Static } from 'typebox';
import { dcgm } from './dcgm.ts';
import { hostEngine } from './host-engine.ts';
import { journal } from './journal.ts';
import { kernelLog } from './kernel-log.ts';
import { logFile } from './log-file.ts';
import type { SurfaceRow } from './row.ts';

/** Every surface. A new one is a file beside this and a line here; the compiler names what agent and coordinator lack. */
export const surfaceRows = [kernelLog, dcgm, journal, logFile, hostEngine] as const;

type Row = (typeof surfaceRows)[number];

/** Where a fault is written. */
export type Surface = Row['name'];

/** Every surface by name, in the order of the table. */
export const surfaces: readonly Surface[] = surfaceRows.map(({ name }) => name);

/** The methods of the rows, each with its body and its parts. */
export type SurfaceMethods = Intersection<Row['methods']>;

/** Every method that writes to one surface alone. */
export const surfaceMethods = Object.assign(
  {},
  ...surfaceRows.map(({ methods }) => methods),
) as SurfaceMethods;

/** What an order writes to a surface, one entry of the receipt: the agent carries exactly this out, a plan shows exactly this. */
export type PartOf<S extends Surface> = Extract<
  ReturnType<SurfaceMethods[keyof SurfaceMethods]['script']>[number],
  { readonly surface: S }
>;
/** A part of an order, whatever its surface. */
export type Part = PartOf<Surface>;

/** What a receipt has of a write, whatever its surface. */
export type ReadBack = Static<Row['readBack']>;

/** The row of a surface. */
export function surfaceRow(name: Surface): SurfaceRow {
  const row = surfaceRows.find((candidate) => candidate.name === name);
  if (row === undefined) throw new RangeError(`no surface ${name}`);
  // Its parts are of this surface: the compiler cannot follow the pair through the look-up.
  return row as unknown as SurfaceRow;
}

/** Refuses a part that no node would take, as its row does. */
export function checkPart(part: Part): void {
  surfaceRow(part.surface).check?.(part);
}

type Intersection<U> = (U extends unknown ? (each: U) => void : never) extends (all: infer I) => void
  ? I
  : never;
