import { visible } from '../../shared/printable.ts';

/** How something is printed. */
export type Look = { readonly width: number; readonly isColoured: boolean };

/** `label   text` below a heading, wrapped; control characters are made visible. */
export function labelled(label: string, text: string, { width }: Look): string {
  return wrap(visible(text), `    ${label.padEnd(8)}`, ' '.repeat(12), width);
}

/** Words on lines of at most `width` characters; a longer word stays whole. */
export function wrap(text: string, head: string, indent: string, width: number): string {
  const lines: string[] = [];
  let line = head;
  for (const word of text.split(' ')) {
    const isFirst = line === head && lines.length === 0;
    if (!isFirst && line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line = isFirst ? `${line}${word}` : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}

/** In an ANSI colour (31 red, 32 green, 33 yellow), where colours are wanted. */
export function paint(text: string, colour: number, { isColoured }: Look): string {
  return isColoured ? `\u001b[${colour}m${text}\u001b[0m` : text;
}

/** Where a cause is described: the page has a section for each code. */
export function pageOf(code: string): string {
  return `coordinator/diagnosis/CAUSES.md#${code}`;
}
