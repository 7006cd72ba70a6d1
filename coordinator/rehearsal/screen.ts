import type { Evidence } from '../store/explanation.ts';
import { faultsOf, type StoryStep } from './story.ts';

/** Marks text for a terminal; without one the text stays as it is. */
export type Paint = {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly verdict: (verdict: string) => string;
};

/** Colours only where somebody looks: a terminal, and NO_COLOR not set (https://no-color.org). */
export function createPaint(isTerminal: boolean): Paint {
  const code = (open: number) => (text: string) => (isTerminal ? `\u001b[${open}m${text}\u001b[0m` : text);
  const colours: Readonly<Record<string, number>> = { pass: 32, fail: 31, error: 31, inconclusive: 33 };
  return { bold: code(1), dim: code(2), verdict: (verdict) => code(colours[verdict] ?? 0)(verdict) };
}

const indent = '     ';
const shownProofs = 2;

/** One step in a few lines: what was done and seen, why, what proves it, what to do. `width` in characters. */
export function renderStep(step: StoryStep, paint: Paint, width: number): string {
  const { explanation } = step;
  const latency = step.latencySeconds === null ? '' : ` after ${step.latencySeconds.toFixed(1)} s`;
  const also = explanation.alsoFound.map(({ code }) => code);
  const proofs = explanation.evidence.slice(0, shownProofs);
  const [first = '', ...more] = wrap(`${explanation.code}${latency}: ${explanation.summary}`, width - 12, 6);
  return [
    paint.bold(cut(`${step.step.padEnd(5)}${step.did}  →  ${step.saw}`, width)),
    `${indent}${paint.verdict(step.verdict.padEnd(6))} ${first}`,
    ...more.map((line) => `${indent}${' '.repeat(7)}${line}`),
    ...proofs.map((proof) => paint.dim(`${indent}proof  ${renderProof(proof, width - 12)}`)),
    ...wrap(explanation.remedy, width - 12, 6).map(
      (line, index) => `${indent}${index === 0 ? 'next' : '    '}   ${line}`,
    ),
    ...(also.length > 0 ? [paint.dim(cut(`${indent}also   ${also.join(', ')}`, width))] : []),
    ...faultsOf(step).map((fault) => `${indent}WRONG  this step ${fault}`),
    '',
  ].join('\n');
}

/** What was observed comes first: it matters more than its source, which may be cut. */
function renderProof({ source, observed }: Evidence, width: number): string {
  const seen = cut(flat(observed), Math.max(30, width - Math.min(source.length, width / 2) - 4));
  return `${seen}  ← ${cut(source, width - seen.length - 4)}`;
}

/** Lines of whole words; what does not fit into `most` lines ends in an ellipsis. */
function wrap(text: string, width: number, most: number): readonly string[] {
  const lines: string[] = [''];
  for (const word of flat(text).split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  if (lines.length <= most) return lines;
  return [...lines.slice(0, most - 1), cut(lines.slice(most - 1).join(' '), width)];
}

function flat(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

function cut(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text;
}
