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
    fields: numbersIn(list.join(' ').trim()),
    complete: list.length > 0 && !list.some((text) => text.includes('...')),
  }));
}

/** The field group of the node monitoring agent; it goes when its connection goes (dcgm.md 1.9). */
const watchGroup = { name: 'watch', fields: [112, 856, 857] };

/** The node monitoring agent's own group among those of an engine: with it, it is connected to that engine. */
export function groupOfNma(groups: readonly FieldGroup[]): FieldGroup | undefined {
  return groups.find(
    ({ name, fields }) =>
      name === watchGroup.name && watchGroup.fields.every((field) => fields.includes(field)),
  );
}

/** The number in front of a closing `...` may have lost digits, so that it does not count. */
function numbersIn(list: string): number[] {
  const isCut = list.endsWith('...');
  const found = (isCut ? list.slice(0, -3) : list).match(/\d+/g) ?? [];
  return (isCut && /\d\.\.\.$/.test(list) ? found.slice(0, -1) : found).map(Number);
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
    const text = withoutBorders(line.trim());
    const cut = text.search(/[|:]/);
    const [left, right] = [text.slice(0, Math.max(cut, 0)).trim(), text.slice(cut + 1).trim()];
    if (cut < 0 || right === '' || !/^[A-Za-z ]*$/.test(left)) continue;
    // A row without a label goes on with the list of the row above it.
    rows.push({ label: left === '' ? (rows.at(-1)?.label ?? '') : left, text: right });
  }
  return rows;
}

/** Without the bars at both ends of a row: a pattern that skips them and blanks alike backtracks on a line of blanks. */
function withoutBorders(row: string): string {
  const start = row.startsWith('|') ? 1 : 0;
  return row.slice(start, row.length > start && row.endsWith('|') ? -1 : undefined).trim();
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
  const found: unknown[] = [];
  let open: string[] | undefined;
  for (const line of output.split('\n')) {
    if (open === undefined && line.startsWith('{')) open = [];
    if (open === undefined) continue;
    const isLast = line.startsWith('}');
    open.push(isLast ? '}' : line);
    if (!isLast) continue;
    try {
      found.push(JSON.parse(open.join('\n')));
    } catch {
      // No document of jsoncpp's: the number of groups in the line above then does not fit what was read.
    }
    open = undefined;
  }
  return found;
}
