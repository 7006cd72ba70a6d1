import { visible } from '../../shared/printable.ts';
import type { Finding, WhyAnswer, WhyEvidence } from '../why/finding.ts';
import { type Look, labelled, pageOf, paint, wrap } from './text.ts';

const marks = { broken: '✗', works: '✓', open: '?' } as const;
const colours = { broken: 31, works: 32, open: 33 } as const;

/** An answer as text for a terminal or a pipe; every character of the input that could steer a terminal is made visible. */
export function renderWhy(answer: WhyAnswer, look: Look): string {
  const { summary, known, findings, notUnderstood, result } = answer;
  const parts = [
    paint(wrap(`${marks[result]} ${visible(summary)}`, '', '  ', look.width), colours[result], look),
    ...(known.length === 0
      ? []
      : [
          wrap(
            `known: ${known.map(({ what, value }) => visible(`${what} ${value}`)).join(', ')}`,
            '',
            '  ',
            look.width,
          ),
        ]),
    ...findings.map((finding) => renderFinding(finding, look)),
    ...(answer.files === undefined ? [] : [renderFiles(answer.files, look)]),
    ...(notUnderstood.length === 0 ? [] : [renderNotUnderstood(answer, look)]),
  ];
  return `${parts.join('\n\n')}\n`;
}

function renderFinding(finding: Finding, look: Look): string {
  const { code, link, result, certainty, did, summary, seenBy, evidence, commands, missing } = finding;
  const [own] = evidence;
  const sure = certainty === 'likely' ? ', likely' : '';
  const lines = [
    `${placeText(finding)}  ${visible(own?.observed ?? '')}`.slice(0, Math.max(look.width, 60)),
    paint(`  ${marks[result]} ${code} (${link}${sure})`, colours[result], look),
    labelled('did', did, look),
    labelled('so', summary, look),
    ...seenBy.map(({ who, sees, because }) =>
      labelled('seen by', `${sees === null ? '?' : sees ? '✓' : '✗'} ${who}: ${because}`, look),
    ),
    ...evidence.slice(1).map((one) => labelled('proof', evidenceText(one), look)),
    ...(missing === undefined ? [] : [labelled('missing', missing, look)]),
    // Never wrapped nor cut: they are there to be copied.
    ...commands.map((command) => `    ${'run'.padEnd(8)}${visible(command)}`),
    ...(result === 'broken' ? [labelled('page', pageOf(code), look)] : []),
  ];
  return lines.join('\n');
}

function renderFiles(files: NonNullable<WhyAnswer['files']>, look: Look): string {
  const [read, others] = [files.filter((one) => one.read), files.filter((one) => !one.read)];
  const shown = others.slice(0, 20);
  const line = ({ file, because }: (typeof files)[number]) =>
    wrap(visible(`${file}: ${because}`), '  ', '    ', look.width);
  return [
    'Files that were read:',
    ...(read.length === 0 ? ['  none'] : read.map(line)),
    ...(others.length === 0 ? [] : ['Not read:', ...shown.map(line)]),
    ...(others.length > shown.length
      ? [`  and ${others.length - shown.length} more (-o json shows all)`]
      : []),
  ].join('\n');
}

function renderNotUnderstood({ notUnderstood }: WhyAnswer, look: Look): string {
  const shown = notUnderstood.slice(0, 10);
  const rest = notUnderstood.length - shown.length;
  return [
    'Not understood:',
    ...shown.map((one) =>
      wrap(`${placeText(one)}  ${visible(one.input)}: ${one.nearest}`, '  ', '    ', look.width),
    ),
    ...(rest > 0 ? [`  and ${rest} more lines (-o json shows all)`] : []),
  ].join('\n');
}

function placeText({ line, file }: { readonly line: number; readonly file?: string }): string {
  return file === undefined ? `line ${line}` : visible(`${file}:${line}`);
}

function evidenceText(one: WhyEvidence): string {
  return one.line === undefined
    ? `${one.observed} [${one.source}]`
    : `${placeText({ ...one, line: one.line })}: ${one.observed}`;
}
