import { renderDuration } from '../../shared/duration.ts';
import { printable } from '../../shared/printable.ts';
import { faultsOf, type StoryStep } from './story.ts';

/** Marks text for a terminal; without one the text stays as it is. */
export type Paint = {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  /** In the colour of the verdict; `text` is what is shown, where that is not the verdict itself. */
  readonly verdict: (verdict: string, text?: string) => string;
};

/** Colours only where somebody looks: a terminal, and NO_COLOR not set (https://no-color.org). */
export function createPaint(isTerminal: boolean): Paint {
  const code = (open: number) => (text: string) => (isTerminal ? `\u001b[${open}m${text}\u001b[0m` : text);
  const colours: Readonly<Record<string, number>> = { pass: 32, fail: 31, error: 31, inconclusive: 33 };
  return {
    bold: code(1),
    dim: code(2),
    verdict: (verdict, text = verdict) => code(colours[verdict] ?? 0)(text),
  };
}

const indent = '     ';
const shownProofs = 2;

/**
 * One step in a few lines: what was done and seen, why, what proves it, what to do, what else is broken. `width` in characters of
 * the screen: the same words at every width, nothing is cut; Infinity, for a pipe, breaks no line.
 */
export function renderStep(step: StoryStep, paint: Paint, width: number): string {
  const { explanation, verdict } = step;
  const latency = step.latencySeconds === null ? '' : ` after ${renderDuration(step.latencySeconds)}`;
  const { evidence, alsoFound } = explanation;
  const more = evidence.length - shownProofs;
  const row = (label: string, text: string, mark: (line: string) => string = (line) => line) =>
    wrap(text, width - indent.length - 7).map((line, index) =>
      mark(`${indent}${(index === 0 ? label : '').padEnd(6)} ${line}`),
    );
  const [first = '', ...rest] = row('', `${explanation.code}${latency}: ${explanation.summary}`);
  return [
    ...wrap(`${step.step.padEnd(5)}${step.did}  →  ${step.saw}`, width).map(paint.bold),
    `${indent}${paint.verdict(verdict, verdict.padEnd(6))}${first.slice(indent.length + 6)}`,
    ...rest,
    ...evidence
      .slice(0, shownProofs)
      .flatMap(({ observed, source }) => row('proof', `${observed}  ← ${source}`, paint.dim)),
    ...(more > 0 ? row('', `and ${more} more: npm run -s start -- --json`, paint.dim) : []),
    ...row('next', explanation.remedy),
    ...alsoFound.flatMap(({ code, summary }) => row('also', `${code}: ${summary}`, paint.dim)),
    ...faultsOf(step).flatMap((fault) => row('WRONG', `this step ${fault}`)),
    '',
  ].join('\n');
}

/** Lines of whole words; a word that is longer than a line goes on in the next. */
function wrap(text: string, width: number): readonly string[] {
  const words = printable(text)
    .replace(/\s+/g, ' ')
    .trim()
    .split(' ')
    .flatMap((word) =>
      word.length <= width ? [word] : (word.match(new RegExp(`.{1,${width}}`, 'gu')) ?? []),
    );
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** What stands above the steps. `speed` in times of real speed. */
export function renderTitle(paint: Paint, width: number, speed: number): string {
  const about = `One user’s six steps, rehearsed at ${speed} times real speed. NMA is the EKS Node Monitoring Agent, which turns what it finds on a node into node conditions and events.`;
  return `${[paint.bold('"Fault injection does not work. Why?"'), ...wrap(about, width)].join('\n')}\n`;
}

/** What stands below them: how many came out as they have to, and where to go on. */
export function renderEnd(
  { right, all, seconds, passed }: { right: number; all: number; seconds: number; passed: boolean },
  paint: Paint,
  width: number,
): string {
  const verdict = passed ? 'pass' : 'fail';
  const lines = [
    `${paint.verdict(verdict)}  ${right} of ${all} steps explained as they have to be, in ${renderDuration(seconds)}`,
    ...wrap(
      'next: npm run serve keeps such a cluster running for drills of your own, and prints the first command',
      width,
    ),
  ];
  return `${lines.join('\n')}\n`;
}
