import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createHostFiles } from '../../../../agent/host-files/device.ts';
import { createFakeSystemJournal } from '../../../../agent/host-files/journald/fake.ts';
import { createSystemJournal } from '../../../../agent/host-files/journald/journalctl.ts';
import { readBootId } from '../../../../agent/inventory/inventory.ts';
import { createDeviceKernelLog } from '../../../../agent/kernel-log/device.ts';
import { createFakeKernelLog } from '../../../../agent/kernel-log/fake.ts';
import type { KernelLog } from '../../../../agent/kernel-log/port.ts';
import { createHostPrograms } from '../../../../agent/programs/host.ts';
import { createRealClock } from '../../../../shared/clock.ts';
import { systemJournalContract } from '../../../contract/system-journal.ts';
import { createManualClock } from '../../../manual-clock.ts';
import { startJournald, whyNoJournald } from './journald.ts';

const why = whyNoJournald();
const real = why === undefined ? {} : { skip: why };
const { signal } = new AbortController();

function writer(kernelLog: KernelLog) {
  return async (identifier: string, message: string) => {
    const { microseconds } = await kernelLog.write('info', `${identifier}: ${message}`);
    return { identifier, message, microseconds };
  };
}

/** As the agent of a node whose root this is. */
function journalOf(root: string, nsenterPaths?: readonly string[]) {
  return createSystemJournal({
    files: createHostFiles({ root }),
    programs: createHostPrograms({ root, ...(nsenterPaths === undefined ? {} : { nsenterPaths }) }),
    clock: createRealClock(),
    bootId: readBootId(),
  });
}

function writeReal(t: { teardown(handler: () => unknown): void }) {
  const kernelLog = createDeviceKernelLog({ path: '/dev/kmsg' });
  t.teardown(() => kernelLog.close());
  return writer(kernelLog);
}

t.test('the fake', async (t) => {
  const kernelLog = createFakeKernelLog({ clock: createManualClock() });
  const journal = createFakeSystemJournal({ kernelLog });
  await systemJournalContract(t, { journal, write: writer(kernelLog), patienceMs: 0 });
});

t.test('a real journald in memory', real, async (t) => {
  const root = await startJournald(t);
  await systemJournalContract(t, { journal: journalOf(root), write: writeReal(t), patienceMs: 300 });
});

t.test('a real journald on disk', real, async (t) => {
  const root = await startJournald(t, { persistent: true, settings: 'Storage=persistent' });
  await systemJournalContract(t, { journal: journalOf(root), write: writeReal(t), patienceMs: 300 });
});

/** R5: settings of a real journald with which a record of user space does not get to where NMA reads. */
const troubles = [
  ['ReadKMsg=no', false, 'read-kmsg-off', /ReadKMsg=no/],
  ['Storage=none', false, 'storage-none', /Storage=none/],
  ['ForwardToKMsg=yes', false, 'forward-to-kmsg', /ForwardToKMsg=yes.*only what the kernel logged/],
  ['MaxLevelStore=notice', false, 'level-not-stored', /above level notice.*of level info/],
  ['Storage=volatile', true, 'elsewhere', /is in \/run\/log\/journal, and NMA reads \/var\/log\/journal/],
] as const;

for (const [settings, persistent, cause, because] of troubles)
  t.test(`R5: a real journald with ${settings}`, real, async (t) => {
    const root = await startJournald(t, { settings, persistent });
    const record = await writeReal(t)('kubelet', `xidrill-${process.pid} ${settings}`);
    const found = await journalOf(root).find(record, { withinMs: 1500, signal });
    t.match(found, { state: 'missing', cause, because });
  });

t.test('what the node or the agent lacks', real, async (t) => {
  const record = { identifier: 'kubelet', message: 'x', microseconds: 1 };
  await t.test('no nsenter in the agent', async (t) => {
    const root = await startJournald(t);
    const unread = {
      cause: 'agent-lacks',
      because: /the agent has no nsenter .* to run programs of the host/,
    };
    t.match(await journalOf(root, []).whyUnread(), unread);
    t.match(await journalOf(root, []).find(record, { withinMs: 0, signal }), { state: 'unread', ...unread });
  });
  await t.test('no journalctl on the node', async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'xidrill-root-'));
    t.teardown(() => rmSync(root, { recursive: true }));
    t.match(await journalOf(root).find(record, { withinMs: 0, signal }), {
      state: 'missing',
      cause: 'no-journald',
      because: /no journald runs on this node: ENOENT/,
    });
    mkdirSync(join(root, 'run/systemd/journal'), { recursive: true });
    t.match(await journalOf(root).find(record, { withinMs: 0, signal }), {
      state: 'unread',
      cause: 'node-lacks',
      because: /the node has no journalctl/,
    });
  });
});
