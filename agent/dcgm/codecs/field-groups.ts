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
  const groups: { id: number; name: string; list: string }[] = [];
  for (const { label, text } of rows) {
    if (label === 'ID') groups.push({ id: Number(text), name: '', list: '' });
    const group = groups.at(-1);
    if (group === undefined) continue;
    if (label === 'Name') group.name = text;
    if (label === 'Field IDs') group.list += ` ${text}`;
  }
  return groups.map(({ id, name, list }) => ({
    id,
    name,
    fields: (list.replace(/\d*\.\.\.\s*$/, '').match(/\d+/g) ?? []).map(Number),
    complete: !list.includes('...'),
  }));
}

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
