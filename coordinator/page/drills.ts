import { renderDuration } from '../../shared/duration.ts';
import type { ChainLink, LinkStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Restore } from '../store/restore.ts';
import type { Experiment, Injection } from '../store/store.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import { renderButton } from './buttons.ts';
import { type Html, html, type Piece } from './html.ts';
import { code, commandList, count, facts, mark, table, time } from './layout.ts';
import type { Barred, DrillView } from './port.ts';

/** Experiments on one page; older ones are on the next. */
const ofPage = 50;
/** Nodes of a drill that are drawn with their chain and timeline; the others have a line each. */
const drawnNodes = 20;

/** All drills, the newest first. */
export function renderDrills(base: string, all: readonly Experiment[], asked = 1): Html {
  const newest = all.toSorted((left, right) =>
    (left.metadata.creationTimestamp ?? '') < (right.metadata.creationTimestamp ?? '') ? 1 : -1,
  );
  const pages = Math.max(1, Math.ceil(newest.length / ofPage));
  const page = Math.min(pages, asked);
  const shown = newest.slice((page - 1) * ofPage, page * ofPage);
  return html`<h1>Drills</h1><p><a class="button" href="${base}/new">New drill</a></p>
${
  shown.length === 0
    ? html`<p>No drill so far.</p>`
    : table(
        'Drills',
        ['', 'Drill', 'Fault', 'Phase', 'Nodes', 'Started', 'What came of it'],
        shown.map(({ metadata, spec, status }) => [
          mark(status?.verdict ?? (status?.phase === undefined ? 'waiting' : 'running')),
          html`<a href="${base}/drills/${encodeURIComponent(metadata.name)}">${metadata.name}</a>`,
          spec.fault.name,
          status?.phase ?? 'Pending',
          String(status?.selected?.length ?? 0),
          time(status?.startedAt ?? metadata.creationTimestamp),
          status?.explanation?.summary ?? '',
        ]),
      )
}
${pages > 1 && html`<nav class="pages" aria-label="Pages of drills">${page > 1 && html`<a rel="prev" href="${base}/drills?page=${page - 1}">Newer</a>`} ${page < pages && html`<a rel="next" href="${base}/drills?page=${page + 1}">Older</a>`}</nav>`}`;
}

/** Whether something of a drill still goes on. */
export function isLive({ isSettled, injections }: DrillView): boolean {
  return !isSettled || injections.some(({ status }) => status?.restore?.state === 'running');
}

/** One drill: how it stands in a sentence, the chain of each node, why, and what was seen when. */
export function renderDrill(
  base: string,
  view: DrillView,
  /** Address of its report, where somebody serves it, and why its buttons cannot be used. */
  { report, barred }: { readonly report?: string | undefined; readonly barred?: Barred | undefined },
): Html {
  const { experiment, injections } = view;
  const { metadata, spec, status } = experiment;
  const { verdict, explanation, phase = 'Pending' } = status ?? {};
  const ordered = injections.toSorted(
    (left, right) => rank(left) - rank(right) || (left.spec.node < right.spec.node ? -1 : 1),
  );
  const state = verdict ?? 'running';
  return html`<p class="crumbs"><a href="${base}/drills">Drills</a></p>
<h1>${metadata.name}</h1>
<p class="lead" role="status">${mark(state)} <strong>${verdict ?? phase}</strong>${verdict === undefined ? html`: ${standing(view)}` : html`: ${explanation?.summary ?? 'without an explanation'}`}</p>
<p class="muted live" id="live-state" hidden></p>
${facts([
  [
    'Fault',
    html`<a href="${base}/faults/${encodeURIComponent(spec.fault.name)}">${spec.fault.name}</a> ${Object.entries(spec.fault.parameters ?? {}).map(([name, value]) => html`${code(`${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)} `)}`,
  ],
  ['Nodes', String(injections.length)],
  ['Started', time(status?.startedAt ?? metadata.creationTimestamp)],
  ['Ended', time(status?.endedAt)],
])}
${renderButtons(base, view, barred)}
${ordered.slice(0, drawnNodes).map((injection) => renderChain(base, injection, injections.length > 1))}
${ordered.length > drawnNodes && renderOthers(base, ordered.slice(drawnNodes))}
${explanation && renderExplanation(explanation)}
${ordered.slice(0, drawnNodes).map(renderTimeline)}
${
  (status?.skipped ?? []).length > 0 &&
  html`<details><summary>${count(status?.skipped?.length ?? 0, 'node')} left out</summary>${table(
    'Nodes left out',
    ['Node', 'Why'],
    (status?.skipped ?? []).map(({ node, because }) => [node, because]),
  )}</details>`
}
${report !== undefined && html`<p><a href="${report}">Report</a>: one file, to keep or to print</p>`}
<p class="muted"><code>kubectl get experiment ${metadata.name} -o yaml</code></p>`;
}

function renderButtons(base: string, view: DrillView, barred: Barred | undefined): readonly Piece[] {
  const { metadata, status } = view.experiment;
  const to = (act: string) => `${base}/drills/${encodeURIComponent(metadata.name)}/${act}`;
  const takesBack =
    'Takes back what the drill left on its nodes, and restarts pods of NMA and its host engine where that is needed.';
  return [
    status?.verdict === undefined &&
      renderButton(to('abort'), 'Abort this drill', { note: 'What was injected stays.', barred }),
    view.restorable === 'now' &&
      renderButton(
        to('restore'),
        status?.restore === undefined ? 'Restore the nodes' : 'Restore the nodes again',
        {
          note: takesBack,
          barred,
        },
      ),
    view.restorable === 'at-end' &&
      renderButton(to('restore'), 'Restore when it has ended', { note: takesBack, barred }),
  ];
}

/** Those that need a look first. */
function rank({ status }: Injection): number {
  const order = ['fail', 'error', 'inconclusive', 'aborted', undefined, 'pass'];
  return order.indexOf(status?.verdict);
}

type ShownLink = Pick<LinkStatus, 'id' | 'link' | 'state' | 'expected'> & Partial<LinkStatus>;

/** As far as they are known; before the first status, as planned. */
function linksOf({ spec, status }: Pick<Injection, 'spec' | 'status'>): readonly ShownLink[] {
  if (status?.links !== undefined) return status.links;
  return spec.chain.map(({ id, link, expected }: ChainLink) => ({
    id,
    link,
    expected,
    state: 'waiting' as const,
  }));
}

function standing({ injections }: DrillView): string {
  if (injections.length === 0) return 'nodes are being selected';
  const waiting = injections.flatMap(
    (one) => linksOf(one).find(({ state }) => state === 'waiting')?.id ?? [],
  );
  const counts = [...Map.groupBy(waiting, (id) => id)].map(([id, all]) =>
    injections.length === 1 ? id : `${id} on ${count(all.length, 'node')}`,
  );
  return counts.length === 0 ? 'the verdict is being written' : `waiting for ${counts.join(', ')}`;
}

/** `withCause`: of several nodes, each of which has a cause of its own. */
function renderChain(base: string, { spec, status }: Injection, withCause: boolean): Html {
  const { restore, explanation, verdict } = status ?? {};
  const brokenAt = verdict === 'pass' ? undefined : explanation?.link;
  return html`<section class="node-chain" aria-label="Chain of ${spec.node}"><h2><a href="${base}/nodes/${encodeURIComponent(spec.node)}">${spec.node}</a> ${verdict !== undefined && mark(verdict)}</h2>
${withCause && explanation !== undefined && html`<p>${explanation.summary} ${code(explanation.code)}</p>`}
<ol class="chain">${linksOf({ spec, status }).map((link) =>
    renderLink(link, link.link === brokenAt && link.state !== 'reached' ? explanation?.code : undefined),
  )}${restore && renderRestore(restore)}</ol>
${withCause && explanation !== undefined && explanation.evidence.length > 0 && html`<details id="proof-${spec.node}"><summary>Proof</summary>${renderEvidence(explanation)}<p>${explanation.remedy}</p></details>`}</section>`;
}

/** `cause`: code of the one that broke the chain at this link. */
function renderLink({ id, state, expected, seconds, because, at }: ShownLink, cause?: string): Html {
  const shown = cause === undefined ? state : 'broken';
  return html`<li class="link ${shown}">${mark(shown)} <strong>${id}</strong> ${
    seconds !== undefined && html`<span class="seconds">${renderDuration(seconds)}</span>`
  }<p>${cause !== undefined && html`${code(cause)} `}${state === 'waiting' ? expected : (because ?? expected)}</p>${
    at !== undefined && html`<p class="muted">${time(at)}</p>`
  }</li>`;
}

const restoreMarks = {
  running: 'waiting',
  restored: 'reached',
  nothing: 'skipped',
  failed: 'missed',
} as const;

function renderRestore({ state, summary, steps }: Restore): Html {
  const open = steps.find((step) => step.state === 'waiting');
  return html`<li class="link ${restoreMarks[state]}">${mark(restoreMarks[state])} <strong>restore</strong><p>${summary ?? (open === undefined ? state : `${open.step}: ${open.expected}`)}</p></li>`;
}

function renderOthers(base: string, injections: readonly Injection[]): Html {
  return table(
    'Further nodes',
    ['', 'Node', 'Phase', 'Cause'],
    injections.map(({ spec, status }) => [
      mark(status?.verdict ?? 'running'),
      html`<a href="${base}/nodes/${encodeURIComponent(spec.node)}">${spec.node}</a>`,
      status?.phase ?? 'Selected',
      status?.explanation?.code ?? '',
    ]),
  );
}

function renderEvidence({ evidence }: Explanation): Html {
  return table(
    'Evidence',
    ['Where', 'What stood there', 'When'],
    evidence.map(({ source, observed, at }) => [source, observed, time(at)]),
  );
}

/** Cause, proof, what to do; what is ruled out behind it. */
function renderExplanation(explanation: Explanation & { readonly commands?: readonly string[] }): Html {
  const { code: cause, link, evidence, remedy, refuted, alsoFound, commands = [] } = explanation;
  return html`<section aria-labelledby="why"><h2 id="why">Why</h2>
<p>${code(cause)}${link !== undefined && html` <span class="muted">link ${link}</span>`}</p>
${remedy !== '' && html`<p><strong>What to do:</strong> ${remedy}</p>`}${commandList(commands)}
${evidence.length > 0 && renderEvidence(explanation)}
${alsoFound.length > 0 && html`<h3>Also found</h3><ul>${alsoFound.map((one) => html`<li>${code(one.code)} ${one.summary} ${one.remedy}</li>`)}</ul>`}
${refuted.length > 0 && html`<details><summary>${count(refuted.length, 'cause')} ruled out</summary><ul>${refuted.map((one) => html`<li>${code(one.code)} ${one.because}</li>`)}</ul></details>`}
</section>`;
}

function renderTimeline({ spec, status }: Injection): Piece {
  const timeline = status?.timeline ?? [];
  if (timeline.length === 0) return undefined;
  return html`<details id="timeline-${spec.node}"><summary>Timeline of ${spec.node}: ${count(timeline.length, 'entry').replace('entrys', 'entries')}</summary>${table(
    `Timeline of ${spec.node}`,
    ['When', 'Clock', 'Kind', 'Where', 'What'],
    timeline.map((entry: TimelineEntry) => [
      time(entry.at),
      entry.clock,
      entry.match ? html`<strong>${entry.kind} (the reaction)</strong>` : entry.kind,
      entry.source,
      entry.text,
    ]),
  )}</details>`;
}
