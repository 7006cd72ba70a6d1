import { renderDuration } from '../../shared/duration.ts';
import type { HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import { renderRepair } from '../doctor/examine.ts';
import { doctorLinks, type LinkFinding } from '../doctor/report.ts';
import { type Facts, isUnread, type Unread } from '../view/facts.ts';
import type { NodeCondition, NodeEvent } from '../view/node.ts';
import { questions, renderCause } from './fleet.ts';
import { type Html, html, type Piece } from './html.ts';
import { code, count, facts as definitions, mark, table, time } from './layout.ts';
import type { NodeCheck, NodeView } from './port.ts';

/** One node: what is broken first, then what was looked at. */
export function renderNode(base: string, view: NodeView): Html {
  const { facts, finding, checks, events } = view;
  const { node, nma, agent } = facts;
  return html`<p class="crumbs"><a href="${base}/">Fleet</a></p>
<h1>${node.name}</h1>
<p class="muted">As of ${time(facts.at)} · <a href="${base}/new?node=${encodeURIComponent(node.name)}">New drill on this node</a></p>
<ol class="chain" aria-label="Links of the chain">${doctorLinks.map((link) => renderLink(link, finding.links[link]))}</ol>
${doctorLinks.map((link) => renderCauses(link, finding.links[link]))}
${finding.repairs.length > 0 && html`<h2>Repair</h2><ul>${finding.repairs.map((repair) => html`<li>${renderRepair(repair)}</li>`)}</ul>`}
${renderChecks(checks)}
<section aria-labelledby="facts"><h2 id="facts">Facts</h2>
${definitions([
  ['Owner', finding.owner === '' ? 'nobody that is known' : finding.owner],
  ['Instance type', node.instanceType ?? 'not labelled'],
  ['Architecture', node.architecture],
  ['Created', time(node.createdAt)],
  [
    'Node monitoring agent',
    nma.version === undefined
      ? 'not found'
      : html`${nma.version.row.version} <span class="muted">${nma.version.text} ${nma.version.note}</span>`,
  ],
  [
    'Its pod',
    nma.pod === undefined ? 'none on this node' : `${nma.pod.namespace}/${nma.pod.name}, ${nma.pod.phase}`,
  ],
  ['Its role', roleOf(facts)],
  ['Agent of Xidrill', agent.url ?? agent.directory?.unread ?? 'none'],
  [
    'Taints',
    node.taints.length === 0 ? 'none' : node.taints.map(({ key, effect }) => `${key}:${effect}`).join(', '),
  ],
])}
${table(
  'Conditions',
  ['Condition', 'Status', 'Reason', 'Heartbeat', 'Changed', 'Message'],
  node.conditions.map((condition) => conditionCells(condition, facts.at)),
)}</section>
${renderInventory(agent.inventory)}
${renderEvents(events)}`;
}

function renderLink(link: (typeof doctorLinks)[number], finding: LinkFinding): Html {
  const [first] = finding.causes;
  const why = first?.title ?? finding.open[0]?.because ?? finding.because;
  return html`<li class="link ${finding.state}">${mark(finding.state)} <strong>${link}</strong> <span class="muted">${questions[link]}</span><p>${why}</p></li>`;
}

function renderCauses(link: string, { causes, open }: LinkFinding): Piece {
  if (causes.length === 0 && open.length === 0) return undefined;
  return html`<section><h2>What is wrong: ${link}</h2>
${causes.map((cause) => html`<div class="group broken"><p>${mark('broken')} <strong>${cause.title}</strong>${cause.certainty === 'likely' && ' (likely)'} ${code(cause.code)}</p>${renderCause(cause)}</div>`)}
${open.map((one) => html`<div class="group unknown"><p>${mark('unknown')} <strong>${one.title}: not known</strong> ${code(one.code)}</p><p>${one.because}</p></div>`)}</section>`;
}

function roleOf({ nma }: Facts): string {
  if (nma.kept?.serviceAccount !== undefined) return `not read: ${nma.kept.serviceAccount.unread}`;
  return nma.serviceAccount?.annotations['eks.amazonaws.com/role-arn'] ?? 'none, as it should be';
}

function conditionCells(condition: NodeCondition, at: string): readonly Piece[] {
  const { type, status, reason, message, lastHeartbeatTime, lastTransitionTime } = condition;
  return [type, status, reason, age(lastHeartbeatTime, at), age(lastTransitionTime, at), message];
}

/** `3 min ago`, with the time itself for a machine. */
function age(then: string | null, now: string): Piece {
  if (then === null) return '–';
  const seconds = Math.floor((Date.parse(now) - Date.parse(then)) / 1000);
  if (Number.isNaN(seconds)) return then;
  return html`<time datetime="${then}" title="${then}">${renderDuration(Math.max(0, seconds))} ago</time>`;
}

function renderChecks(checks: readonly NodeCheck[]): Html {
  const states = { ok: 'ok', cause: 'broken', unknown: 'unknown' } as const;
  const counts = Map.groupBy(checks, ({ result }) => result);
  const of = (result: NodeCheck['result']) => counts.get(result)?.length ?? 0;
  return html`<details><summary>${count(checks.length, 'check')}: ${of('cause')} found, ${of('unknown')} not known, ${of('ok')} ruled out</summary>
${table(
  'Checks',
  ['', 'Cause', 'Why'],
  checks.map((check) => [
    mark(states[check.result]),
    html`${check.title} ${code(check.code)}`,
    html`${check.text}${check.remedy !== undefined && html` <em>${check.remedy}</em>`}`,
  ]),
)}</details>`;
}

function renderInventory(inventory: Inventory | Unread): Html {
  const heading = html`<h2 id="engines">Engines and GPUs</h2>`;
  if (isUnread(inventory))
    return html`<section aria-labelledby="engines">${heading}<p>Only an agent on the node sees them: ${inventory.unread}.</p></section>`;
  const { engines, gpus, capabilities, armed, agentVersion, driverVersion } = inventory;
  return html`<section aria-labelledby="engines">${heading}
${definitions([
  ['Agent', `${agentVersion}, ${armed ? 'armed' : 'not armed: it injects nothing'}`],
  ['Driver', driverVersion ?? 'not known'],
])}
${engines.length === 0 ? html`<p>No DCGM host engine runs here.</p>` : table('Host engines', ['NMA connected', 'Engine', 'Version', 'Where', 'What shows it'], engines.map(engineCells))}
${
  gpus.length > 0 &&
  table(
    'GPUs',
    ['GPU', 'Name', 'UUID', 'PCI'],
    gpus.map(({ index, name, uuid, pci }) => [String(index), name, uuid, pci]),
  )
}
<ul class="marks">${capabilities.map(({ name, available, because }) => html`<li>${mark(available ? 'ok' : 'broken')} ${name}${because !== undefined && html` <span class="muted">${because}</span>`}</li>`)}</ul></section>`;
}

function engineCells(engine: HostEngineFacts): readonly Piece[] {
  const { nma, pid, address, version, pod, container, problems, untrusted } = engine;
  return [
    mark(nma.listening ? 'ok' : 'broken'),
    html`process ${pid}, ${address}`,
    version ?? 'not known',
    pod ?? (container === null ? 'the host' : `container ${container.slice(0, 12)}`),
    [nma.evidence, ...(untrusted === undefined ? [] : [untrusted]), ...problems].join('; '),
  ];
}

function renderEvents(events: readonly NodeEvent[] | Unread): Html {
  const heading = html`<h2 id="events">Recent events</h2>`;
  if ('unread' in events)
    return html`<section aria-labelledby="events">${heading}<p>${events.unread}</p></section>`;
  const newest = events.toSorted((left, right) =>
    (left.lastTimestamp ?? '') < (right.lastTimestamp ?? '') ? 1 : -1,
  );
  return html`<section aria-labelledby="events">${heading}${
    newest.length === 0
      ? html`<p>None.</p>`
      : table(
          'Events',
          ['Last seen', 'Type', 'Reason', 'Message', 'Count', 'From'],
          newest
            .slice(0, 50)
            .map((event) => [
              time(event.lastTimestamp),
              event.type,
              event.reason,
              event.message,
              String(event.count),
              event.source,
            ]),
        )
  }</section>`;
}
