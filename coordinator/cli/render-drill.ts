import { renderDuration } from '../../shared/duration.ts';
import { visible } from '../../shared/printable.ts';
import { linksOf, type Progress } from '../drilling/progress.ts';
import { knownLinkState, type LinkStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import { knownVerdict, type Verdict } from '../store/timeline.ts';
import { type Look, labelled, pageOf, paint, wrap } from './text.ts';

const marks: Readonly<Record<LinkStatus['state'], string>> = {
  waiting: '…',
  reached: '✓',
  missed: '✗',
  skipped: '–',
  unknown: '?',
};
const colours: Readonly<Record<LinkStatus['state'], number>> = {
  waiting: 36,
  reached: 32,
  missed: 31,
  skipped: 90,
  unknown: 33,
};
/** What stands before a verdict. */
export const verdictMarks: Readonly<Record<Verdict, string>> = {
  pass: '✓',
  fail: '✗',
  inconclusive: '?',
  error: '✗',
  aborted: '–',
};
const verdictColours: Readonly<Record<Verdict, number>> = {
  pass: 32,
  fail: 31,
  inconclusive: 33,
  error: 31,
  aborted: 90,
};

/**
 * The chain of a drill as it stands, a line a link; for a terminal of `height` lines that is drawn again and again. Where that is too
 * many for it, the links are counted over all nodes.
 */
export function renderChain(
  progress: Progress,
  look: Look & { readonly height: number },
  seconds: number,
): readonly string[] {
  const { experiment, injections } = progress;
  const { metadata, spec, status } = experiment;
  const phase = status?.phase ?? 'Pending';
  const head = `${metadata.name}  ${spec.fault.name}  ${phase}  ${renderDuration(Math.floor(seconds))}`;
  if (injections.length === 0) return [cut(head, look)];
  const idWidth = Math.max(12, ...injections.flatMap((one) => linksOf(one).map(({ id }) => id.length)));
  const links = injections.flatMap((injection) => [
    cut(`  ${injection.spec.node}`, look),
    ...linksOf(injection).map((link) =>
      paint(cut(`    ${lineOf(link, idWidth)}`, look), colours[knownLinkState(link.state)], look),
    ),
  ]);
  // One line is the cursor's own.
  const isTall = links.length + 2 > look.height;
  return [
    cut(head, look),
    ...(isTall ? countedLinks(progress).map((line) => cut(`  ${line}`, look)) : links),
  ];
}

function countedLinks({ injections }: Progress): readonly string[] {
  const counts = new Map<string, Map<string, number>>();
  for (const injection of injections)
    for (const { id, state } of linksOf(injection)) {
      const states = counts.get(id) ?? new Map<string, number>();
      counts.set(id, states.set(state, (states.get(state) ?? 0) + 1));
    }
  return [...counts].map(([id, states]) => {
    const shown = [...states].map(([state, count]) => `${marks[knownLinkState(state)]} ${count} ${state}`);
    return `${id.padEnd(12)} ${shown.join(', ')}`;
  });
}

function lineOf(
  { id, state, expected, seconds, because }: ReturnType<typeof linksOf>[number],
  width = 12,
): string {
  const time = seconds === undefined ? '' : renderDuration(seconds);
  return `${marks[knownLinkState(state)]} ${id.padEnd(width)} ${time.padEnd(8)} ${state === 'waiting' ? expected : (because ?? expected)}`;
}

/** One line of a terminal: a longer one would wrap and shift what is drawn over it. */
function cut(line: string, { width }: Look): string {
  const shown = visible(line);
  return shown.length > width ? `${shown.slice(0, width - 1)}…` : shown;
}

/** What is new since `before`, a line each, for a pipe or a log. */
export function renderNews(before: Progress | undefined, now: Progress): readonly string[] {
  const then = new Map(
    (before?.injections ?? []).flatMap((injection) =>
      linksOf(injection).map(({ id, state }) => [`${injection.spec.node} ${id}`, state] as const),
    ),
  );
  const phase = now.experiment.status?.phase ?? 'Pending';
  const started =
    before?.experiment.status?.phase === phase && before !== undefined
      ? []
      : [`${now.experiment.metadata.name}: ${phase}`];
  const links = now.injections.flatMap((injection) =>
    linksOf(injection)
      .filter(({ id, state }) => state !== 'waiting' && then.get(`${injection.spec.node} ${id}`) !== state)
      .map((link) => `${injection.spec.node}: ${link.state} ${lineOf(link)}`),
  );
  return [...started, ...links].map(visible);
}

/** How a drill ended: verdict, explanation with its proof, and what stands out of its nodes. */
export function renderEnd({ experiment, injections }: Progress, look: Look): string {
  const { status, metadata } = experiment;
  const { verdict, explanation } = status ?? {};
  if (verdict === undefined)
    return `${visible(metadata.name)} has no verdict yet (${status?.phase ?? 'Pending'})\n`;
  const others = (status?.causes ?? []).filter(({ code }) => code !== explanation?.code);
  const lines = [
    paint(
      wrap(
        `${verdictMarks[knownVerdict(verdict)]} ${visible(verdict)}: ${visible(explanation?.summary ?? 'without an explanation')}`,
        '',
        '  ',
        look.width,
      ),
      verdictColours[knownVerdict(verdict)],
      look,
    ),
    ...(explanation === undefined ? [] : explanationLines(explanation, verdict, look)),
    ...others
      .slice(0, 10)
      .map(({ node, verdict, summary }) => labelled('node', `${node}: ${verdict}, ${summary}`, look)),
    ...(injections.length > 1
      ? [labelled('nodes', injections.map(({ spec }) => spec.node).join(', '), look)]
      : []),
  ];
  return `${lines.join('\n')}\n`;
}

function explanationLines(
  { code, evidence, remedy, commands = [], alsoFound }: Explanation,
  verdict: Verdict,
  look: Look,
): readonly string[] {
  return [
    ...evidence.map(({ source, observed }) => labelled('proof', `${source}: ${observed}`, look)),
    ...(remedy === '' ? [] : [labelled('do', remedy, look)]),
    ...commandLines(commands),
    ...alsoFound.flatMap((one) => [
      labelled('also', `${one.code}: ${one.summary}`, look),
      ...commandLines(one.commands),
    ]),
    ...(verdict === 'pass' ? [] : [labelled('page', pageOf(code), look)]),
  ];
}

/** Never wrapped nor cut: they are there to be copied. */
function commandLines(commands: readonly string[] = []): readonly string[] {
  return commands.map((command) => `    ${'run'.padEnd(8)}${visible(command)}`);
}
