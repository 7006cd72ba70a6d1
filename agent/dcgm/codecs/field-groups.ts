/** A field group of `dcgmi fieldgroup -l`: by its name and fields an engine shows who is connected to it. */
export type FieldGroup = {
  readonly id: number;
  readonly name: string;
  readonly fields: readonly number[];
  /** False where the table cut the list with `...`. */
  readonly complete: boolean;
};

type Row = { label: string; text: string };

/**
 * Reads `dcgmi fieldgroup -l`, plain or with `-j`.
 *
 * Plain: `N field groups found.`, then a table a group with the rows ID, Name and Field IDs; up to version 2 one
 * table for all, with lists cut by `...`; from 3 on lists go over several rows (DCGM, dcgmi/FieldGroup.cpp and
 * DcgmiOutput.cpp; example in the feature overview of the DCGM user guide).
 * JSON: the same line, then one document a group, `{"body": {"ID": {"value": …}, …}, "header": […]}`.
 */
export function parseFieldGroups(output: string): FieldGroup[] {
  const rows = output.includes('{') ? rowsOfJson(output) : rowsOfTable(output);
  const groups: Draft[] = [];
  for (const { label, text } of rows) {
    const last = groups.at(-1);
    // A second name or list after a lost number is another group's.
    const isNext = label === 'ID' || (label === 'Name' && last?.name !== undefined);
    if (isNext) groups.push({ id: label === 'ID' ? Number(text) : Number.NaN, name: undefined, list: [] });
    const group = groups.at(-1);
    if (group === undefined) continue;
    if (label === 'Name') group.name = text;
    if (label === 'Field IDs') group.list.push(text);
  }
  return groups.map(({ id, name = '', list }) => ({
    id,
    name,
    fields: (
      list
        .join(' ')
        .replace(/\d*\.\.\.\s*$/, '')
        .match(/\d+/g) ?? []
    ).map(Number),
    complete: list.length > 0 && !list.some((text) => text.includes('...')),
  }));
}

/** Why the list may lack groups, so that one that is not in it may be there all the same; undefined: it is whole. */
export function whyGroupsIncomplete(output: string, groups: readonly FieldGroup[]): string | undefined {
  const count = /^(\d+|No) field groups? *found/m.exec(output)?.[1];
  if (count === undefined) return 'the list of field groups has an unknown shape';
  const expected = count === 'No' ? 0 : Number(count);
  const whole = groups.filter(
    ({ id, name, fields }) => Number.isInteger(id) && name !== '' && fields.length > 0,
  );
  if (whole.length >= expected) return undefined;
  return `the engine counts ${expected} field groups, and ${whole.length} could be read`;
}

type Draft = { readonly id: number; name: string | undefined; readonly list: string[] };

function rowsOfTable(output: string): Row[] {
  const rows: Row[] = [];
  for (const line of output.split('\n')) {
    const [, left, right] = /^\s*\|?\s*([A-Za-z ]*?)\s*[|:]\s*(.*?)\s*\|?\s*$/.exec(line) ?? [];
    if (left === undefined || right === undefined || right === '') continue;
    // A row without a label goes on with the list of the row above it.
    rows.push({ label: left === '' ? (rows.at(-1)?.label ?? '') : left, text: right });
  }
  return rows;
}

function rowsOfJson(output: string): Row[] {
  return documentsOf(output).flatMap((document) => {
    const body = (document as { body?: Record<string, { value?: unknown; overflow?: unknown }> }).body ?? {};
    // jsoncpp sorts the keys, so the ID has to be put first.
    return ['ID', 'Name', 'Field IDs'].map((label) => {
      const cell = body[label];
      const overflow = Array.isArray(cell?.overflow) ? cell.overflow : [];
      return { label, text: [cell?.value ?? '', ...overflow].map(String).join(' ') };
    });
  });
}

/** jsoncpp's styled documents start and end with a brace in the first column. */
function documentsOf(output: string): unknown[] {
  return (output.match(/^\{[\s\S]*?^\}/gm) ?? []).flatMap((text) => {
    try {
      return [JSON.parse(text) as unknown];
    } catch {
      return [];
    }
  });
}
