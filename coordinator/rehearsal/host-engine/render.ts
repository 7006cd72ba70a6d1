import type { EntryFacts } from './cache.ts';
import type { Incident } from './health.ts';
import type { FieldGroupFacts } from './memory.ts';
import type { EngineGpuOptions } from './readings.ts';

/** The texts of dcgmi 4.6.0, as recorded; its tables are DcgmiOutput.cpp's. */

export const injectedText = 'Successfully injected field info.\n';
/** For a first argument that dcgmi does not know. */
export const noSuchSubsystem = 'ERROR: Invalid subsystem.\n\n';
/** For `health --check` before `health --set`. */
export const healthOffText = 'Error: Health watches not enabled. Please enable watches. \n';

/** No engine answers at `host`. */
export function unreachableText(host: string): string {
  return (
    `Error: unable to establish a connection to the specified host: ${host}\n` +
    'Error: Unable to connect to host engine. Host engine connection invalid/disconnected.\n'
  );
}

/** For an entry that no one watches, and for a GPU that the engine does not have. */
export function notWatchedText(gpuId: number): string {
  return `Error: Unable to get field info for entity ID: ${gpuId}. Return: Field is not being watched\n`;
}

/** For a field id that the engine does not know. */
export function badIntrospectionText(gpuId: number): string {
  return `Error: Unable to get field info for entity ID: ${gpuId}. Return: Bad parameter passed to function\n`;
}

/** For a value that the engine does not take. */
export const badInjectionText = 'Error: Unable to inject info. Return: Bad parameter passed to function\n';

/** For fields that no client can inject. */
export function binaryText(value: string): string {
  return (
    'Field types of DCGM_FT_BINARY cannot be injected.\n' +
    `Error: Unable to parse value '${value}' Return: Feature not supported\n`
  );
}

const usage = `Usage: 
   dcgmi test --host <IP/FQDN> --introspect --gpuid <gpuId> -f <fieldId> 
   dcgmi test --host <IP/FQDN> --inject --gpuid <gpuId> -f <fieldId> -v
        <value> 
   dcgmi test --pause 
   dcgmi test --resume 


For complete USAGE and HELP type: 
   dcgmi test --help
`;

/** For `test` without what to do. */
export const noModeText = `PARSE ERROR:  
             Required argument missing: {introspect | inject | pause | resume}

${usage}`;

/** For a flag that wants a number. */
export function unreadableNumberText(flag: string, value: string): string {
  return `PARSE ERROR: Argument: (${flag})
             Couldn't read argument value from string '${value}'

${usage}`;
}

/** For other faults of the command line. */
export function rejectedText(line: string): string {
  return `${line}\nAn error occurred trying to parse the command line.\n`;
}

/** Of `dcgmi --version`. */
export function clientVersionText(version: string): string {
  return `\ndcgmi  version: ${version}\n\n`;
}

/** Without an engine the second block is missing, and the exit code is 0 all the same. */
export function versionsText(client: string, engine: string | undefined): string {
  const local = `\nLocal build info:\n${buildBlock(client)}`;
  return engine === undefined ? local : `${local}\nHostengine build info:\n${buildBlock(engine)}`;
}

function buildBlock(version: string): string {
  const lines = [
    `Version : ${version}`,
    'Build ID : 0',
    'Build Date : 2026-01-01',
    'Build Type : Release',
    'Commit ID : 0',
    `Branch Name : rel_dcgm_${version.split('.').slice(0, 2).join('_')}`,
    'CPU Arch : x86_64',
    'Build Platform : Linux',
    'CRC : 0',
  ];
  return `${lines.join('\n')}\n\n`;
}

/** Of `discovery -l`; `isBlind`: an engine without access to the driver. */
export function discoveryText(gpus: readonly EngineGpuOptions[], isBlind: boolean): string {
  const show = (text: string) => (isBlind ? '<<<NULL>>>' : text);
  const rule = `+--------+${'-'.repeat(70)}+\n`;
  const row = (left: string, right: string) => `| ${left.padEnd(6)} | ${right.padEnd(68)} |\n`;
  const head = (title: string) => rule + row(title, 'Device Information') + rule;
  const body = gpus.map(
    (gpu) =>
      row(String(gpu.id), `Name: ${show(gpu.name)}`) +
      row('', `PCI Bus ID: ${show(gpu.pci)}`) +
      row('', `Device UUID: ${show(gpu.uuid)}`) +
      rule,
  );
  return (
    `${gpus.length} GPU${gpus.length === 1 ? '' : 's'} found (Active).\n` +
    head('GPU ID') +
    (body.length === 0 ? rule : body.join('')) +
    '0 NvSwitches found.\n+-----------+\n| Switch ID |\n+-----------+\n+-----------+\n' +
    '0 ConnectX found.\n+----------+\n| ConnectX |\n+----------+\n+----------+\n' +
    `0 CPUs found.\n${head('CPU ID')}${rule}\n`
  );
}

/** Of `test --introspect`; `tag` is the field's short name. */
export function introspectionText(tag: string, facts: EntryFacts): string {
  const rows: [string, string | number][] = [
    ['Field ID', tag],
    ['Flags', facts.watchers > 0 ? 1 : 0],
    ['Last Status', facts.status],
    ['Number of Samples', facts.samples],
    ['Newest Timestamp', ctime(facts.newestUs)],
    ['Oldest Timestamp', ctime(facts.oldestUs)],
    ['Monitor Interval (ms)', facts.intervalMs],
    ['Max Age (sec)', Math.floor(facts.maxAgeMs / 1000)],
    ['Fetch Count', facts.fetches],
    ['Total Fetch Usec', facts.fetches * 10],
    ['Usec Per Fetch', facts.fetches === 0 ? 0 : 10],
    ['Number of Watchers', facts.watchers],
  ];
  return `${rows.map(([label, value]) => ` ${label.padEnd(25)} : ${String(value).padEnd(46)} \n`).join('')}\n`;
}

/** `Mon Nov 23 02:24:09 2026`, UTC; the epoch where there is no sample. */
function ctime(microseconds: number): string {
  const seconds = new Date(Math.floor(microseconds / 1e6) * 1000).toUTCString();
  const [, day, date, month, year, time] = /^(\w+), (\d+) (\w+) (\d+) ([\d:]+)/.exec(seconds) ?? [];
  return `${day} ${month} ${String(Number(date)).padStart(2)} ${time} ${year}`;
}

/** Of `fieldgroup -l`, as tables or with `--json`. */
export function fieldGroupsText(groups: readonly FieldGroupFacts[], asJson = false): string {
  const tables = groups.map((group) => {
    const [first = 'None', ...more] = chunksOf(group.fields);
    if (asJson) return fieldGroupDocument(group, first, more);
    const rows: (readonly [string, string])[] = [
      ['ID', String(group.id)],
      ['Name', group.name],
      ['Field IDs', first],
      ...more.map((chunk) => ['', chunk] as const),
    ];
    return table(20, 60, ['FIELD GROUPS'], rows);
  });
  return `${groups.length} field group${groups.length === 1 ? ' ' : 's '}found.\n${tables.join('')}`;
}

/** jsoncpp's styled text: sorted keys, a document a group. */
function fieldGroupDocument(group: FieldGroupFacts, first: string, more: readonly string[]): string {
  const body = {
    'Field IDs': { ...(more.length > 0 && { overflow: more }), value: first },
    ID: { value: String(group.id) },
    Name: { value: group.name },
  };
  return `${JSON.stringify({ body, header: ['FIELD GROUPS'] }, null, 3)}\n`;
}

/** Eleven in the first row, ten in each further one: the counter starts at 0 and is reset to 0 before it grows. */
function chunksOf(fields: readonly number[]): string[] {
  const texts = fields.map((field, index) => `${field}${index < fields.length - 1 ? ', ' : ''}`);
  const chunks: string[] = [];
  for (let from = 0; from < texts.length; ) {
    const size = from === 0 ? 11 : 10;
    chunks.push(texts.slice(from, from + size).join(''));
    from += size;
  }
  return chunks;
}

/** Of `health --check`. */
export function healthText(incidents: readonly Incident[]): string {
  const worst = (list: readonly Incident[]) =>
    list.some((incident) => incident.result === 'FAIL') ? 'Failure' : list.length > 0 ? 'Warning' : 'Healthy';
  const rows: (readonly [string, string])[] = [['Overall Health', worst(incidents)]];
  if (incidents.length > 0) rows.push(['GPU', '']);
  for (const gpuId of new Set(incidents.map((incident) => incident.gpuId))) {
    const own = incidents.filter((incident) => incident.gpuId === gpuId);
    rows.push([`-> ${gpuId}`, worst(own)], ['   -> Errors', '']);
    for (const incident of own) {
      const name = incident.system === 'Internal error' ? incident.system : `${incident.system} system`;
      rows.push(
        [`      -> ${name}`, worst([incident])],
        ...wrap(incident.message, 55).map((line) => ['', line] as const),
      );
    }
  }
  return table(28, 60, ['Health Monitor Report'], rows);
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** DcgmiOutputTree. */
function table(
  left: number,
  right: number,
  header: readonly string[],
  rows: readonly (readonly [string, string])[],
): string {
  const line = (char: string) => `+${char.repeat(left - 1)}+${char.repeat(right - 2)}+\n`;
  const titles = header.map((title) => `| ${title.padEnd(left + right - 3)}|\n`).join('');
  const body = rows
    .map(([label, value]) => `| ${label.padEnd(left - 3)} | ${value.padEnd(right - 4)} |\n`)
    .join('');
  return `${line('-')}${titles}${line('=')}${body}${line('-')}`;
}
