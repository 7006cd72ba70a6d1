import { escapeMarkup } from '../../shared/markup.ts';
import { printable } from '../../shared/printable.ts';

/**
 * HTML that may be sent as it is. Only `html` makes it: an object that merely looks like it, such as one out of somebody's JSON,
 * is escaped as text.
 */
export type Html = { readonly markup: string };

/** What stands between the pieces of a template; a list is joined, what is absent or false is nothing. */
export type Piece = Html | string | number | null | undefined | false | readonly Piece[];

const made = new WeakSet<object>();

function markup(text: string): Html {
  const one = { markup: text };
  made.add(one);
  return one;
}

/**
 * A template of HTML. Whatever is put in is escaped, for text and for attributes in double quotes alike; there is no way around that.
 * (ghtml and its like leave text as it is behind a `!`, which a sentence that ends in one would do unseen.)
 */
export function html(strings: TemplateStringsArray, ...values: readonly Piece[]): Html {
  return markup(strings.reduce((text, string, index) => `${text}${render(values[index - 1])}${string}`));
}

function render(value: Piece): string {
  if (value === null || value === undefined || value === false) return '';
  if (typeof value === 'object' && made.has(value)) return (value as Html).markup;
  if (Array.isArray(value)) return value.map(render).join('');
  return escapeHtml(String(value));
}

/** A text from anywhere as text of a page: characters that nobody sees are shown as `\u202e`, the rest is escaped. */
export function escapeHtml(text: string): string {
  return escapeMarkup(printable(text));
}
