import t from 'tap';
import { createAlertSlots } from '../../../agent/dcgm/alert-slots.ts';
import {
  parseInjection,
  parseIntrospection,
  parseTime,
  renderExit,
  returnCodeFromExit,
} from '../../../agent/dcgm/codecs/injection.ts';
import type { DcgmiRun } from '../../../agent/dcgm/port.ts';
import { parseDiscovery, parseVersions } from '../../../shared/dcgmi/discovery.ts';
import { parseFieldGroups } from '../../../shared/dcgmi/field-groups.ts';
import { introspected } from './recorded.ts';
import { refusalOf } from './refused.ts';

const run = (exitCode: number, output: string): DcgmiRun => ({ exitCode, output, commandLine: ['dcgmi'] });

/** Recorded from dcgmi 4.6.0. */
const table = (rows: string) => `2 GPUs found (Active).
+--------+----------------------------------------------------------------------+
| GPU ID | Device Information                                                   |
+--------+----------------------------------------------------------------------+
${rows}+--------+----------------------------------------------------------------------+
0 NvSwitches found.
+-----------+
| Switch ID |
+-----------+
+-----------+
0 ConnectX found.
+----------+
| ConnectX |
+----------+
+----------+
1 CPUs found.
+--------+----------------------------------------------------------------------+
| CPU ID | Device Information                                                   |
+--------+----------------------------------------------------------------------+
| 0      | Name: Grace CPU                                                      |
+--------+----------------------------------------------------------------------+
`;
const healthy = table(`| 0      | Name: NVIDIA H100 80GB HBM3                                          |
|        | PCI Bus ID: 00000000:01:00.0                                         |
|        | Device UUID: GPU-00000000-feed-beef-cafe-000000000000                |
+--------+----------------------------------------------------------------------+
| 1      | Name: NVIDIA H100 80GB HBM3                                          |
|        | PCI Bus ID: 00000000:04:00.0                                         |
|        | Device UUID: GPU-00000000-feed-beef-cafe-000000000001                |
`);
const blinded = table(`| 0      | Name: <<<NULL>>>                                                     |
|        | PCI Bus ID: <<<NULL>>>                                               |
|        | Device UUID: <<<NULL>>>                                              |
+--------+----------------------------------------------------------------------+
| 1      | Name: <<<NULL>>>                                                     |
|        | PCI Bus ID: <<<NULL>>>                                               |
|        | Device UUID: <<<NULL>>>                                              |
`);
t.test('discovery', async (t) => {
  t.same(parseDiscovery(healthy), {
    gpus: [
      {
        id: 0,
        name: 'NVIDIA H100 80GB HBM3',
        pci: '00000000:01:00.0',
        uuid: 'GPU-00000000-feed-beef-cafe-000000000000',
      },
      {
        id: 1,
        name: 'NVIDIA H100 80GB HBM3',
        pci: '00000000:04:00.0',
        uuid: 'GPU-00000000-feed-beef-cafe-000000000001',
      },
    ],
    problems: [],
  });
  t.match(parseDiscovery(blinded), {
    gpus: [],
    problems: [/<<<NULL>>> for GPU 0, 1: .*until it is restarted/],
  });
  t.match(parseDiscovery(healthy.replace('2 GPUs found (Active).', '1 GPU found.')), {
    gpus: { length: 2 },
    problems: ['the engine counts 1 GPUs and lists 2'],
  });
  t.match(parseDiscovery('0 GPUs found (Active).\n'), { gpus: [], problems: [] });
  t.match(parseDiscovery('Segmentation fault'), { problems: ['the list of GPUs has an unknown shape'] });
});

t.test('F5: what cannot be read is named, and the rest is kept', async (t) => {
  const second = (rows: string) => table(`${healthy.split('\n').slice(4, 8).join('\n')}\n${rows}`);
  const row = (id: string, text: string) => `| ${id.padEnd(6)} | ${text.padEnd(68)} |\n`;
  const whole = parseDiscovery(healthy).gpus;

  // (b), as in NVIDIA/DCGM#229.
  const nameless = parseDiscovery(
    second(
      row('1', 'Name: <<<NULL>>>') +
        row('', 'PCI Bus ID: 00000000:04:00.0') +
        row('', 'Device UUID: GPU-00000000-feed-beef-cafe-000000000001'),
    ),
  );
  t.same(nameless, { gpus: [whole[0], { ...whole[1], name: '' }], problems: [] });

  // (c), the rows of DCGM dcgmi/Query.cpp.
  const lost = parseDiscovery(
    second(row('1', 'Error: Cannot get device attributes for GPU.') + row('', 'Return: GPU is lost')),
  );
  t.same(lost, {
    gpus: [whole[0]],
    problems: [],
    unreadableGpus: [
      { id: 1, because: 'GPU is lost (Error: Cannot get device attributes for GPU.)', lost: true },
    ],
  });

  // (d)
  const note = 'Use -a flag to show all GPUs, including those that are not active.';
  t.match(parseDiscovery(healthy.replace('(Active).', `(Active).\n${note}`)), {
    gpus: whole,
    problems: [],
    inactiveGpus: note,
  });

  // A later dcgmi with a column and a member more.
  const later = healthy
    .replace(/^(\| GPU ID.*|\| [01 ] .*)$/gm, '$1 Active |')
    .replace(/^(\| 1 .*)$/m, '$1\n|        | Serial Number: 1650522003820 | Active |');
  t.same(parseDiscovery(later), { gpus: whole, problems: [] });

  // One blank GPU beside a healthy one is no sign of an Xid 119, which blinds the engine for all.
  const one = parseDiscovery(
    second(
      row('1', 'Name: <<<NULL>>>') + row('', 'PCI Bus ID: <<<NULL>>>') + row('', 'Device UUID: <<<NULL>>>'),
    ),
  );
  t.match(one, {
    gpus: [whole[0]],
    problems: [],
    unreadableGpus: [{ id: 1, because: /<<<NULL>>>/, lost: false }],
  });

  const cut = parseDiscovery(healthy.slice(0, healthy.indexOf('| 1 ')));
  t.same(cut, {
    gpus: [whole[0]],
    problems: ['the engine counts 2 GPUs and lists 1'],
    gpuListIncomplete: 'the engine counts 2 GPUs and lists 1',
  });
  t.match(parseDiscovery(healthy.replace('Device UUID: GPU-00000000-feed-beef-cafe-000000000001', 'ERR!')), {
    gpus: [{}, { pci: '00000000:04:00.0', uuid: '' }],
    problems: [/not understood: .*ERR!/],
  });
});

t.test('injection', async (t) => {
  const refused = 'Error: Unable to inject info. Return: Bad parameter passed to function\n';
  const unreachable =
    'Error: unable to establish a connection to the specified host: 127.0.0.1:5999\n' +
    'Error: Unable to connect to host engine. Host engine connection invalid/disconnected.\n';
  const parseError =
    "PARSE ERROR: Argument: (--gpuid)\n             Couldn't read argument value from string 'abc'\n";
  const rows: [number, string, object | undefined][] = [
    [0, 'Successfully injected field info.\n', undefined],
    [0, '', { reason: 'dcgmi_failed', message: /ended well but did not say/ }],
    [
      255,
      refused,
      { reason: 'dcgmi_failed', message: /DCGM_ST_BADPARAM \(-1\): Error: Unable to inject info/ },
    ],
    [255, 'Successfully injected field info.\n', { reason: 'dcgmi_failed' }],
    [
      235,
      unreachable,
      { reason: 'engine_unreachable', details: { returnCode: 'DCGM_ST_CONNECTION_NOT_VALID (-21)' } },
    ],
    [1, parseError, { message: /did not accept its arguments\): PARSE ERROR: Argument: \(--gpuid\)/ }],
    [137, '', { message: /exit 137: no text/ }],
  ];
  for (const [exitCode, output, expected] of rows) {
    const found = parseInjection(run(exitCode, output));
    if (expected === undefined) t.equal(found, undefined);
    else t.match(found, expected);
  }
  t.equal(returnCodeFromExit(240), -16);
  t.equal(returnCodeFromExit(1), 1);
  t.equal(renderExit(244), 'DCGM_ST_VER_MISMATCH (-12)');
});

t.test('introspection', async (t) => {
  t.same(parseIntrospection(run(0, introspected)), {
    fieldTag: 'xid_errors',
    watched: true,
    samples: 3,
    newest: '2026-11-23T02:24:09.000Z',
    oldest: null,
    watchers: 2,
    monitorIntervalMs: 10000,
    maxAgeSeconds: 3600,
    lastStatus: 0,
  });
  const unwatched = 'Error: Unable to get field info for entity ID: 0. Return: Field is not being watched\n';
  t.equal(parseIntrospection(run(240, unwatched)), null);
  const bad = 'Error: Unable to get field info for entity ID: 0. Return: Bad parameter passed to function\n';
  t.match(await refusalOf(() => parseIntrospection(run(255, bad))), { reason: 'dcgmi_failed' });
  t.match(await refusalOf(() => parseIntrospection(run(0, 'hello\n'))), {
    message: /printed no number for "Flags"/,
  });
  t.equal(parseTime('Sun Mar  1 00:00:01 2026'), '2026-03-01T00:00:01.000Z');
  t.equal(parseTime('Thu Jan  1 00:00:00 1970'), null, 'no sample');
  for (const none of [
    'N/A',
    'Sun Foo  1 00:00:01 2026',
    'Sun Feb 31 00:00:01 2026',
    'Sun Mar  1 25:00:01 2026',
  ])
    t.equal(parseTime(none), undefined, `${none} is no time`);
  t.match(await refusalOf(() => parseIntrospection(run(0, introspected.replace('Nov 23', 'Nov 2E')))), {
    message: /printed no time for "Newest Timestamp"/,
  });
});

t.test('field groups', async (t) => {
  /** The layout of DCGM 4: a table a group, long lists on more rows (DcgmiOutputTree(20, 60)). */
  const current = `2 field groups found.
+-------------------+----------------------------------------------------------+
| FIELD GROUPS                                                                 |
+===================+==========================================================+
| ID                | 1                                                        |
| Name              | DCGM_INTERNAL_30SEC                                      |
| Field IDs         | 124, 125, 126, 130, 131, 132, 133, 134, 135, 136, 137,   |
|                   | 138, 139                                                 |
+-------------------+----------------------------------------------------------+
+-------------------+----------------------------------------------------------+
| FIELD GROUPS                                                                 |
+===================+==========================================================+
| ID                | 4                                                        |
| Name              | watch                                                    |
| Field IDs         | 112, 856, 857, 170, 174                                  |
+-------------------+----------------------------------------------------------+
`;
  t.same(parseFieldGroups(current), [
    {
      id: 1,
      name: 'DCGM_INTERNAL_30SEC',
      fields: [124, 125, 126, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139],
      complete: true,
    },
    { id: 4, name: 'watch', fields: [112, 856, 857, 170, 174], complete: true },
  ]);
  /** The user guide's example: one table, lists cut. */
  const old = `4 field groups found.
+----------------------------------------------------------------------------+
| FIELD GROUPS                                                               |
+============+===============================================================+
| ID         | 1                                                             |
| Name       | DCGM_INTERNAL_1SEC                                            |
| Field IDs  | 38, 73, 86, 112, 113, 119, 73, 51, 47, 46, 66, 72, 61, 118,...|
+------------+---------------------------------------------------------------+
| ID         | 3                                                             |
| Name       | DCGM_INTERNAL_HOURLY                                          |
| Field IDs  | 117, 55, 56, 11...|
+------------+---------------------------------------------------------------+
`;
  t.match(parseFieldGroups(old), [
    { id: 1, fields: { length: 14 }, complete: false },
    { id: 3, name: 'DCGM_INTERNAL_HOURLY', fields: [117, 55, 56], complete: false },
  ]);
  const json = `1 field group found.
{
	"body" : 
	{
		"Field IDs" : 
		{
			"overflow" : [ "170, 174" ],
			"value" : "112, 856, 857, "
		},
		"ID" : { "value" : "4" },
		"Name" : { "value" : "watch" }
	},
	"header" : [ "FIELD GROUPS" ]
}
{ broken
}
`;
  t.match(parseFieldGroups(json), [{ id: 4, name: 'watch', fields: [112, 856, 857, 170, 174] }]);
  t.same(parseFieldGroups('No field groups found. Please create one.\n'), []);
});

t.test('versions', async (t) => {
  const block = 'Version : 4.6.0\nBuild ID : 0\nBuild Type : Release\n';
  t.same(
    parseVersions(`Local build info:\n${block}\nHostengine build info:\n${block.replace('4.6.0', '3.3.9')}`),
    {
      client: '4.6.0',
      engine: '3.3.9',
    },
  );
  t.same(parseVersions(''), { client: null, engine: null }, 'no engine answers within 100 ms');
  t.same(parseVersions('\ndcgmi  version: 4.6.0\n\n'), { client: '4.6.0', engine: null });
});

t.test('alert slots go by sample time', async (t) => {
  const slots = createAlertSlots();
  const target = { pid: 1, gpuId: 0, policies: ['NVLink', 'NVLink'] };
  slots.assertFree(target, 10_000);
  slots.take(target, 10_000);
  t.match(
    await refusalOf(() => slots.assertFree(target, 15_000)),
    { reason: 'alert_slot_busy', details: { waitMs: 1000 } },
    'asked before anything is taken',
  );
  slots.assertFree(target, 16_000);
  t.match(await refusalOf(() => slots.take(target, 15_000)), {
    reason: 'alert_slot_busy',
    details: { waitMs: 1000, retryAfterSeconds: 1, policy: 'NVLink' },
  });
  slots.take(target, 16_000).release();
  slots.take(target, 16_000).moveTo(18_000);
  t.match(await refusalOf(() => slots.take(target, 23_000)), { details: { waitMs: 1000 } });
  slots.take({ ...target, gpuId: 1 }, 18_000);
  slots.take({ ...target, pid: 2 }, 18_000);
  slots.take({ ...target, policies: ['XID'] }, 18_000);
  slots.take({ ...target, policies: [] }, 18_000);
});
