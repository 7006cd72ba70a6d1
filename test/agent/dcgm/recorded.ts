/** What dcgmi 4.6.0 and its predecessors printed (dcgm-measured.md; NVIDIA/DCGM#229; DCGM dcgmi/Query.cpp). */

const ruler = `+--------+${'-'.repeat(70)}+\n`;
const row = (left: string, right: string) => `| ${left.padEnd(6)} | ${right.padEnd(68)} |\n`;
const head = (title: string) => ruler + row(title, 'Device Information') + ruler;

/** The rows of one GPU with what stands behind its number, ruler included. */
export const gpuRows = (id: number, ...texts: readonly string[]): string =>
  texts.map((text, index) => row(index === 0 ? String(id) : '', text)).join('') + ruler;

/** The rows of a healthy GPU. */
export const healthyGpu = (id: number): string =>
  gpuRows(
    id,
    'Name: NVIDIA H100 80GB HBM3',
    `PCI Bus ID: 00000000:0${id + 1}:00.0`,
    `Device UUID: GPU-0000000${id}-feed-beef-cafe-00000000000${id}`,
  );

/** `dcgmi discovery -l` with this summary line and these rows of GPUs. */
export const discoveryOf = (summary: string, rows: string): string =>
  `${summary}\n${head('GPU ID')}${rows}0 NvSwitches found.\n+-----------+\n| Switch ID |\n+-----------+\n+-----------+\n` +
  '0 ConnectX found.\n+----------+\n| ConnectX |\n+----------+\n+----------+\n' +
  `1 CPUs found.\n${head('CPU ID')}${gpuRows(0, 'Name: Grace CPU')}\n`;

/** Recorded and reported lists of GPUs. */
export const discoveries: readonly string[] = [
  discoveryOf('4 GPUs found (Active).', [0, 1, 2, 3].map(healthyGpu).join('')),
  discoveryOf('1 GPU found.', healthyGpu(0)),
  discoveryOf(
    '3 GPUs found (Active).',
    healthyGpu(0) +
      gpuRows(1, 'Error: Cannot get device attributes for GPU.', 'Return: GPU is lost') +
      gpuRows(
        2,
        'Name: <<<NULL>>>',
        'PCI Bus ID: 00000000:03:00.0',
        'Device UUID: GPU-00000002-feed-beef-cafe-000000000002',
      ),
  ),
  discoveryOf(
    '1 GPU found (Active).\nUse -a flag to show all GPUs, including those that are not active.',
    healthyGpu(0),
  ),
  discoveryOf(
    '2 GPUs found (Active).',
    [0, 1]
      .map((id) => gpuRows(id, 'Name: <<<NULL>>>', 'PCI Bus ID: <<<NULL>>>', 'Device UUID: <<<NULL>>>'))
      .join(''),
  ),
];

const groupRow = (left: string, right: string) => `| ${left.padEnd(17)} | ${right.padEnd(56)} |\n`;
const groupRuler = `+-------------------+${'-'.repeat(58)}+\n`;
const groupTable = (id: number, name: string, ...fields: readonly string[]) =>
  `${groupRuler}| FIELD GROUPS${' '.repeat(65)}|\n${groupRuler.replaceAll('-', '=')}${groupRow('ID', String(id))}${groupRow('Name', name)}` +
  fields.map((list, index) => groupRow(index === 0 ? 'Field IDs' : '', list)).join('') +
  groupRuler;

/** `dcgmi fieldgroup -l` with NMA connected and without it. */
export const fieldGroups = {
  withNma:
    '3 field groups found.\n' +
    groupTable(
      1,
      'DCGM_INTERNAL_30SEC',
      '124, 125, 126, 130, 131, 132, 133, 134, 135, 136, 137,',
      '138, 139',
    ) +
    groupTable(4, 'watch', '112, 856, 857, 170, 174') +
    groupTable(5, 'other', '150, 155'),
  without:
    '2 field groups found.\n' +
    groupTable(
      1,
      'DCGM_INTERNAL_30SEC',
      '124, 125, 126, 130, 131, 132, 133, 134, 135, 136, 137,',
      '138, 139',
    ) +
    groupTable(5, 'dcgm-exporter', '112, 150, 155'),
} as const;

/** `dcgmi test --introspect` of a field that is watched, with one sample. */
export const introspected = ` Field ID                  : xid_errors                                     
 Flags                     : 1                                              
 Last Status               : 0                                              
 Number of Samples         : 3                                              
 Newest Timestamp          : Mon Nov 23 02:24:09 2026                       
 Oldest Timestamp          : Thu Jan  1 00:00:00 1970                       
 Monitor Interval (ms)     : 10000                                          
 Max Age (sec)             : 3600                                           
 Fetch Count               : 0                                              
 Total Fetch Usec          : 0                                              
 Usec Per Fetch            : 0                                              
 Number of Watchers        : 2                                              

`;

/** `dcgmi -v`. */
export const versions = `
Local build info:
Version : 4.6.0
Build ID : 0
CPU Arch : x86_64
CRC : 0


Hostengine build info:
Version : 4.5.10
Build ID : 0
CPU Arch : x86_64
CRC : 0

`;
