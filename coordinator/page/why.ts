import type { Finding, WhyAnswer } from '../why/finding.ts';
import { longestText } from '../why/why.ts';
import { type Html, html } from './html.ts';
import { code, commandList, mark, table } from './layout.ts';

/** The box, and the answer to what was pasted. */
export function renderWhy(base: string, asked?: { readonly text: string; readonly answer: WhyAnswer }): Html {
  return html`<h1>Why did nothing happen?</h1>
<p class="lead">Paste what you did and what you saw, in any mix: commands, kernel log lines, a node as YAML, the log of the node monitoring agent, events. Nothing of it is executed, and the cluster is not asked.</p>
${asked && renderAnswer(asked.answer)}
<form method="post" action="${base}/why"><label for="text">What you did and saw</label>
<textarea id="text" name="text" rows="12" maxlength="${longestText}" required spellcheck="false">${'\n'}${asked?.text}</textarea>
<p><button>Explain</button></p></form>`;
}

const results: Readonly<Record<WhyAnswer['result'], string>> = {
  broken: 'A link of the chain is broken',
  works: 'Nothing in the text is wrong',
  open: 'The text does not decide it',
};

function renderAnswer({ result, summary, known, findings, notUnderstood }: WhyAnswer): Html {
  return html`<section aria-labelledby="answer" class="answer"><h2 id="answer">${mark(result)} ${results[result]}</h2>
<p class="lead">${summary}</p>
${known.length > 0 && html`<p class="muted">${known.map(({ what, value, line }) => html`${what} ${value} (line ${line}). `)}</p>`}
${findings.map(renderFinding)}
${
  notUnderstood.length > 0 &&
  html`<details open><summary>Not understood</summary>${table(
    'Not understood',
    ['Line', 'Text', 'The nearest that is understood'],
    notUnderstood.map(({ line, input, nearest }) => [String(line), code(input), nearest]),
  )}</details>`
}</section>`;
}

function renderFinding(finding: Finding): Html {
  const {
    code: cause,
    link,
    result,
    certainty,
    line,
    did,
    summary,
    seenBy,
    evidence,
    commands,
    missing,
  } = finding;
  return html`<article class="group ${result}"><h3>${mark(result)} Line ${line}: ${did}</h3>
<p>${summary}${certainty === 'likely' && ' (Likely, not proven.)'} <span class="muted">${link}</span> ${code(cause)}</p>
${missing !== undefined && html`<p>What would prove it: ${missing}</p>`}
${seenBy.length > 0 && html`<ul class="marks">${seenBy.map(({ who, sees, because }) => html`<li>${mark(sees === null ? 'unknown' : sees ? 'yes' : 'no')} ${who}: <span class="muted">${because}</span></li>`)}</ul>`}
${commands.length > 0 && html`<p>Run instead, or to find out:</p>${commandList(commands)}`}
<details><summary>Proof</summary><ul>${evidence.map((one) => html`<li><span class="muted">${one.source}${one.line !== undefined && `, line ${one.line}`}:</span> ${one.observed}</li>`)}</ul></details></article>`;
}
