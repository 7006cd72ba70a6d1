import { renderDuration } from '../../shared/duration.ts';
import { describeFault, type ShownReaction, type VersionRange } from '../catalogue/describe.ts';
import type { FaultRow, NotOfferedRow, ParameterRow } from '../catalogue/row.ts';
import { type Html, html, type Piece } from './html.ts';
import { code, facts, table } from './layout.ts';

/** The catalogue, as far as a search finds it. */
export function renderFaults(
  base: string,
  rows: readonly FaultRow[],
  notOffered: readonly NotOfferedRow[],
  search: string | undefined,
): Html {
  const found = rows.filter((row) => has(search, [row.name, row.title, ...row.surfaces]));
  const others = notOffered.filter((row) =>
    has(search, [row.name, row.title, row.reaction, row.instead ?? '']),
  );
  return html`<h1>Faults</h1>
<form class="filter" method="get" action="${base}/faults" role="search"><label>Search <input type="search" name="q" value="${search ?? ''}" maxlength="200"></label> <button>Search</button></form>
<p class="muted" role="status">${found.length} of ${rows.length} faults</p>
${
  found.length > 0 &&
  table(
    'Faults',
    ['Fault', 'What happens', 'Written to', 'GPU'],
    found.map(({ name, title, surfaces, needsGpu }) => [
      html`<a href="${base}/faults/${encodeURIComponent(name)}">${name}</a>`,
      title,
      surfaces.join(', '),
      needsGpu ? 'needed' : 'not needed',
    ]),
  )
}
${
  others.length > 0 &&
  html`<h2>Not offered</h2><p>What people ask for, why it is not offered, and what to use instead.</p>${table(
    'Not offered',
    ['Name', 'What it would be', 'Why not', 'Instead'],
    others.map(({ name, title, because, instead }) => [name, title, because, instead ?? '–']),
  )}`
}`;
}

function has(search: string | undefined, texts: readonly string[]): boolean {
  const words = (search ?? '').toLowerCase().split(/\s+/);
  const text = texts.join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

/** One fault: what it writes, what a healthy cluster shows, what it leaves. */
export function renderFault(base: string, row: FaultRow): Html {
  const { name, title, surfaces, parameters, risk, undo, needsGpu, sources, shownWith, reactions } =
    describeFault(row);
  return html`<p class="crumbs"><a href="${base}/faults">Faults</a></p>
<h1>${name}</h1><p class="lead">${title}.</p>
<p><a class="button" href="${base}/new?fault=${encodeURIComponent(name)}">New drill with this fault</a></p>
${facts([
  ['Written to', surfaces.join(', ')],
  ['GPU', needsGpu ? 'needed' : 'not needed: any node can be drilled'],
])}
<p><span class="muted">Risk:</span> ${risk}.</p>
<p><span class="muted">Undo:</span> ${undo}.</p>
<h2>What a healthy cluster shows</h2>
<p class="muted">By version of the node monitoring agent${Object.keys(shownWith).length > 0 && html`, with ${code(JSON.stringify(shownWith))}`}. A dry run says it for one node, and who else reads what is written.</p>
${table(
  'Reactions',
  ['Versions', 'Shows', 'Usually after', 'Within', 'Documented repair'],
  reactions.toReversed().flatMap(reactionRows),
)}
<h2>Parameters</h2>
${
  Object.keys(parameters).length === 0
    ? html`<p>None.</p>`
    : table(
        'Parameters',
        ['Name', 'Values', 'Default', 'Meaning'],
        Object.entries(parameters).map(([parameter, one]) => [
          code(parameter),
          valuesText(one),
          one.required === true ? 'required' : defaultText(one),
          one.help,
        ]),
      )
}
<details><summary>Sources</summary><ul>${sources.map((source) => html`<li>${source}</li>`)}</ul></details>`;
}

function reactionRows({
  from,
  to,
  shows,
}: VersionRange<readonly ShownReaction[]>): readonly (readonly Piece[])[] {
  const versions = from === to ? from : `${from} to ${to}`;
  if (shows.length === 0) return [[versions, 'nothing', '–', '–', '–']];
  return shows.map(({ kind, type, reason, message, typicalSeconds, withinSeconds, repair }, index) => [
    index === 0 ? versions : '',
    html`${index > 0 && 'then '}${kind} ${type}, reason ${code(reason)}<br><span class="muted">${message}</span>`,
    renderDuration(typicalSeconds),
    renderDuration(withinSeconds),
    repair.afterSeconds === null ? 'none' : `${repair.action} after ${renderDuration(repair.afterSeconds)}`,
  ]);
}

/** What values a parameter takes. */
export function valuesText({ type, unit, minimum, maximum, pattern, allowed }: ParameterRow): string {
  if (allowed !== undefined) return allowed.join(', ');
  const range =
    minimum === undefined && maximum === undefined ? '' : ` ${minimum ?? '…'} to ${maximum ?? '…'}`;
  return `${type}${pattern === undefined ? '' : ` ${pattern}`}${range}${unit === undefined ? '' : ` ${unit}`}`;
}

/** Its default as text; empty: it has none. */
export function defaultText({ default: usual }: ParameterRow): string {
  if (usual === undefined) return '';
  return typeof usual === 'string' ? usual : JSON.stringify(usual);
}
