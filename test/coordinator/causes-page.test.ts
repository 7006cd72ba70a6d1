import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { causePages, renderCausePage } from '../../coordinator/causes-page.ts';
import { rules } from '../../coordinator/diagnosis/rules.ts';
import { causes } from '../../coordinator/why/causes.ts';
import { root } from '../suite.ts';

t.test('the committed page is the one that the rules make', async (t) => {
  const committed = readFileSync(join(root, 'coordinator/diagnosis/CAUSES.md'), 'utf8');
  t.ok(committed === renderCausePage(), 'if it is stale: npm run docs:causes');
  t.notMatch(committed, /undefined|NaN|\[object/);
  const codes = new Set([...rules.map(({ code }) => code), ...Object.keys(causes)]);
  // A section each, under the anchor that answers link to.
  for (const code of codes) t.equal(committed.split(`\n### ${code}\n`).length, 2, code);
});

t.test('each rule has its page, and no page is without a rule', async (t) => {
  t.same(Object.keys(causePages).toSorted(), rules.map(({ code }) => code).toSorted());
  for (const [code, page] of Object.entries(causePages))
    for (const text of Object.values(page)) t.match(text, /^[A-Z`].*[.]$/s, code);
});
