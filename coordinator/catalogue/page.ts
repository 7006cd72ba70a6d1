import { compareVersions } from '../../shared/compare-versions.ts';
import { renderDuration } from '../../shared/duration.ts';
import {
  describeFault,
  describeXids,
  type FaultDescription,
  type ShownReaction,
  type VersionRange,
} from './describe.ts';
import { gpuConditionType } from './nma/conditions.ts';
import { type NmaVersion, nmaVersions } from './nma/versions.ts';
import type { DocumentedRepair } from './repair/documented.ts';
import type { FaultRow, NotOfferedRow, ParameterRow } from './row.ts';

/** Versions that are known from their own source or release notes: an account says too little for reactions. */
const shownVersions = nmaVersions.filter(({ knownFrom }) => knownFrom !== 'account');

/** The catalogue as a page for people (Markdown). Pure: the same rows make the same page. */
export function renderFaultPage(rows: readonly FaultRow[], notOffered: readonly NotOfferedRow[]): string {
  const described = rows.map((row) => describeFault(row, shownVersions));
  return `${[
    '# Faults',
    'Made from the rows in `coordinator/catalogue/faults/` by `npm run docs:faults`; a test fails when it is stale. Do not edit.',
    intro(shownVersions),
    '## All faults',
    table(
      ['Fault', 'What happens', 'Written to', 'A healthy cluster shows', 'Within', 'Documented repair'],
      described.map(overview),
    ),
    '## Xids',
    'What fault `xid` is followed by, for each number that is not just an event. Every other number from 1 to 255 raises the event `NvidiaXID<n>Warning` in every version, and the host engine forgets it.',
    table(
      ['Xid', 'A healthy cluster shows', 'Documented repair'],
      describeXids(shownVersions).map(({ xid, reactions }) => [
        String(xid),
        reactionsText(reactions),
        repairOf(reactions),
      ]),
    ),
    '## Versions of the monitoring agent',
    'What changed with each, as far as drills depend on it; a version that is not listed is judged by the one before it.',
    table(
      ['Version', 'Released', 'Known from', 'Host engine', 'What changed'],
      nmaVersions.map(({ version, released, knownFrom, engineVersion, notes, source }) => [
        version,
        released ?? '–',
        `[${knownFrom}](${source})`,
        engineVersion,
        notes.join('; '),
      ]),
    ),
    '## Not offered',
    'What people ask for, or what the monitoring agent shows, and why no fault here makes it.',
    table(
      ['Name', 'What it would be', 'The monitoring agent would show', 'Not offered, because', 'Use instead'],
      notOffered.map(({ name, title, reaction, because, instead }) => [
        code(name),
        title,
        reaction,
        because,
        instead ?? '–',
      ]),
    ),
    '## Each fault',
    ...described.map(section),
  ].join('\n\n')}\n`;
}

function intro(versions: readonly NmaVersion[]): string {
  const [oldest, newest] = [versions[0], versions.at(-1)];
  return [
    `* **A healthy cluster shows** what the EKS Node Monitoring Agent does with the default parameters, in versions ${oldest?.version} to ${newest?.version}, each with the DCGM host engine that its chart installs (${engines(versions)}). The first reaction is the one that a drill expects; *then* stand those that follow it. \`GET /api/v1/faults/NAME?node=NODE\` says it for one node as it is.`,
    `* **condition** means status False, **event** a Warning on the node whose message starts with the reason; both of ${gpuConditionType} unless another type is named.`,
    '* **Within** is counted in seconds from the order; where a check of the agent every five minutes has to see the value, it is sustained for that long.',
    '* **Documented repair** is what AWS documents for managed node groups with auto repair, and after how many minutes; where reasons differ, the one that stands when the wait is over decides. Auto Mode and Karpenter look at conditions only: Auto Mode replaces, and Karpenter goes by its version (`GET /api/v1/nodes/NODE/preflight`). A condition stays False until the monitoring agent restarts.',
  ].join('\n');
}

function engines(versions: readonly NmaVersion[]): string {
  const first = new Map<string, string>();
  for (const { version, engineVersion } of versions)
    if (!first.has(engineVersion)) first.set(engineVersion, version);
  return [...first].map(([engine, since]) => `${engine} from ${since} on`).join(', ');
}

function overview(fault: FaultDescription): readonly string[] {
  const [newest] = fault.reactions.at(-1)?.shows ?? [];
  return [
    `[${code(fault.name)}](#${fault.name})`,
    fault.title,
    fault.surfaces.join(', '),
    reactionsText(fault.reactions),
    newest === undefined ? '–' : renderDuration(newest.withinSeconds),
    repairOf(fault.reactions),
  ];
}

type Reactions = FaultDescription['reactions'];

function reactionsText(reactions: Reactions): string {
  const isAlways = reactions.length === 1;
  return reactions
    .map((range) => `${isAlways ? '' : `${versionsText(range)}: `}${showsText(range.shows)}`)
    .join('<br>');
}

function showsText([expected, ...more]: readonly ShownReaction[]): string {
  if (expected === undefined) return 'nothing';
  const further = [...new Set(more.map(shownText))];
  return [shownText(expected), ...(further.length === 0 ? [] : [`then ${further.join(', ')}`])].join(', ');
}

function versionsText({ from, to }: VersionRange<unknown>): string {
  const newest = shownVersions.at(-1)?.version ?? to;
  if (compareVersions(to, newest) === 0) return `from ${from}`;
  return from === to ? from : `${from} to ${to}`;
}

/** The condition of GPUs goes without saying. */
function shownText({ kind, type, reason }: ShownReaction): string {
  return `${kind}${type === gpuConditionType ? '' : ` ${type}`} ${code(reason)}`;
}

/** Of the newest version, over all of its reactions: a check minutes later may give the condition another reason. */
function repairOf(reactions: Reactions): string {
  const shows = reactions.at(-1)?.shows ?? [];
  const conditions = shows.filter(({ kind }) => kind === 'condition');
  const texts = new Set(conditions.map(({ repair }) => repairText(repair)));
  if (texts.size < 2) return [...texts][0] ?? (shows.length === 0 ? '–' : 'none');
  return conditions.map(({ reason, repair }) => `${repairText(repair)} for ${code(reason)}`).join(', ');
}

function repairText({ action, afterSeconds }: DocumentedRepair): string {
  return afterSeconds === null ? 'none' : `${action} after ${renderDuration(afterSeconds)}`;
}

function section(fault: FaultDescription): string {
  const parameters = Object.entries(fault.parameters);
  const facts = [
    ...fault.reactions.map((range) => `* ${versionsText(range)}: ${messagesOf(range.shows)}`),
    `* Risk: ${fault.risk}`,
    `* Undo: ${fault.undo}`,
    `* Sources: ${fault.sources.join('; ')}`,
  ];
  return [
    `### ${fault.name}`,
    `${fault.title}.${fault.needsGpu ? '' : ' Needs no GPU.'}${shownWith(fault)}`,
    parameters.length === 0
      ? 'No parameters.'
      : table(['Parameter', 'Values', 'Default', 'Meaning'], parameters.map(parameterCells)),
    facts.join('\n'),
  ].join('\n\n');
}

function shownWith({ shownWith: given }: FaultDescription): string {
  const texts = Object.entries(given).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return texts.length === 0 ? '' : ` Shown with ${texts.join(', ')}.`;
}

function messagesOf(shows: readonly ShownReaction[]): string {
  if (shows.length === 0) return 'nothing.';
  return shows
    .map(
      (shown) =>
        `${shownText(shown)} “${shown.message}”, usually after ${renderDuration(shown.typicalSeconds)}, within ${renderDuration(shown.withinSeconds)}`,
    )
    .join('; then ');
}

function parameterCells([name, row]: readonly [string, ParameterRow]): readonly string[] {
  const usual = row.required === true ? 'required' : row.default === undefined ? '–' : defaultText(row);
  return [code(name), valuesText(row), usual, row.help];
}

function defaultText({ default: usual }: ParameterRow): string {
  if (usual === '{markerNumber}') return '1000 to 9999, new in each order';
  const text = typeof usual === 'string' ? usual : JSON.stringify(usual);
  return code(text);
}

function valuesText({ type, unit, minimum, maximum, pattern, allowed }: ParameterRow): string {
  const range =
    minimum === undefined && maximum === undefined ? '' : ` ${minimum ?? '…'} to ${maximum ?? '…'}`;
  if (allowed !== undefined) return allowed.map((value) => code(String(value))).join(', ');
  if (pattern !== undefined) return `${type} ${code(pattern)}`;
  return `${type}${range}${unit === undefined ? '' : ` ${unit}`}`;
}

function code(text: string): string {
  return `\`${text}\``;
}

/** A pipe would end the cell, in code as well (GitHub Flavored Markdown, tables). */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
