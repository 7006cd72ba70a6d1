import { visible } from '../../shared/printable.ts';
import { renderRepair } from '../doctor/examine.ts';
import type { DoctorCause, DoctorGroup, DoctorLink, DoctorReport, LinkState } from '../doctor/report.ts';
import { type Look, labelled, pageOf, paint, wrap } from './text.ts';

/** What stands before a line, and its colour. */
export const marks: Readonly<Record<LinkState, string>> = { ok: '✓', broken: '✗', unknown: '?', none: '–' };
const colours: Readonly<Record<LinkState, number>> = { ok: 32, broken: 31, unknown: 33, none: 90 };

/** What each link asks, as a heading. */
export const questions: Readonly<Record<DoctorLink, string>> = {
  order: 'order: may it be drilled?',
  detection: 'detection: is a GPU fault seen?',
  taint: 'taint: is the node repaired?',
};

const headings: readonly DoctorLink[] = ['detection', 'taint', 'order'];
const shownNames = 3;

/** `isWide`: a line for each node besides, and the proof of what is only likely. */
type WideLook = Look & { readonly isWide: boolean };

/** A report as text for a terminal or a pipe; what could steer a terminal is made visible. */
export function renderDoctor(report: DoctorReport, look: WideLook): string {
  const state = report.result;
  const parts = [
    paint(wrap(`${marks[state]} ${visible(report.summary)}`, '', '  ', look.width), colours[state], look),
    ...headings.flatMap((link) => {
      const groups = report.groups.filter((group) => group.link === link);
      if (groups.length === 0) return [];
      return [[questions[link], ...groups.map((group) => renderGroup(group, look))].join('\n')];
    }),
    ...(look.isWide && report.nodes.length > 0 ? [renderTable(report)] : []),
    ...(report.notRead.length === 0 ? [] : [renderNotRead(report, look)]),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** One line of equal nodes, with causes, proof and commands. */
export function renderGroup(group: DoctorGroup, look: WideLook): string {
  const { state, causes, open, owner, nodes, example } = group;
  const [first, ...others] = causes;
  const what =
    first === undefined
      ? open[0] === undefined
        ? group.because
        : `${open[0].code}: not known`
      : `${first.code}: ${first.title}${first.certainty === 'likely' ? ' (likely)' : ''}`;
  const count = nodes.length === 1 ? '1 node' : `${nodes.length} nodes`;
  const heading = `  ${marks[state]} ${count.padStart(9)}  ${owner === '' ? '' : `${owner}: `}${what}`;
  const of = nodes.length === 1 ? '' : ` (of ${example})`;
  return [
    paint(wrap(visible(heading), '', ' '.repeat(15), look.width), colours[state], look),
    labelled('nodes', someOf(nodes), look),
    ...(first === undefined ? [] : renderCause(first, of, look, look.isWide || state === 'broken')),
    ...others.map((cause) => labelled('also', `${cause.code}: ${cause.title}`, look)),
    ...open.map(({ code, because }) => labelled('open', `${code}: ${because}${of}`, look)),
    ...(state === 'ok' || state === 'none'
      ? []
      : group.repairs.map((repair) => labelled('repair', renderRepair(repair), look))),
  ].join('\n');
}

function renderCause(cause: DoctorCause, of: string, look: Look, withProof: boolean): readonly string[] {
  return [
    labelled('so', `${cause.summary}${of}`, look),
    ...(withProof
      ? cause.evidence.map(({ source, observed }) => labelled('proof', `${source}: ${observed}`, look))
      : []),
    ...(cause.commands.length === 0 ? [labelled('do', cause.remedy, look)] : []),
    // Never wrapped nor cut: they are there to be copied.
    ...cause.commands.map((command) => `    ${'run'.padEnd(8)}${visible(command)}`),
    labelled('page', pageOf(cause.code), look),
  ];
}

/** The first names, and how many there are besides. */
export function someOf(names: readonly string[]): string {
  const rest = names.length - shownNames;
  const shown = names.slice(0, shownNames).join(', ');
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

function renderTable({ nodes }: DoctorReport): string {
  const rows = nodes.map(({ node, links, owner }) => {
    const codes = [...links.detection.causes, ...links.taint.causes].map(({ code }) => code);
    return [
      node,
      marks[links.order.state],
      marks[links.detection.state],
      marks[links.taint.state],
      owner || '–',
      codes.join(',') || '–',
    ].map(visible);
  });
  return renderColumns([['NODE', 'ORDER', 'DETECTION', 'TAINT', 'OWNER', 'CAUSES'], ...rows]);
}

/** Columns as wide as their widest cell, two spaces between them. */
export function renderColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** What the caller may not read, with the commands that show it. */
export function renderNotRead({ notRead }: Pick<DoctorReport, 'notRead'>, look: Look): string {
  return [
    'What you may not read:',
    ...notRead.flatMap(({ what, because, command }) => [
      wrap(`  ? ${visible(what)}: ${visible(because)}`, '', '    ', look.width),
      `    ${'check'.padEnd(8)}${visible(command)}`,
    ]),
  ].join('\n');
}
