import type { Told } from './story.ts';
import { faultsOf } from './story.ts';

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

const longestLine = 200;

/** One step in a few lines: what was done and seen, why, what proves it, what to do. */
export function renderTold(told: Told, paint: Paint): string {
  const { explanation } = told;
  const latency = told.latencySeconds === null ? '' : ` after ${told.latencySeconds.toFixed(1)} s`;
  const also = explanation.alsoFound.map(({ code }) => code);
  const lines = [
    `${paint.bold(told.step.padStart(5))}  ${told.did}`,
    `       saw      ${told.saw}`,
    `       ${paint.verdict(told.verdict.padEnd(8))} ${paint.bold(explanation.code)}${latency}: ${explanation.summary}`,
    ...explanation.evidence
      .slice(0, 3)
      .map(({ source, observed }) => paint.dim(`       proof    ${source}: ${oneLine(observed)}`)),
    `       next     ${oneLine(explanation.remedy)}`,
    ...(also.length > 0 ? [`       also     ${also.join(', ')}`] : []),
    ...faultsOf(told).map((fault) => `       WRONG    this step ${fault}`),
  ];
  return `${lines.map((line) => line.slice(0, longestLine + 20)).join('\n')}\n`;
}

function oneLine(text: string): string {
  const flat = text.replace(/\s+/g, ' ').trim();
  return flat.length > longestLine ? `${flat.slice(0, longestLine - 1)}…` : flat;
}
