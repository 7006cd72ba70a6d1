import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { faults, notOffered } from '../../../coordinator/catalogue/catalogue.ts';
import { describeFault } from '../../../coordinator/catalogue/describe.ts';
import { nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import { renderFaultPage } from '../../../coordinator/catalogue/page.ts';
import { findFault } from '../../../coordinator/catalogue/parameters.ts';
import type { FaultRow } from '../../../coordinator/catalogue/row.ts';
import { root } from '../../suite.ts';

t.test('the committed page is the one that the rows make', async (t) => {
  const committed = readFileSync(join(root, 'coordinator/catalogue/FAULTS.md'), 'utf8');
  // Not t.equal: the difference of two pages of 90 KB helps nobody.
  t.ok(committed === renderFaultPage(faults, notOffered), 'if it is stale: npm run docs:faults');
  for (const { name } of faults) t.ok(committed.includes(`\n### ${name}\n`), name);
  t.notMatch(committed, /undefined|NaN|\[object/);
});

const last = nmaVersions.at(-1)?.version ?? '';

t.test('versions that answer alike are one entry', async (t) => {
  const rows: readonly (readonly [string, readonly (readonly [string, string, string | null])[]])[] = [
    ['xid', [['1.4.3', last, 'NvidiaXID79Error']]],
    [
      'fabric-manager',
      [
        ['1.4.3', '1.6.5', 'DCGMHealthCode123'],
        ['1.6.6', last, 'FabricManagerNotRunning'],
      ],
    ],
    [
      'block-device-io-error',
      [
        ['1.4.3', '1.6.7', null],
        ['1.7.0', last, 'BlockDeviceIOError'],
      ],
    ],
    ['sxid', [['1.4.3', last, null]]],
  ];
  for (const [name, expected] of rows) {
    const { reactions } = describeFault(findFault(name));
    t.same(
      reactions.map(({ from, to, shows }) => [from, to, shows[0]?.reason ?? null]),
      expected,
      name,
    );
  }
});

t.test('the documented repair follows from the reason, and events have none', async (t) => {
  const rows = [
    ['xid', 'replace', 600],
    ['double-bit-error', 'replace', 600],
    ['engine-loss', 'none', null],
    ['ipamd-not-ready', 'replace', 1800],
    ['task-blocked', 'none', null],
  ] as const;
  for (const [name, action, afterSeconds] of rows) {
    const shown = describeFault(findFault(name)).reactions.at(-1)?.shows[0];
    t.match(shown?.repair, { action, afterSeconds }, name);
  }
});

t.test('a made-up fault takes one row', async (t) => {
  const row: FaultRow = {
    name: 'made-up',
    title: 'A fault of this test',
    surfaces: ['kernel-log'],
    channel: { kind: 'kernel-message', text: 'INFO: task {process}:1 blocked for more than 9 seconds.' },
    parameters: {
      process: { type: 'text', help: 'its name | with a pipe', required: true, example: 'made' },
    },
    risk: 'none',
    undo: 'none',
    needsGpu: false,
    sources: ['this test'],
  };
  const page = renderFaultPage([row], []);
  t.match(
    page,
    '| [`made-up`](#made-up) | A fault of this test | kernel-log | event KernelReady `AppBlocked` | 35 s | none |',
  );
  t.match(page, '| `process` | text | required | its name \\| with a pipe |');
  t.match(page, 'Shown with process "made".');
});
