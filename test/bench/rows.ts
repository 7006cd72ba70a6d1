/** One line of the result. A row without a target is there to be compared with another day's. */
export type Row = {
  readonly name: string;
  /** null: not measured here; `note` says why. */
  readonly value: number | null;
  readonly unit: 'ms' | 's' | 'MiB' | 'MB' | 'KiB' | 'times' | 'requests' | '';
  readonly target?: { readonly below: number } | { readonly atMost: number } | { readonly atLeast: number };
  readonly note?: string;
};

export type Outcome = 'met' | 'missed' | 'skipped' | 'no target';

export function outcomeOf({ value, target }: Row): Outcome {
  if (value === null) return 'skipped';
  if (target === undefined) return 'no target';
  return isMet(value, target) ? 'met' : 'missed';
}

function isMet(value: number, target: NonNullable<Row['target']>): boolean {
  if ('below' in target) return value < target.below;
  return 'atMost' in target ? value <= target.atMost : value >= target.atLeast;
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

const digits: Readonly<Record<Row['unit'], number>> = {
  ms: 2,
  s: 2,
  MiB: 1,
  MB: 2,
  KiB: 0,
  times: 1,
  requests: 2,
  '': 0,
};

function shown({ value, unit }: Row): string {
  return value === null || Number.isNaN(value) ? '–' : `${value.toFixed(digits[unit])} ${unit}`;
}

function targetText({ target, unit }: Row): string {
  if (target === undefined) return '';
  if ('below' in target) return `< ${target.below} ${unit}`;
  return 'atMost' in target ? `≤ ${target.atMost} ${unit}` : `≥ ${target.atLeast} ${unit}`;
}

function resultText(row: Row): string {
  const outcome = outcomeOf(row);
  return outcome === 'no target' ? '' : outcome;
}
