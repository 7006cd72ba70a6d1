import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { root } from '../../suite.ts';

type Instruction = { readonly name: string; readonly text: string };

/** An instruction in full, its lines joined; comments and empty lines are left out. */
export function instructionsOf(file: string): readonly Instruction[] {
  const text = readFileSync(join(root, file), 'utf8')
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .join('\n')
    .replace(/\\\n\s*/g, '');
  return text.split('\n').flatMap((line) => {
    const match = /^([A-Z]+) (.*)$/.exec(line);
    return match?.[1] === undefined ? [] : [{ name: match[1], text: match[2] ?? '' }];
  });
}

/** What stands between one FROM and the next; the part before the first FROM is the head. */
export function stagesOf(instructions: readonly Instruction[]) {
  const starts = instructions.flatMap(({ name }, index) => (name === 'FROM' ? [index] : []));
  const [first = 0, second = 0] = starts;
  return {
    head: instructions.slice(0, first),
    build: instructions.slice(first, second),
    final: instructions.slice(second),
    count: starts.length,
  };
}

export function textsOf(instructions: readonly Instruction[], name: string): readonly string[] {
  return instructions.filter((instruction) => instruction.name === name).map(({ text }) => text);
}

/** `ENV A=b C=d` as an object. */
export function environmentOf(instructions: readonly Instruction[]): Record<string, string> {
  const pairs = textsOf(instructions, 'ENV').flatMap((text) => text.split(' '));
  return Object.fromEntries(pairs.map((pair) => pair.split('=', 2) as [string, string]));
}

/**
 * Lays out what the build stage copies, with the packages of this checkout for those that its npm ci would install, and
 * returns the commands that it runs afterwards.
 */
export function layOut(build: readonly Instruction[], folder: string): readonly string[] {
  mkdirSync(folder, { recursive: true });
  for (const text of textsOf(build, 'COPY')) {
    const words = text.split(' ');
    const to = words.at(-1) ?? '';
    for (const from of words.slice(0, -1)) {
      cpSync(join(root, from), join(folder, to, to.endsWith('/') ? basename(from) : ''), { recursive: true });
    }
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return textsOf(build, 'RUN').filter((text) => !text.startsWith('npm ci'));
}
