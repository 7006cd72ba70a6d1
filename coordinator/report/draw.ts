import { renderDuration } from '../../shared/duration.ts';
import { markup } from './escape.ts';
import type { ReportNode, SuiteReport } from './model.ts';
import { linkMarks, secondsText } from './words.ts';

/** Drawings as SVG inside a page: no script, no style of their own, colours by the page's classes, so that dark and print change them. */

const width = 760;
const labelWidth = 190;
const timeWidth = 110;
const rowHeight = 26;
const plotWidth = width - labelWidth - timeWidth;

/** The chain of a node as bars along one axis of time, on the coordinator's clock. */
export function drawChain({ node, links }: ReportNode): string {
  const starts = links.flatMap(({ since }) => (since === undefined ? [] : [Date.parse(since)]));
  const ends = links.flatMap(({ until }) => (until === undefined ? [] : [Date.parse(until)]));
  const from = Math.min(...starts);
  const span = Math.max(...ends, ...starts) - from;
  const hasTimes = starts.length > 0 && span > 0;
  const x = (time: number) => labelWidth + (hasTimes ? ((time - from) / span) * plotWidth : 0);
  const rows = links.map((link, index) => {
    const { id, state, since, until, seconds } = link;
    const y = index * rowHeight;
    const start = since === undefined ? undefined : Date.parse(since);
    const end = until === undefined ? start : Date.parse(until);
    const bar =
      start === undefined || end === undefined
        ? `<line class="none" x1="${labelWidth}" x2="${labelWidth + plotWidth}" y1="${y + 13}" y2="${y + 13}"/>`
        : `<rect class="bar ${state}" x="${round(x(start))}" y="${y + 6}" width="${round(Math.max(3, x(end) - x(start)))}" height="14" rx="2"/>`;
    const time = seconds === undefined ? state : secondsText(seconds);
    return (
      `<text class="label" x="0" y="${y + 18}"><tspan class="mark ${state}">${linkMarks[state]}</tspan> ${markup(cut(id, 24))}</text>` +
      `${bar}<text class="time" x="${width}" y="${y + 18}">${markup(time)}</text>`
    );
  });
  const height = links.length * rowHeight + (hasTimes ? 22 : 4);
  const axis = hasTimes
    ? `<line class="axis" x1="${labelWidth}" x2="${labelWidth + plotWidth}" y1="${links.length * rowHeight + 2}" y2="${links.length * rowHeight + 2}"/>` +
      `<text class="tick" x="${labelWidth}" y="${height - 4}">0</text>` +
      `<text class="tick end" x="${labelWidth + plotWidth}" y="${height - 4}">${markup(renderDuration(span / 1000))}</text>`
    : '';
  const told = links
    .map(({ id, state, seconds }) =>
      seconds === undefined ? `${id} ${state}` : `${id} ${state} after ${secondsText(seconds)}`,
    )
    .join(', ');
  return svg(height, `Chain of node ${node}: ${told}`, [...rows, axis]);
}

const mostRows = 60;

/** How long one link took in each drill of a suite, a dot a node, along one axis. */
export function drawLatencies({ link, samples }: SuiteReport['latencies'][number]): string {
  const slowest = Math.max(...samples.map(({ seconds }) => seconds), 0.001);
  const drills = [...Map.groupBy(samples, ({ drill }) => drill)].slice(0, mostRows);
  const x = (seconds: number) => labelWidth + 4 + (seconds / slowest) * (plotWidth - 8);
  const rows = drills.map(([drill, ofDrill], index) => {
    const y = index * rowHeight;
    const dots = ofDrill.map(
      ({ node, seconds }) =>
        `<circle class="dot" cx="${round(x(seconds))}" cy="${y + 13}" r="4"><title>${markup(`${drill}, ${node}: ${secondsText(seconds)}`)}</title></circle>`,
    );
    const most = Math.max(...ofDrill.map(({ seconds }) => seconds));
    return (
      `<text class="label" x="0" y="${y + 18}">${markup(cut(drill, 26))}</text>` +
      `<line class="none" x1="${labelWidth}" x2="${labelWidth + plotWidth}" y1="${y + 13}" y2="${y + 13}"/>` +
      `${dots.join('')}<text class="time" x="${width}" y="${y + 18}">${markup(secondsText(most))}</text>`
    );
  });
  const bottom = drills.length * rowHeight;
  const axis =
    `<line class="axis" x1="${labelWidth}" x2="${labelWidth + plotWidth}" y1="${bottom + 2}" y2="${bottom + 2}"/>` +
    `<text class="tick" x="${labelWidth}" y="${bottom + 18}">0</text>` +
    `<text class="tick end" x="${labelWidth + plotWidth}" y="${bottom + 18}">${markup(renderDuration(slowest))}</text>`;
  const told = samples
    .slice(0, 20)
    .map(({ drill, node, seconds }) => `${drill} on ${node} ${secondsText(seconds)}`)
    .join(', ');
  return svg(bottom + 22, `Times of the link ${link}: ${told}`, [...rows, axis]);
}

function svg(height: number, label: string, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${markup(label)}">${parts.join('')}</svg>`;
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** By characters, so that no pair of surrogates is parted. */
function cut(text: string, length: number): string {
  const characters = [...text];
  return characters.length > length ? `${characters.slice(0, length - 1).join('')}…` : text;
}
