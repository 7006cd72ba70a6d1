import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { valueRows, withTables } from '../../charts/readme.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import { root } from '../suite.ts';
import { chart } from './helm.ts';

const read = (path: string) => readFileSync(join(chart, path), 'utf8');
const remedy = 'run npm run chart';

t.test('the definitions are those of the programs', async (t) => {
  const printed = execFileSync(process.execPath, [join(root, 'coordinator/store/print-crds.ts')], {
    encoding: 'utf8',
  });
  t.ok(printed === read('crds/crds.yaml'), remedy);
  // kubectl and helm read YAML 1.1, where a bare `yes` is a boolean.
  const read11 = parseAllDocuments(printed, { version: '1.1' }).map((document) => document.toJS());
  t.strictSame(read11, JSON.parse(JSON.stringify(customResourceDefinitions())));
});

t.test('the page has the values and rights of this chart', async (t) => {
  const page = read('README.md');
  t.ok(page === withTables(page, read('values.yaml'), read('files/rights.yaml')), remedy);
  t.match(page, /\| `agent\.armed` \| `false` \| Whether the agent may inject/);
  t.match(page, /\| the cluster \| `nodes` \| get, list, watch \| targets are selected/);
});

t.test('a value without a comment is not accepted', async (t) => {
  t.strictSame(valueRows('# What.\na: 1\nb:\n  # Why,\n  # too.\n  c: { d: 2 }\n'), [
    { path: 'a', fallback: 1, comment: 'What.' },
    { path: 'b.c', fallback: { d: 2 }, comment: 'Why, too.' },
  ]);
  t.throws(() => valueRows('# What.\na: 1\nb:\n  # Why.\n  c: 1\n  d: 2\n'), {
    message: /b\.d has no comment/,
  });
  t.throws(() => valueRows('- a\n'), { message: /no map/ });
  t.throws(() => withTables('no parts', 'a: 1', '[]'), { message: /no part "values"|no comment/ });
});

t.test('the schema knows the same values', async (t) => {
  type Schema = {
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly $ref?: string;
    readonly definitions?: Readonly<Record<string, Schema>>;
  };
  const schema = JSON.parse(read('values.schema.json')) as Schema;
  const resolved = (node: Schema | undefined): Schema | undefined =>
    node?.$ref === undefined ? node : schema.definitions?.[node.$ref.split('/').at(-1) ?? ''];
  const inSchema = (node: Schema, prefix: string): readonly string[] =>
    Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
      const found = resolved(child);
      return found?.properties === undefined ? [`${prefix}${key}`] : inSchema(found, `${prefix}${key}.`);
    });
  const documented = new Set(valueRows(read('values.yaml')).map(({ path }) => path));
  const known = inSchema(schema, '').filter((path) => path !== 'global');
  const isShown = (path: string) =>
    path.split('.').some((_, i, all) => documented.has(all.slice(0, i + 1).join('.')));
  t.strictSame(
    known.filter((path) => !isShown(path)),
    [],
    'nothing can be set that the page does not show',
  );
  t.ok(known.length > 80);
});
