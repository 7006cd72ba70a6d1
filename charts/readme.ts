import { isMap, isScalar, parse, parseDocument, type YAMLMap } from 'yaml';

/** A value that can be set, as the table of the chart's page shows it. */
export type ValueRow = { readonly path: string; readonly fallback: unknown; readonly comment: string };

/**
 * The values in the order of the file. What has a comment above it is a value; a map without one is a folder of
 * values; anything else throws, because its purpose would be unknown.
 */
export function valueRows(text: string): readonly ValueRow[] {
  const document = parseDocument(text);
  if (!isMap(document.contents)) throw new Error('values.yaml is no map');
  return rowsOf(document.contents, '', document.commentBefore ?? undefined);
}

function rowsOf(map: YAMLMap, prefix: string, first?: string): readonly ValueRow[] {
  return map.items.flatMap((pair, index) => {
    if (!isScalar(pair.key)) throw new Error(`${prefix}: a key that is no scalar`);
    const path = `${prefix}${String(pair.key.value)}`;
    // The comment above the first key is kept with the map.
    const comment = pair.key.commentBefore ?? (index === 0 ? (map.commentBefore ?? first) : undefined);
    if (comment != null) return [{ path, fallback: toJs(pair.value), comment: oneLine(comment) }];
    if (!isMap(pair.value)) throw new Error(`values.yaml: ${path} has no comment above it`);
    return rowsOf(pair.value, `${path}.`);
  });
}

function toJs(node: unknown): unknown {
  return isMap(node) || isScalar(node) || (typeof node === 'object' && node !== null && 'toJSON' in node)
    ? (node as { toJSON(): unknown }).toJSON()
    : node;
}

function oneLine(comment: string): string {
  return comment
    .split('\n')
    .map((line) => line.trim())
    .join(' ');
}

/** A row of files/rights.yaml. */
export type Right = {
  readonly who: string;
  readonly scope: string;
  /** The value whose `enabled` has to be true; absent: it is always given. */
  readonly when?: string;
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
  readonly why: string;
};

const places: Readonly<Record<string, string>> = {
  cluster: 'the cluster',
  release: 'the release’s namespace',
  events: '`default`',
  monitor: '`nma.namespace`',
};

const longestShown = 60;

/** The page with its generated parts, which stand between `<!-- NAME -->` and `<!-- /NAME -->`, made anew. */
export function withTables(page: string, values: string, rights: string): string {
  return replacePart(replacePart(page, 'values', valuesTable(values)), 'rights', rightsTable(rights));
}

function valuesTable(values: string): string {
  const rows = valueRows(values).map(
    ({ path, fallback, comment }) => `| \`${path}\` | ${shown(fallback)} | ${cell(comment)} |`,
  );
  return ['| Value | Default | What it does |', '| --- | --- | --- |', ...rows].join('\n');
}

function rightsTable(rights: string): string {
  const rows = (parse(rights) as readonly Right[]).map(
    ({ who, scope, resources, resourceNames = [], verbs, apiGroups, why }) => {
      const group = apiGroups[0] === '' ? '' : `.${apiGroups[0]}`;
      const things = resources.map((resource) => `\`${resource}${group}\``).join(', ');
      const only =
        resourceNames.length > 0 ? `, only ${resourceNames.map((name) => `\`${name}\``).join(', ')}` : '';
      return `| ${who} | ${places[scope] ?? scope} | ${things}${only} | ${verbs.join(', ')} | ${cell(why)} |`;
    },
  );
  return ['| Who | Where | What | May | Why |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= longestShown ? `\`${text}\`` : `see \`values.yaml\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function replacePart(page: string, name: string, text: string): string {
  const part = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`);
  if (!part.test(page)) throw new Error(`the page has no part "${name}"`);
  return page.replace(part, (_whole, open: string, close: string) => `${open}${text}\n${close}`);
}
