import fc from 'fast-check';

/** How often a property is tried: a tenth of what `npm run fuzz` does. */
export const fuzzRuns = Number(process.env.XIDRILL_FUZZ_RUNS ?? 20_000);

/** One change to a text. Places are shares of its length, so that a change fits a text of any size. */
type Change =
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'drop' | 'repeat'; readonly at: number; readonly count: number }
  | { readonly kind: 'insert'; readonly at: number; readonly line: string }
  | { readonly kind: 'swap'; readonly at: number; readonly with: number }
  | { readonly kind: 'alter'; readonly at: number; readonly text: string }
  | { readonly kind: 'erase'; readonly at: number; readonly count: number }
  | { readonly kind: 'crlf' | 'column' | 'comma' }
  | { readonly kind: 'colour' | 'invalid' | 'nul' | 'huge'; readonly at: number }
  | { readonly kind: 'interleave'; readonly with: readonly string[] };

const share = fc.double({ min: 0, max: 0.999, noNaN: true });
const count = fc.integer({ min: 1, max: 8 });

/** What other programs and dying ones print between the lines. */
const strayLines = [
  '',
  'Segmentation fault (core dumped)',
  'Error: Cannot get GPU list from remote node. Return: Timeout',
  'WARNING: the monotonic clock jumped',
  '+--------+----------------------------------------------------------------------+',
  '\u0000\u0001\ufffd',
  '| |',
];

/** Lines are lost, repeated and mixed with others, or the end is missing: what is left stands as it was printed. */
const losing: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('cut' as const), at: share }),
  fc.record({ kind: fc.constantFrom('drop' as const, 'repeat' as const), at: share, count }),
  fc.record({ kind: fc.constant('insert' as const), at: share, line: fc.constantFrom(...strayLines) }),
);

/** Lines change places, characters are others. */
const altering: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('swap' as const), at: share, with: share }),
  fc.record({
    kind: fc.constant('alter' as const),
    at: share,
    text: fc.string({ maxLength: 4, unit: 'binary' }),
  }),
  fc.record({ kind: fc.constant('erase' as const), at: share, count }),
  fc.record({ kind: fc.constantFrom('crlf' as const, 'column' as const, 'comma' as const) }),
  fc.record({
    kind: fc.constantFrom('colour' as const, 'invalid' as const, 'nul' as const, 'huge' as const),
    at: share,
  }),
  fc.record({
    kind: fc.constant('interleave' as const),
    with: fc.array(fc.constantFrom(...strayLines), { minLength: 1, maxLength: 3 }),
  }),
);

/** Characters of a line that is longer than a reader plans for. */
const hugeLength = 20_000;

function changed(text: string, change: Change): string {
  const lines = text.split('\n');
  const { at = 0 } = 'at' in change ? change : {};
  const line = Math.floor(at * lines.length);
  const character = Math.floor(at * text.length);
  switch (change.kind) {
    case 'cut':
      return text.slice(0, character);
    case 'drop':
      lines.splice(line, change.count);
      break;
    case 'repeat':
      lines.splice(line, 0, ...lines.slice(line, line + change.count));
      break;
    case 'insert':
      lines.splice(line, 0, change.line);
      break;
    case 'swap': {
      const other = Math.floor(change.with * lines.length);
      [lines[line], lines[other]] = [lines[other] ?? '', lines[line] ?? ''];
      break;
    }
    case 'alter':
      return `${text.slice(0, character)}${change.text}${text.slice(character + 1)}`;
    case 'erase':
      return `${text.slice(0, character)}${text.slice(character + change.count)}`;
    case 'crlf':
      return text.replaceAll('\n', '\r\n');
    // A later version shows one more, or another one before it.
    case 'column':
      return text.replace(/ \|$/gm, ' | N/A |').replace(/\}$/gm, ',"added":{"x":[1]}}');
    // What a locale makes of numbers.
    case 'comma':
      return text.replace(/(\d)\.(\d)/g, '$1,$2');
    case 'colour':
      lines[line] = `\x1b[1;31m${lines[line]}\x1b[0m`;
      break;
    case 'nul':
      return `${text.slice(0, character)}\0${text.slice(character)}`;
    case 'invalid': {
      const bytes = Buffer.from(text);
      bytes[Math.floor(change.at * bytes.length)] = 0xff;
      return bytes.toString('utf8');
    }
    case 'huge':
      lines[line] = (lines[line] ?? '').padEnd(hugeLength, lines[line] || 'x');
      break;
    case 'interleave':
      return lines.flatMap((own, index) => [own, change.with[index % change.with.length] ?? '']).join('\n');
  }
  return lines.join('\n');
}

/** A recorded text of which some was lost; every line that is left stands as it was recorded, but maybe the last. */
export function shortened(
  ...texts: readonly string[]
): fc.Arbitrary<{ readonly text: string; readonly from: string }> {
  return mutated(texts, losing);
}

/** A recorded text after any changes. */
export function distorted(
  ...texts: readonly string[]
): fc.Arbitrary<{ readonly text: string; readonly from: string }> {
  return mutated(texts, fc.oneof(losing, altering));
}

function mutated(texts: readonly string[], change: fc.Arbitrary<Change>) {
  return fc
    .tuple(fc.constantFrom(...texts), fc.array(change, { minLength: 1, maxLength: 4 }))
    .map(([from, changes]) => ({ from, text: changes.reduce(changed, from) }));
}

/** Tries a property on a fixed seed: a failure is the same everywhere, and its smallest input is in the message. */
export function tryAll<T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => void): void {
  fc.assert(fc.property(arbitrary, holds), { numRuns: fuzzRuns, seed: 1117 });
}
