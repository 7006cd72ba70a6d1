import { escapeMarkup } from '../../shared/markup.ts';

/**
 * Names and texts come from a cluster where others may choose them: markup, sequences that steer a terminal, and marks that turn
 * the direction of text. Each format has one function here, and nothing else writes such a text.
 */

/**
 * Control characters (C0 with line ends and tabs, C1, DEL), marks that turn or end a line (UAX #9, U+2028, U+2029), zero-width ones,
 * halves of surrogate pairs and code points that XML 1.0 does not allow (section 2.2), each as `\u{…}`.
 */
export function shown(text: string): string {
  return text.replace(hidden, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

// Without the flag u a half of a pair that stands alone could not be told from a whole one.
const hidden =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** For a text or an attribute in double quotes, of HTML and of XML; `]]>` cannot come about. */
export function markup(text: string): string {
  return escapeMarkup(shown(text));
}

/** For a paragraph, a list item or a cell of a table in Markdown; nothing in it is obeyed, HTML included. */
export function markdown(text: string): string {
  return shown(text).replace(/[\\`*_[\]<>#&|~]/g, (character) => `\\${character}`);
}

/** Commands as a block of Markdown: the fence is longer than any in it. */
export function markdownCode(lines: readonly string[]): string {
  const text = lines.map(shown).join('\n');
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}sh\n${text}\n${fence}`;
}
