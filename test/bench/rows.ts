/** One line of the result. A row without a target is there to be compared with another day's. */
export type Row = {
  readonly name: string;
  /** null: not measured here; `note` says why. */
  readonly value: number | null;
  readonly unit: 'ms' | 'MiB' | 'MB' | 'KiB' | 'times';
  readonly target?: { readonly below: number } | { readonly atLeast: number };
  readonly note?: string;
};

export type Outcome = 'met' | 'missed' | 'skipped' | 'no target';

export function outcomeOf({ value, target }: Row): Outcome {
  if (value === null) return 'skipped';
  if (target === undefined) return 'no target';
  return ('below' in target ? value < target.below : value >= target.atLeast) ? 'met' : 'missed';
}

export function renderTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [row.name, shown(row), targetText(row), resultText(row)]);
  const all = [['', 'measured', 'target', 'result'], ...cells];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const lines = all.map(([name = '', measured = '', target = '', result = '']) =>
    `${name.padEnd(widths[0] ?? 0)}  ${measured.padStart(widths[1] ?? 0)}  ${target.padEnd(widths[2] ?? 0)}  ${result}`.trimEnd(),
  );
  const notes = rows.flatMap(({ name, note }) => (note === undefined ? [] : [`  ${name}: ${note}`]));
  return `${[...lines, ...(notes.length === 0 ? [] : ['', ...notes])].join('\n')}\n`;
}

const digits: Readonly<Record<Row['unit'], number>> = { ms: 2, MiB: 1, MB: 2, KiB: 0, times: 1 };

function shown({ value, unit }: Row): string {
  return value === null ? '–' : `${value.toFixed(digits[unit])} ${unit}`;
}

function targetText({ target, unit }: Row): string {
  if (target === undefined) return '';
  return 'below' in target ? `< ${target.below} ${unit}` : `≥ ${target.atLeast} ${unit}`;
}

function resultText(row: Row): string {
  const outcome = outcomeOf(row);
  return outcome === 'no target' ? '' : outcome;
}
