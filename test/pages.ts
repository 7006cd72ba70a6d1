import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './suite.ts';

/** A command of a page, with what its output has to contain where the page says so. */
export type PageCommand = { readonly command: string; readonly expected: string | undefined };

/** The page's text. */
export function page(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** What stands under a heading of the second level, with its subsections. */
export function partOf(text: string, heading: string): string {
  const [, part = ''] = text.split(`\n## ${heading}\n`);
  return part.split(/\n## /)[0] ?? '';
}

/**
 * The commands of all blocks of `sh`, in order, as a shell would take them one after the other: a line that ends in a backslash
 * and a here-document go on. Behind `# → ` stands what to expect, behind any other `#` a remark.
 */
export function commandsIn(text: string): readonly PageCommand[] {
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) => {
    const lines = block.replaceAll('\\\n', '').trimEnd().split('\n');
    const found: PageCommand[] = [];
    while (lines.length > 0) {
      const line = lines.shift() ?? '';
      if (line.trim() === '') continue;
      const [shown = '', expected] = line.split(/\s+# → /);
      const end = /<<'?(\w+)'?/.exec(shown)?.[1];
      const document = end === undefined ? [] : lines.splice(0, lines.indexOf(end) + 1);
      found.push({
        command: [shown.replace(/\s+#\s.*$/, ''), ...document].join('\n'),
        expected: expected?.trim(),
      });
    }
    return found;
  });
}
