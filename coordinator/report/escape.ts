import { escapeMarkup } from '../../shared/markup.ts';
import { visible } from '../../shared/printable.ts';

/**
 * Names and texts come from a cluster where others may choose them: markup, sequences that steer a terminal, and marks that turn
 * the direction of text. Each format has one function here, and nothing else writes such a text.
 */

/** For a text or an attribute in double quotes, of HTML and of XML; `]]>` cannot come about. */
export function markup(text: string): string {
  return escapeMarkup(visible(text));
}

/** For a paragraph, a list item or a cell of a table in Markdown; nothing in it is obeyed, HTML included. */
export function markdown(text: string): string {
  return visible(text).replace(/[\\`*_[\]<>#&|~]/g, (character) => `\\${character}`);
}

/** Commands as a block of Markdown: the fence is longer than any in it. */
export function markdownCode(lines: readonly string[]): string {
  const text = lines.map(visible).join('\n');
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}sh\n${text}\n${fence}`;
}
