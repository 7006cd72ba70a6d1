import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { html } from '../../coordinator/page/html.ts';
import { renderAssets } from '../../coordinator/page-assets.ts';
import { root } from '../suite.ts';

t.test('whatever is put into a template is text', async (t) => {
  for (const [value, shown] of [
    ['<img src=x onerror=alert(1)>', '&lt;img src=x onerror=alert(1)&gt;'],
    ['" onmouseover="x', '&quot; onmouseover=&quot;x'],
    ["' & '", '&#39; &amp; &#39;'],
    ['\u001b[31mred\u001b]0;title\u0007', '\\u001b[31mred\\u001b]0;title\\u0007'],
    ['gpu-\u202e1-epoh', 'gpu-\\u202e1-epoh'],
    ['a\u200bb\ufeff', 'a\\u200bb\\ufeff'],
    ['\u2066x\u2069', '\\u2066x\\u2069'],
    [0, '0'],
    [null, ''],
    [undefined, ''],
    [false, ''],
  ] as const)
    t.equal(html`<p title="${value}">${value}</p>`.markup, `<p title="${shown}">${shown}</p>`);
  const forged = JSON.parse('{"markup": "<b>x</b>"}') as never;
  t.equal(html`${forged}`.markup, '[object Object]', 'what only looks like HTML is none');
  t.equal(
    html`<ul>${['<a>', '<b>'].map((one) => html`<li>${one}</li>`)}</ul>`.markup,
    '<ul><li>&lt;a&gt;</li><li>&lt;b&gt;</li></ul>',
  );
});

t.test('no text opens or ends a tag or an attribute', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const { markup } = html`${text}`;
      return (
        !/[<>"'\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069]/.test(markup) &&
        !/&(?!(amp|lt|gt|quot|#39);)/.test(markup)
      );
    }),
  );
  t.pass('of 100 texts none does');
});

t.test('the files that browsers get are made of what is beside them', async (t) => {
  const stored = readFileSync(join(root, 'coordinator/page/assets.json'), 'utf8');
  t.equal(stored, await renderAssets(), 'npm run -s page:assets makes them again');
  t.ok(stored.length < 64 * 1024);
});
