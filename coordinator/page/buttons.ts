import { type Html, html } from './html.ts';
import { code } from './layout.ts';
import type { Barred } from './port.ts';

/** A button that changes something, as a form of its own, with what it does beside it; or why it cannot be used. */
export function renderButton(
  action: string,
  text: string,
  { note, barred }: { readonly note: string; readonly barred: Barred | undefined },
): Html {
  return html`<form class="act" method="post" action="${action}"><button class="quiet"${barred && html` disabled`}>${text}</button> <span class="muted">${note}</span></form>${barred && renderBarred(barred)}`;
}

/** Which right is missing, or what else is in the way. */
export function renderBarred({ because, remedy, command }: Barred): Html {
  return html`<p class="barred">Not available: ${because}${remedy !== undefined && html` <span class="muted">${remedy}</span>`}${command !== undefined && html` ${code(command)}`}</p>`;
}
