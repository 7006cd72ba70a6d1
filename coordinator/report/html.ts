import { createHash } from 'node:crypto';
import { renderDuration } from '../../shared/duration.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Verdict } from '../store/timeline.ts';
import { verdictOf } from './build.ts';
import { drawChain, drawLatencies } from './draw.ts';
import { markup } from './escape.ts';
import type { ExperimentReport, Report, ReportNode, SuiteReport } from './model.ts';
import { style } from './style.ts';
import { causeAddress, faultText, linkMarks, linkText, secondsText, verdictMarks } from './words.ts';

/** What a browser may do with a report, as a header and in the file itself: nothing but its own style, so no script whatever it says. */
export const reportPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'`;

/** A report as one HTML file: no network, no script, printable, dark and light. */
export function renderHtmlReport(report: Report): string {
  const isSuite = report.kind === 'SuiteReport';
  const title = `${isSuite ? 'Suite ' : ''}${report.name}: ${report.verdict ?? 'running'}`;
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8"/>',
    `<meta http-equiv="Content-Security-Policy" content="${markup(reportPolicy)}"/>`,
    '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    '<meta name="color-scheme" content="light dark"/>',
    `<title>${markup(title)}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    ...(isSuite ? suiteLines(report) : experimentLines(report, 1)),
    `<p class="facts">Xidrill report, <code>${report.schema}</code></p>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function badge(verdict: Verdict | null | undefined, otherwise = 'running'): string {
  const word = verdict ?? otherwise;
  const mark = verdictMarks[verdict ?? (otherwise === 'running' ? 'running' : 'skipped')];
  return `<span class="verdict ${verdict ?? 'skipped'}">${mark} ${markup(word)}</span>`;
}

/** One that is wider than its page is scrolled, also by keyboard; `label` says what it is. */
function table(label: string, heads: readonly string[], rows: readonly string[]): string {
  const head = heads.map((one) => `<th scope="col">${one}</th>`).join('');
  return `<div class="table" tabindex="0" role="region" aria-label="${markup(label)}"><table><thead><tr>${head}</tr></thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>`;
}

function row(cells: readonly string[]): string {
  return `<tr>${cells.join('')}</tr>`;
}

const cell = (html: string) => `<td>${html}</td>`;
const short = (html: string) => `<td class="short">${html}</td>`;

function suiteLines(report: SuiteReport): readonly string[] {
  const { name, run, verdict, summary, drills, latencies, startedAt, endedAt } = report;
  const rows = drills.map((drill, index) => {
    const of = verdictOf(drill);
    const { report: one } = drill;
    const title =
      one === null ? markup(drill.name) : `<a href="#drill-${index + 1}">${markup(drill.name)}</a>`;
    return row([
      short(badge(of, 'not run')),
      cell(title),
      cell(one === null ? '' : markup(faultText(one.fault))),
      cell(markup(drill.skipped ?? drill.error ?? one?.summary ?? '')),
    ]);
  });
  return [
    `<h1>${badge(verdict)} Suite ${markup(name)}</h1>`,
    `<p class="lead">${markup(summary)}</p>`,
    `<p class="facts">Run ${markup(run)}${startedAt === null ? '' : `, ${markup(startedAt)} to ${markup(endedAt ?? 'now')}`}</p>`,
    table('Drills', ['Verdict', 'Drill', 'Fault', 'Why'], rows),
    ...(latencies.length === 0 ? [] : ['<h2>How long each link took</h2>']),
    ...latencies.flatMap((one) => [`<h3>${markup(one.link)}</h3>`, drawLatencies(one)]),
    ...drills.flatMap(({ report: one }, index) =>
      one === null ? [] : [`<section id="drill-${index + 1}">`, ...experimentLines(one, 2), '</section>'],
    ),
  ];
}

function experimentLines(report: ExperimentReport, level: 1 | 2): readonly string[] {
  const { name, verdict, summary, fault, explanation, nodes, skipped } = report;
  const below = level + 1;
  return [
    `<h${level}>${badge(verdict)} ${markup(name)}</h${level}>`,
    `<p class="lead">${markup(summary)}</p>`,
    `<p class="facts">${factsOf(report)}</p>`,
    `<p class="facts">Fault <code>${markup(faultText(fault))}</code></p>`,
    ...(explanation === null ? [] : toDo(explanation, verdict !== 'pass', below)),
    ...nodes.flatMap((node) => chainLines(node, nodes.length > 1, below)),
    ...(explanation === null ? [] : proofLines(explanation, below)),
    ...(skipped.length === 0
      ? []
      : [
          `<h${below}>Nodes left out</h${below}>`,
          list(
            skipped.map(({ node, code, because }) => `${markup(node)}: ${markup(code)}, ${markup(because)}`),
          ),
        ]),
    ...nodes.flatMap((node) => detailLines(node, below)),
  ];
}

function factsOf({ startedAt, endedAt, seconds, injected, counts, restore }: ExperimentReport): string {
  const facts = [
    startedAt === null ? 'not started' : `${startedAt} to ${endedAt ?? 'now'}`,
    ...(seconds === null ? [] : [renderDuration(seconds)]),
    `injected: ${injected}`,
    ...(counts === null ? [] : [`nodes: ${counts.pass} of ${counts.total} passed`]),
    ...(restore === null ? [] : [`restore: ${restore.state}`]),
  ];
  return markup(facts.join(' · '));
}

function list(items: readonly string[]): string {
  return `<ul>\n${items.map((item) => `<li>${item}</li>`).join('\n')}\n</ul>`;
}

function toDo(
  { code, remedy, commands = [] }: Explanation,
  isLinked: boolean,
  level: number,
): readonly string[] {
  return [
    ...(isLinked
      ? [
          `<p class="facts">Cause <code>${markup(code)}</code>, described in ${markup(causeAddress(code))}</p>`,
        ]
      : []),
    ...(remedy === '' && commands.length === 0 ? [] : [`<h${level}>What to do</h${level}>`]),
    ...(remedy === '' ? [] : [`<p>${markup(remedy)}</p>`]),
    ...(commands.length === 0 ? [] : [commandBlock(commands)]),
  ];
}

function commandBlock(commands: readonly string[] = []): string {
  return commands.length === 0 ? '' : `<pre>${commands.map(markup).join('\n')}</pre>`;
}

function proofLines({ evidence, refuted, alsoFound }: Explanation, level: number): readonly string[] {
  const section = (title: string, items: readonly string[]) =>
    items.length === 0 ? [] : [`<h${level}>${title}</h${level}>`, list(items)];
  return [
    ...section(
      'Evidence',
      evidence.map(
        ({ source, observed, at }) =>
          `${markup(observed)}<br/><span class="source">${markup(source)}, ${markup(at)}</span>`,
      ),
    ),
    ...section(
      'Also found',
      alsoFound.map(
        (one) =>
          `<code>${markup(one.code)}</code>: ${markup(one.summary)} ${markup(one.remedy)}${commandBlock(one.commands)}`,
      ),
    ),
    ...section(
      'Ruled out',
      refuted.map((one) => `<code>${markup(one.code)}</code>: ${markup(one.because)}`),
    ),
  ];
}

function chainLines(node: ReportNode, hasOwn: boolean, level: number): readonly string[] {
  const { verdict, explanation, links } = node;
  const pool = node.pool === null ? '' : `, ${node.pool}`;
  const rows = links.map((link) =>
    row([
      short(`<span class="${link.state}">${linkMarks[link.state]} ${link.state}</span>`),
      cell(`<code>${markup(link.id)}</code>`),
      short(secondsText(link.seconds)),
      cell(
        `${markup(linkText(link))}${link.at === undefined ? '' : `<br/><span class="at">${markup(link.at)} (${markup(link.clock ?? 'coordinator')})</span>`}`,
      ),
    ]),
  );
  return [
    `<h${level}>${hasOwn ? badge(verdict) : 'Chain of'} ${markup(`${node.node}${pool}`)}</h${level}>`,
    ...(hasOwn && explanation !== null
      ? [`<p><code>${markup(explanation.code)}</code>: ${markup(explanation.summary)}</p>`]
      : []),
    drawChain(node),
    table(`Links of ${node.node}`, ['State', 'Link', 'After', 'Why'], rows),
  ];
}

function detailLines({ node, receipts, timeline }: ReportNode, level: number): readonly string[] {
  const writes = receipts.flatMap(({ receipt }) =>
    receipt.surfaces.map((one) =>
      row([
        short(`${markup(one.surface)}<br/>${markup(one.outcome)}`),
        cell(
          `<code>${markup(one.written ?? one.message ?? 'nothing was written')}</code>` +
            (one.readBack === undefined
              ? ''
              : `<br/>read back <code>${markup(JSON.stringify(one.readBack))}</code>`) +
            `<br/><span class="source">${markup(receipt.method)}, order ${markup(receipt.orderId)}, ${markup(one.at ?? receipt.acceptedAt)} (node); undo: ${markup(one.undo)}</span>`,
        ),
      ]),
    ),
  );
  const entries = timeline.map(({ at, clock, kind, source, text, match }) =>
    row([
      short(`${markup(at)}<br/><span class="at">${markup(clock)}</span>`),
      short(markup(kind)),
      cell(
        `${match ? '<strong>✓</strong> ' : ''}${markup(text)}<br/><span class="source">${markup(source)}</span>`,
      ),
    ]),
  );
  return [
    ...(writes.length === 0
      ? []
      : [
          `<h${level}>Receipts of ${markup(node)}</h${level}>`,
          table(`Receipts of ${node}`, ['Surface', 'What was written'], writes),
        ]),
    ...(entries.length === 0
      ? []
      : [
          `<h${level}>Timeline of ${markup(node)}</h${level}>`,
          table(`Timeline of ${node}`, ['At', 'What', 'Text'], entries),
        ]),
  ];
}
