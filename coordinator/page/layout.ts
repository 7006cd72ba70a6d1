import type { KillSwitchState } from '../../shared/schemas/kill-switch.ts';
import type { Unread } from '../view/facts.ts';
import { type Html, html, type Piece } from './html.ts';

/** What every page shows beside its own content. */
export type Site = {
  /** Where the page is mounted: empty, or `/SECRET`. */
  readonly base: string;
  /** Undefined: it was not asked for, as on a page about a refusal. */
  readonly killSwitch?: KillSwitchState | Unread;
  /** Where the kill switch is; goes with it. */
  readonly namespace?: string;
};

/** The entries of the navigation. */
const entries = [
  ['/', 'Fleet'],
  ['/drills', 'Drills'],
  ['/coverage', 'Coverage'],
  ['/faults', 'Faults'],
  ['/why', 'Why'],
  ['/new', 'New drill'],
  ['/killswitch', 'Kill switch'],
] as const;

/** One page: its place in the navigation, its heading and content. */
export type Frame = {
  readonly title: string;
  readonly current?: (typeof entries)[number][0];
  readonly body: Html;
  /** Of a page that changes while it is read: the stream that says when. */
  readonly live?: { readonly events: string };
};

/** A whole document. */
export function renderPage(site: Site, { title, current, body, live }: Frame): string {
  const { base } = site;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Xidrill</title>
<link rel="icon" href="${base}/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${base}/assets/style.css">
${live && html`<script src="${base}/assets/client.js" type="module"></script><noscript><meta http-equiv="refresh" content="5"></noscript>`}
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<a class="brand" href="${base}/">Xidrill</a>
<nav aria-label="Pages"><ul>${entries.map(
    ([path, name]) =>
      html`<li><a href="${base}${path}"${path === current && html` aria-current="page"`}>${name}</a></li>`,
  )}</ul></nav>
</header>
${renderSwitch(site)}
<main id="content" tabindex="-1"${live && html` data-events="${live.events}"`}>
${body}
</main>
</body>
</html>
`;
  return page.markup;
}

function renderSwitch({ base, killSwitch, namespace }: Site): Piece {
  if (killSwitch === undefined) return undefined;
  if ('unread' in killSwitch)
    return html`<p class="banner unknown">Whether the kill switch is engaged is not known: ${killSwitch.unread}</p>`;
  if (!killSwitch.engaged)
    return html`<p class="switch">Kill switch: released. <a href="${base}/killswitch">Stop everything</a>, or <code>kubectl -n ${namespace} create configmap xidrill-killswitch --from-literal=engaged=true</code></p>`;
  const { reason, by, since } = killSwitch;
  return html`<p class="banner broken"><strong>The kill switch is engaged.</strong> Nothing is injected.${
    reason !== undefined && html` Reason: ${reason}.`
  }${by !== undefined && html` By ${by}.`}${since !== undefined && html` Since ${time(since)}.`} <a href="${base}/killswitch">Release it</a></p>`;
}

/** A time as people read it, whole seconds, UTC. */
export function time(at: string | null | undefined): Piece {
  if (at === null || at === undefined || at === '') return '–';
  const shown = at.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC');
  return html`<time datetime="${at}">${shown}</time>`;
}

/** A code of a cause, or a name, set off from prose. */
export function code(text: string): Html {
  return html`<code>${text}</code>`;
}

/** Commands to copy, each on a line of its own; nothing where there are none. */
export function commandList(commands: readonly string[]): Piece {
  if (commands.length === 0) return undefined;
  return html`<pre class="commands" tabindex="0">${commands.join('\n')}</pre>`;
}

/** A table that scrolls by itself where the window is narrower; on a phone each row is a block, with the headings inside. */
export function table(label: string, head: readonly string[], rows: readonly (readonly Piece[])[]): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0"><table>
<thead><tr>${head.map((cell) => html`<th scope="col">${cell === '' ? html`<span class="sr">State</span>` : cell}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell, column) => html`<td data-label="${head[column]}">${cell}</td>`)}</tr>`)}</tbody>
</table></div>`;
}

/** Terms and what they are. */
export function facts(rows: readonly (readonly [string, Piece])[]): Html {
  return html`<dl>${rows.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** `3 nodes`, `1 node`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** Marks of the states of a link, with the word that a screen reader reads. */
export function mark(state: string): Html {
  const known = marks[state] ?? '?';
  return html`<span class="mark ${state}"><span aria-hidden="true">${known}</span><span class="sr">${state}</span></span>`;
}

const marks: Readonly<Record<string, string>> = {
  ok: '✓',
  works: '✓',
  reached: '✓',
  pass: '✓',
  done: '✓',
  proven: '✓',
  undecided: '?',
  never: '–',
  broken: '✗',
  cause: '✗',
  missed: '✗',
  fail: '✗',
  error: '✗',
  failed: '✗',
  unknown: '?',
  open: '?',
  inconclusive: '?',
  waiting: '…',
  running: '…',
  yes: '✓',
  no: '–',
  none: '–',
  skipped: '–',
  aborted: '–',
};
