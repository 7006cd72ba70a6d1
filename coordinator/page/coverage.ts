import { renderDuration } from '../../shared/duration.ts';
import { type Html, html, type Piece } from './html.ts';
import { mark, table, time } from './layout.ts';
import type { CoverageView } from './port.ts';

type Cell = CoverageView['cells'][number];

/** Faults × pools, those first that are not proven; faults that were never drilled anywhere are a list behind them. */
export function renderCoverage(base: string, { pools, cells }: CoverageView): Html {
  const byFault = [...Map.groupBy(cells, ({ fault }) => fault)];
  const drilled = byFault.filter(([, own]) => own.some(({ state }) => state !== 'never'));
  const never = byFault.filter(([, own]) => own.every(({ state }) => state === 'never'));
  return html`<h1>Coverage</h1>
<p class="lead">What a drill has proven: each fault with each pool of nodes, when it was last detected there, and how fast.</p>
<p class="muted">From the drills that are stored; older ones are removed. Pools: ${pools.map(({ pool, nodes }) => `${pool} (${nodes})`).join(', ')}</p>
${
  drilled.length === 0
    ? html`<p>Nothing has been drilled so far.</p>`
    : table(
        'Coverage',
        ['Fault', ...pools.map(({ pool }) => pool)],
        drilled.map(([fault, own]) => [
          html`<a href="${base}/faults/${encodeURIComponent(fault)}">${fault}</a>`,
          ...pools.map(({ pool }) =>
            cellOf(
              base,
              own.find((cell) => cell.pool === pool),
            ),
          ),
        ]),
      )
}
${never.length > 0 && html`<details><summary>Never drilled: ${never.length} faults</summary><ul>${never.map(([fault]) => html`<li><a href="${base}/new?fault=${encodeURIComponent(fault)}">${fault}</a></li>`)}</ul></details>`}`;
}

function cellOf(base: string, cell: Cell | undefined): Piece {
  if (cell === undefined) return '–';
  const run = cell.state === 'proven' ? cell.lastProven : cell.last;
  if (run === null) return mark(cell.state);
  return html`${mark(cell.state)} <a href="${base}/drills/${encodeURIComponent(run.experiment)}">${time(run.at)}</a>${
    run.seconds !== null && html`, ${renderDuration(run.seconds)}`
  }`;
}
