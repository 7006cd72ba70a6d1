import { readFileSync } from 'node:fs';

export type TableReaction = {
  readonly kind: 'condition' | 'event';
  readonly type: string;
  readonly reason: string;
  readonly message: string;
};

export type TableRow = {
  readonly nma: string;
  /** The version in whose column it stands: nma.md §7 names no change of Xids between the two. */
  readonly column: string;
  readonly engine: string;
  readonly xid: number;
  readonly policy: TableReaction;
  /** At the next check of the engine's health; undefined: none. */
  readonly health: TableReaction | undefined;
};

/** The page's tables, one row for each version of the monitoring agent and each Xid. */
export function readXidTable(): readonly TableRow[] {
  const lines = readFileSync(new URL('xid-reactions.tsv', import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
  const cells = lines.map((line) => line.split('\t'));
  const texts = new Map<string, TableReaction>();
  const engines = new Map<string, string>();
  const columnOf = new Map<string, string>();
  for (const [head, key = '', ...rest] of cells) {
    if (head === '# text') texts.set(key, reactionFrom(rest));
    if (head === '# as') for (const nma of rest) columnOf.set(nma, key);
    if (head === '# engine') for (const nma of rest) engines.set(nma, key);
  }
  const textOf = (key: string | undefined, number: string) => {
    const found = texts.get(key ?? '');
    if (found === undefined) throw new RangeError(`xid-reactions.tsv: no text ${key}`);
    const fill = (text: string) => text.replace('%d', number);
    return { ...found, reason: fill(found.reason), message: fill(found.message) };
  };
  const [columns = [], ...rows] = cells.filter(([head]) => head?.startsWith('#') === false);
  return [...engines].flatMap(([nma, engine]) => {
    const column = columnOf.get(nma) ?? nma;
    return rows.map((row) => {
      const [xid = ''] = row;
      const cell = (name: string) => row[columns.indexOf(name)];
      const [, code = '', result] = /^(\d+)([WF])$/.exec(cell(`health ${engine}`) ?? '') ?? [];
      return {
        nma,
        column,
        engine,
        xid: Number(xid),
        policy: textOf(cell(column), xid),
        health: result === undefined ? undefined : textOf(result, code),
      };
    });
  });
}

function reactionFrom([kind, type = '', reason = '', message = '']: readonly string[]): TableReaction {
  if (kind !== 'condition' && kind !== 'event') throw new RangeError(`xid-reactions.tsv: kind ${kind}`);
  return { kind, type, reason, message };
}
