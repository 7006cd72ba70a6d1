import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../bundle.ts';

const rule = `\n${'-'.repeat(80)}\n`;

/** The licences of the packages that were bundled, by their folders below the repository's root, in one text. */
export function noticesOf(folders: readonly string[]): string {
  const head = 'The programs in this folder contain the following packages, each under its own licence.\n';
  return [head, ...folders.map((folder) => noticeOf(join(root, folder)))].join(rule);
}

function noticeOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly version: string;
    readonly license?: string;
  };
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice|copying)([.-].*)?$/i.test(file))
    .toSorted()
    .map((file) => readFileSync(join(folder, file), 'utf8').trim());
  // Some packages name their licence and ship no text of it.
  const body = texts.length > 0 ? texts : ['The package ships no licence text.'];
  return [`${name} ${version}, ${license ?? 'no licence named'}`, ...body].join('\n\n').concat('\n');
}
