import { type Refusal, rowOf, statusOf } from '../../shared/errors.ts';
import type { ErrorFormat } from '../../shared/http/server.ts';
import { html } from './html.ts';
import { code, renderPage } from './layout.ts';

/** Whether who asks wants a page: a browser that navigates says so, a script does not. */
export function wantsPage({ url, accept }: Parameters<ErrorFormat>[1]): boolean {
  return url?.startsWith('/api/') !== true && /\btext\/html\b/.test(accept ?? '');
}

/** Refusals as pages for a browser, and as `otherwise` writes them for everybody else. */
export function pageOrElse(base: string, otherwise: ErrorFormat): ErrorFormat {
  return (refusal, request) =>
    wantsPage(request)
      ? { type: 'text/html; charset=utf-8', body: renderRefusal(base, refusal) }
      : otherwise(refusal, request);
}

function renderRefusal(base: string, refusal: Refusal): string {
  const { reason, message, details } = refusal;
  const { remedy, allowed } = details;
  return renderPage(
    { base },
    {
      title: rowOf(reason).title,
      body: html`<h1>${rowOf(reason).title}</h1>
<p class="lead">${message}</p>
${refusal.code === 'unauthenticated' && withoutToken}
${remedy !== undefined && html`<p><strong>What to do:</strong> ${String(remedy)}</p>`}
${allowed !== undefined && html`<p class="muted">Allowed: ${[allowed].flat().map(String).join(', ')}</p>`}
<p class="muted">${code(reason)}, HTTP ${statusOf(reason)}. <a href="${base}/">Fleet</a></p>`,
    },
  );
}

/** There is no cookie and no session: what a browser sends by itself must not be able to start a drill. */
const withoutToken = html`<p>This coordinator asks every caller for a token, which a browser does not send. The same page with the rights of your own kubeconfig:</p>
<pre class="commands" tabindex="0">xidrill page</pre>
<p>It needs no right on the coordinator, listens on loopback only, and prints its address.</p>`;
