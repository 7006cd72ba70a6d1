import t from 'tap';
import { createLog } from '../../shared/log.ts';
import { printable, visible } from '../../shared/printable.ts';

/** What a terminal would do with each. */
const rows: readonly (readonly [what: string, text: string, shown: string])[] = [
  ['a colour', '\u001b[31mred', '\\u001b[31mred'],
  ['a title (OSC)', '\u001b]0;title\u0007', '\\u001b]0;title\\u0007'],
  ['a link (OSC 8)', '\u001b]8;;http://x\u001b\\', '\\u001b]8;;http://x\\u001b\\'],
  ['the same in one byte (C1)', '\u009b31m\u009d0;t\u009c', '\\u009b31m\\u009d0;t\\u009c'],
  ['the start of the line', 'bad\rgood', 'bad\\u000dgood'],
  ['backspaces', 'no\b\byes', 'no\\u0008\\u0008yes'],
  ['right to left', 'a\u202egpj.exe', 'a\\u202egpj.exe'],
  ['an isolate', '\u2066x\u2069', '\\u2066x\\u2069'],
  ['an unseen end of line', 'a\u2028b', 'a\\u2028b'],
  ['a zero-width space', 'a\u200bb\u2060c\u00add\ufeff', 'a\\u200bb\\u2060c\\u00add\\ufeff'],
  ['tags', 'a\u{e0041}', 'a\\udb40\\udc41'],
  ['half of a pair', 'a\ud800b', 'a\\ud800b'],
  ['no character', '\uffff\ufffe', '\\uffff\\ufffe'],
  ['plain text', 'GPU 0: 48 °C → “ok”\n\tnext', 'GPU 0: 48 °C → “ok”\n\tnext'],
];

t.test('L4 what a terminal would obey is shown instead', (t) => {
  for (const [what, text, shown] of rows) t.equal(printable(text), shown, what);
  t.end();
});

t.test('on one line, its ends are shown as well', (t) => {
  for (const [what, text, shown] of rows)
    t.equal(visible(text), shown.replaceAll('\n', '\\u000a').replaceAll('\t', '\\u0009'), what);
  t.end();
});

t.test('L4 a line of the log is the same to whoever parses it', (t) => {
  for (const [what, text] of rows) {
    let line = '';
    createLog({ name: 'x', level: 'info', to: { write: (written) => (line += written) } }).info(
      { text },
      'm',
    );
    t.equal(JSON.parse(line).text, text, what);
    t.equal(printable(line), line, `${what}: nothing left to obey`);
  }
  t.end();
});
