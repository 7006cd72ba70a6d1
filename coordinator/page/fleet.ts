import { renderRepair } from '../doctor/examine.ts';
import type {
  DoctorCause,
  DoctorGroup,
  DoctorLink,
  DoctorReport,
  LinkState,
  NodeFinding,
} from '../doctor/report.ts';
import { type Html, html, type Piece } from './html.ts';
import { code, commandList, count, mark, table, time } from './layout.ts';

/** What of the fleet is shown. */
export type FleetQuery = {
  /** Part of a name. */
  readonly name?: string;
  /** Nodes of which some link is so. */
  readonly state?: string;
  /** Code of a cause that was found. */
  readonly cause?: string;
  readonly owner?: string;
  /** `all`: nodes without a GPU as well. */
  readonly nodes?: string;
  /** From 1. */
  readonly page?: number;
};

/** What each link asks. */
export const questions: Readonly<Record<DoctorLink, string>> = {
  order: 'May it be drilled?',
  detection: 'Is a GPU fault detected?',
  taint: 'Does repair follow?',
};

const shownLinks: readonly DoctorLink[] = ['order', 'detection', 'taint'];
const headings: readonly DoctorLink[] = ['detection', 'taint', 'order'];
const ofPage = 100;

/** The fleet: what is wrong first, then nodes × links. */
export function renderFleet(base: string, report: DoctorReport, query: FleetQuery): Html {
  const found = report.nodes.filter((node) => fits(node, query));
  const pages = Math.max(1, Math.ceil(found.length / ofPage));
  const page = Math.min(pages, query.page ?? 1);
  const shown = found.slice((page - 1) * ofPage, page * ofPage);
  return html`<h1>Fleet</h1>
<p class="lead">${mark(report.result)} ${report.summary}</p>
<p class="muted">As of ${time(report.at)}. ${hiddenNodes(base, report, query)}</p>
${report.notRead.length > 0 && renderNotRead(report)}
${headings.map((link) => renderLink(base, report, link))}
<section aria-labelledby="nodes"><h2 id="nodes">Nodes</h2>
${renderFilter(base, report, query)}
<p class="muted" role="status">${found.length === report.nodes.length ? count(found.length, 'node') : `${found.length} of ${count(report.nodes.length, 'node')}`}${pages > 1 && `, page ${page} of ${pages}`}</p>
${
  shown.length === 0
    ? html`<p>No node fits.</p>`
    : table(
        'Nodes',
        ['Node', ...shownLinks, 'Owner', 'Causes'],
        shown.map((node) => [
          html`<a href="${base}/nodes/${encodeURIComponent(node.node)}">${node.node}</a>`,
          ...shownLinks.map((link) => mark(node.links[link].state)),
          node.owner === '' ? '–' : node.owner,
          causesOf(node).map(({ code: found }) => html`<span class="tag">${found}</span> `),
        ]),
      )
}
${pages > 1 && renderPages(base, query, page, pages)}
</section>`;
}

function causesOf({ links }: NodeFinding): readonly DoctorCause[] {
  return shownLinks.flatMap((link) => links[link].causes);
}

function fits(node: NodeFinding, { name, state, cause, owner }: FleetQuery): boolean {
  return (
    (name === undefined || node.node.includes(name)) &&
    (owner === undefined || node.owner === owner) &&
    (state === undefined || shownLinks.some((link) => node.links[link].state === (state as LinkState))) &&
    (cause === undefined || causesOf(node).some(({ code: found }) => found === cause))
  );
}

function hiddenNodes(base: string, { counts }: DoctorReport, { nodes }: FleetQuery): Piece {
  if (nodes === 'all') return html`<a href="${base}/">Only nodes with a GPU</a>`;
  const others = counts.nodes - counts.gpuNodes;
  if (others <= 0) return undefined;
  return html`${count(others, 'node')} without a GPU ${others === 1 ? 'is' : 'are'} left out: <a href="${base}/?nodes=all">show all nodes</a>.`;
}

function renderNotRead({ notRead }: DoctorReport): Html {
  return html`<section class="notice" aria-labelledby="not-read"><h2 id="not-read">What could not be read</h2>
<ul>${notRead.map(
    ({ what, because, command }) => html`<li>${what}: ${because} ${command !== '' && code(command)}</li>`,
  )}</ul></section>`;
}

function renderLink(base: string, report: DoctorReport, link: DoctorLink): Piece {
  const groups = report.groups.filter((group) => group.link === link);
  if (groups.length === 0) return undefined;
  return html`<section aria-labelledby="link-${link}"><h2 id="link-${link}"><span class="muted">${link}</span> ${questions[link]}</h2>
<ul class="groups">${groups.map((group) => renderGroup(base, group))}</ul></section>`;
}

function renderGroup(base: string, group: DoctorGroup): Html {
  const { state, causes, open, owner, nodes, example, because } = group;
  const [first, ...others] = causes;
  const what = first?.title ?? (open[0] === undefined ? because : `${open[0].title}: not known`);
  const link = first !== undefined ? `?cause=${encodeURIComponent(first.code)}` : `?state=${state}`;
  return html`<li class="group ${state}"><p>${mark(state)} <a href="${base}/${link}#nodes">${count(nodes.length, 'node')}</a>${
    owner !== '' && html` <span class="muted">${owner}</span>`
  } <strong>${what}</strong>${first === undefined && nodes.length > 1 && html` <span class="muted">(such as ${example})</span>`}${first?.certainty === 'likely' && ' (likely)'} ${first !== undefined && code(first.code)}</p>
${first !== undefined && renderCause(first, nodes.length > 1 ? example : undefined)}
${others.map((cause) => html`<p class="muted">Also ${code(cause.code)}: ${cause.title}</p>`)}
${open.length > 0 && html`<details><summary>${count(open.length, 'open question')}</summary><ul>${open.map((one) => html`<li>${code(one.code)} ${one.because}</li>`)}</ul></details>`}
${state !== 'ok' && state !== 'none' && group.repairs.map((repair) => html`<p class="muted">${renderRepair(repair)}</p>`)}
</li>`;
}

/** A cause with its proof and what to do; `example`: the node that it is shown of. */
export function renderCause(cause: DoctorCause, example?: string): Html {
  return html`<p>${cause.summary}${example !== undefined && html` <span class="muted">(of ${example})</span>`}</p>
<details><summary>Proof and what to do</summary>
<ul>${cause.evidence.map(({ source, observed }) => html`<li><span class="muted">${source}:</span> ${observed}</li>`)}</ul>
<p>${cause.remedy}</p>${commandList(cause.commands)}</details>`;
}

function renderFilter(base: string, report: DoctorReport, query: FleetQuery): Html {
  const owners = [...new Set(report.nodes.map(({ owner }) => owner).filter((owner) => owner !== ''))];
  const codes = [...new Set(report.nodes.flatMap((node) => causesOf(node).map((cause) => cause.code)))];
  return html`<form class="filter" method="get" action="${base}/">
${query.nodes !== undefined && html`<input type="hidden" name="nodes" value="${query.nodes}">`}
<label>Name <input name="name" value="${query.name ?? ''}" maxlength="253" autocomplete="off"></label>
${select('Link is', 'state', ['broken', 'unknown', 'ok'], query.state)}
${select('Cause', 'cause', codes.toSorted(), query.cause)}
${select('Owner', 'owner', owners.toSorted(), query.owner)}
<button>Filter</button> <a href="${base}/">Clear</a></form>`;
}

/** A choice with an empty one before all others, which is shown as `none`. */
export function select(
  label: string,
  name: string,
  values: readonly string[],
  chosen: string | undefined,
  none = 'any',
): Html {
  const all = chosen === undefined || values.includes(chosen) ? values : [...values, chosen];
  return html`<label>${label} <select name="${name}"><option value="">${none}</option>${all.map(
    (value) => html`<option${value === chosen && html` selected`}>${value}</option>`,
  )}</select></label>`;
}

function renderPages(base: string, query: FleetQuery, page: number, pages: number): Html {
  const to = (number: number) => {
    const kept = Object.entries({ ...query, page: number }).map(
      ([key, value]) => [key, String(value)] as [string, string],
    );
    return `${base}/?${new URLSearchParams(kept)}#nodes`;
  };
  return html`<nav class="pages" aria-label="Pages of nodes">${
    page > 1 && html`<a rel="prev" href="${to(page - 1)}">Previous</a>`
  } ${page < pages && html`<a rel="next" href="${to(page + 1)}">Next</a>`}</nav>`;
}
