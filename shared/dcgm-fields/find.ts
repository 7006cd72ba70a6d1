import { Refusal } from '../errors.ts';
import { textDistance } from '../text-distance.ts';
import type { FieldRow } from './row.ts';
import { fieldRows, undefinedFields } from './rows.ts';

const byId = new Map(fieldRows.map((row) => [row.id, row]));
const byName = new Map(fieldRows.flatMap((row) => namesOf(row).map((name) => [name, row] as const)));

/**
 * Finds a field by number, by its name in any DCGM version, or by its tag; letters of either case.
 * `dcgmi` itself takes numbers only and reads a name as 0, so whatever is not in the catalogue is refused here.
 */
export function findField(numberOrName: number | string, input = 'field'): FieldRow {
  const row = knownField(numberOrName);
  if (row !== undefined) return row;
  const text = String(numberOrName).trim();
  const isNumber = isDigits(text);
  const nearest = isNumber ? nearestByNumber(Number(text)) : nearestByName(text.toLowerCase());
  const suggestions = nearest.map((near) => `${near.id} ${near.name}`);
  throw new Refusal(
    'field_unknown',
    `${input}: ${whyUnknown(text, isNumber)}; near it: ${suggestions.join(', ')}`,
    {
      field: input,
      value: numberOrName,
      allowed: suggestions,
      remedy: `did you mean ${suggestions.join(', or ')}? Name a field of the catalogue by number, name or tag`,
    },
  );
}

/** As findField; undefined for what it refuses. */
export function knownField(numberOrName: number | string): FieldRow | undefined {
  const text = String(numberOrName).trim();
  return isDigits(text) ? byId.get(Number(text)) : byName.get(text.toLowerCase());
}

function isDigits(text: string): boolean {
  return /^\d+$/.test(text);
}

/** The row of a number that the catalogue itself refers to. */
export function fieldById(id: number): FieldRow {
  return findField(id);
}

function whyUnknown(text: string, isNumber: boolean): string {
  const isUndefined = undefinedFields.some((gap) => Number(text) >= gap.from && Number(text) <= gap.to);
  if (isNumber && isUndefined) return `${text} is defined in no DCGM version`;
  return `"${text}" is no DCGM field of the catalogue`;
}

function namesOf(row: FieldRow): string[] {
  const names = [row.name, row.legacyName, row.olderName, row.tag].filter((name) => name !== undefined);
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

function nearestByNumber(id: number): FieldRow[] {
  return fieldRows.toSorted((a, b) => Math.abs(a.id - id) - Math.abs(b.id - id)).slice(0, 3);
}

function nearestByName(text: string): FieldRow[] {
  const wanted = withoutPrefix(text);
  const distances = fieldRows.map((row) => {
    const own = namesOf(row).map((name) => textDistance(wanted, withoutPrefix(name)));
    return { row, distance: Math.min(...own) };
  });
  return distances
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map((near) => near.row);
}

function withoutPrefix(name: string): string {
  return name.replace(/^dcgm_fi_(dev_|system_|prof_)?/, '');
}
