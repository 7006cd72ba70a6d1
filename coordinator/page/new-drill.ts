import { renderDuration } from '../../shared/duration.ts';
import type { Refusal } from '../../shared/errors.ts';
import type { FaultRow } from '../catalogue/row.ts';
import type { PlannedWrite } from '../catalogue/surfaces/work.ts';
import { targetModes } from '../store/experiment.ts';
import { renderBarred } from './buttons.ts';
import { defaultText, valuesText } from './faults.ts';
import { select } from './fleet.ts';
import { type Html, html } from './html.ts';
import { code, count, mark, table } from './layout.ts';
import type { Barred, DrillForm, DrillPlan, PlannedNode } from './port.ts';

/** The names of the fields of parameters begin with it. */
export const parameterPrefix = 'p.';

/** A drill as somebody describes it; the next step is its dry run. `refusal`: why the last one came to nothing. */
export function renderForm(
  base: string,
  rows: readonly FaultRow[],
  form: DrillForm,
  refusal?: Refusal,
): Html {
  const row = rows.find(({ name }) => name === form.fault);
  return html`<h1>New drill</h1>
${refusal && renderRefused(refusal)}
<form class="filter" method="get" action="${base}/new"><label>Fault <select name="fault">${rows.map(
    ({ name, title }) =>
      html`<option value="${name}"${name === form.fault && html` selected`}>${name}: ${title}</option>`,
  )}</select></label>${form.nodes.map((node) => html`<input type="hidden" name="node" value="${node}">`)} <button>Choose</button></form>
${row && renderFields(base, row, form)}`;
}

function renderRefused({ reason, message, details: { remedy } }: Refusal): Html {
  return html`<div class="banner broken" role="alert"><p>${mark('broken')} <strong>Refused, nothing was injected:</strong> ${message} ${code(reason)}</p>${
    remedy !== undefined && html`<p>${String(remedy)}</p>`
  }</div>`;
}

function renderFields(base: string, row: FaultRow, form: DrillForm): Html {
  const given = new Map(
    form.set.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
  return html`<p>${row.title}. Risk: ${row.risk}.</p>
<form class="drill" method="post" action="${base}/new">
<input type="hidden" name="fault" value="${row.name}">
<fieldset><legend>Which nodes</legend>
<label>Names, separated by spaces <input name="nodes" value="${form.nodes.join(' ')}" autocomplete="off"></label>
<label>Labels, as kubectl -l takes them <input name="selector" value="${form.selector ?? ''}" autocomplete="off"></label>
${select('How many of them', 'mode', targetModes, form.mode, 'the usual')}
<label>Number or percent <input name="value" value="${form.value ?? ''}" inputmode="numeric" autocomplete="off"></label>
</fieldset>
<fieldset><legend>Parameters</legend>${
    Object.keys(row.parameters).length === 0
      ? html`<p>This fault takes none.</p>`
      : Object.entries(row.parameters).map(
          ([name, parameter]) =>
            html`<div class="field"><label for="p-${name}">${name}${parameter.required === true && ' (required)'}</label> <input id="p-${name}" name="${parameterPrefix}${name}" value="${given.get(name) ?? ''}" placeholder="${defaultText(parameter)}"${parameter.required === true && html` required`} autocomplete="off" aria-describedby="h-${name}"> <span id="h-${name}" class="muted">${parameter.help}; ${valuesText(parameter)}</span></div>`,
        )
  }</fieldset>
<fieldset><legend>Afterwards</legend>
${select('Repair', 'repair', ['expect', 'forbid', 'ignore'], form.repair, 'the usual: ignore')}
<label class="check"><input type="checkbox" name="restore" value="yes"${form.restore && html` checked`}> Restore the nodes when the drill has ended</label>
</fieldset>
<p><button name="step" value="dry-run">Dry run</button> <span class="muted">Nothing is written for it.</span></p></form>`;
}

/** What a drill would do, and the button that starts it. */
export function renderPlan(
  base: string,
  form: DrillForm,
  plan: DrillPlan,
  /** Why it cannot be started. */
  barred: Barred | undefined,
): Html {
  const { nodes, targets, skipped } = plan;
  const blocked = targets.filter(({ refusals }) => refusals.length > 0);
  return html`<h1>Dry run: ${form.fault}</h1>
<p class="lead">${nodes === undefined ? 'Which nodes would be drilled may not be read.' : `Would drill ${count(nodes.length, 'node')}: ${nodes.slice(0, 10).join(', ')}${nodes.length > 10 ? ' …' : ''}`}</p>
${blocked.length > 0 && html`<p class="banner broken">${count(blocked.length, 'node')} would refuse it as things are.</p>`}
${targets.slice(0, 20).map(renderTarget)}
${
  skipped.length > 0 &&
  html`<details><summary>${count(skipped.length, 'node')} left out</summary>${table(
    'Nodes left out',
    ['Node', 'Why'],
    skipped.map(({ node, because }) => [node, because]),
  )}</details>`
}
<details><summary>The Experiment</summary><pre tabindex="0">${JSON.stringify(plan.spec, null, 2)}</pre></details>
<form method="post" action="${base}/new">${hiddenFields(form)}
${barred && renderBarred(barred)}
<p><button name="step" value="start"${barred && html` disabled`}>Start the drill</button> <button class="quiet" name="step" value="edit">Change it</button></p></form>`;
}

function hiddenFields(form: DrillForm): readonly Html[] {
  const fields: readonly (readonly [string, string | undefined])[] = [
    ['fault', form.fault],
    ['nodes', form.nodes.join(' ')],
    ['selector', form.selector],
    ['mode', form.mode],
    ['value', form.value],
    ['repair', form.repair],
    ['restore', form.restore ? 'yes' : undefined],
    ...form.set.map(
      (pair) =>
        [`${parameterPrefix}${pair.slice(0, pair.indexOf('='))}`, pair.slice(pair.indexOf('=') + 1)] as const,
    ),
  ];
  return fields.flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [html`<input type="hidden" name="${name}" value="${value}">`],
  );
}

function renderTarget(target: PlannedNode): Html {
  const { node, writes, expected, refusals, confidence, risk, undo } = target;
  return html`<section aria-label="${node}"><h2>${node}</h2>
${refusals.map(({ message, remedy }) => html`<p>${mark('broken')} ${message} <span class="muted">${remedy}</span></p>`)}
<p>Confidence: <strong>${confidence.level}</strong> <span class="muted">${confidence.because.join('; ')}</span></p>
<h3>What is written</h3><ul>${writes.map(renderWrite)}</ul>
<h3>What must follow</h3><ol>${expected.map((one) => html`<li><strong>${one.link}</strong>: ${one.expected}</li>`)}</ol>
<p class="muted">Risk: ${risk}. Undo: ${undo}.</p></section>`;
}

function renderWrite({ afterSeconds, surface, where, what, readers }: PlannedWrite): Html {
  return html`<li>${afterSeconds > 0 && `after ${renderDuration(afterSeconds)}, `}${surface}, ${where}: ${code(what)}
<ul class="marks">${readers.map(({ consumer, accepted, because }) => html`<li>${mark(accepted === null ? 'unknown' : accepted ? 'yes' : 'no')} ${consumer}: <span class="muted">${because}</span></li>`)}</ul></li>`;
}
