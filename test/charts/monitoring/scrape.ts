import type { Asked } from './queries.ts';

/** One series of a scrape, under the type of its family (`counter`, `histogram` …). */
export type Series = {
  readonly name: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
};

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/y;

/** Reads Prometheus' text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/); throws on anything else. */
export function seriesIn(text: string): readonly Series[] {
  const types = new Map<string, string>();
  return text.split('\n').flatMap((row) => {
    if (row === '' || row.startsWith('# HELP ')) return [];
    const [, family, type] = /^# TYPE (\S+) (\S+)$/.exec(row) ?? [];
    if (family !== undefined && type !== undefined) {
      types.set(family, type);
      return [];
    }
    const [, name, inBraces = ''] = line.exec(row) ?? [];
    if (name === undefined) throw new Error(`no line of a scrape: ${row}`);
    const labels: Record<string, string> = {};
    label.lastIndex = 0;
    while (label.lastIndex < inBraces.length) {
      const [, key = '', value = ''] = label.exec(inBraces) ?? [];
      if (key === '') throw new Error(`no labels of a scrape: ${row}`);
      labels[key] = value;
    }
    const own = types.get(name) ?? types.get(name.replace(/_(bucket|sum|count)$/, ''));
    if (own === undefined) throw new Error(`a series without a type: ${row}`);
    return [{ name, type: own, labels }];
  });
}

/** The series that a selector would find; throws on an operator that it does not know. */
export function matching(series: readonly Series[], { metric, matchers }: Asked): readonly Series[] {
  return series.filter(
    ({ name, labels }) =>
      name === metric &&
      matchers.every(({ label: key, op, value }) => {
        const own = Object.hasOwn(labels, key) ? (labels[key] ?? '') : '';
        if (op === '=') return own === value;
        if (op === '!=') return own !== value;
        // Prometheus anchors its expressions at both ends.
        const pattern = new RegExp(`^(?:${value})$`);
        if (op === '=~') return pattern.test(own);
        if (op === '!~') return !pattern.test(own);
        throw new Error(`no operator of a matcher: ${op}`);
      }),
  );
}
