import t from 'tap';
import { entryOf, parseJournalEntries } from '../../../../agent/host-files/journald/entries.ts';
import { parseJournaldSettings, whyNotStored } from '../../../../agent/host-files/journald/settings.ts';

/** Recorded: journalctl 252 -o json, of a record that was written into /dev/kmsg. */
const recorded = `{"__CURSOR":"s=7f58;i=e50;b=cf88;m=2b;t=66;x=4a","_MACHINE_ID":"3d12","__REALTIME_TIMESTAMP":"1796061213187717","MESSAGE":"xidrill-30285 a text","SYSLOG_IDENTIFIER":"kubelet","_BOOT_ID":"cf88","_TRANSPORT":"kernel","PRIORITY":"6","_SOURCE_MONOTONIC_TIMESTAMP":"11179158099"}\n`;
const record = { identifier: 'kubelet', message: 'xidrill-30285 a text', microseconds: 11179158099 };

t.test('entries of journalctl', async (t) => {
  const { entries, unreadable } = parseJournalEntries(recorded);
  t.same(unreadable, []);
  t.match(entryOf(record, entries), { cursor: 's=7f58;i=e50;b=cf88;m=2b;t=66;x=4a', identifier: 'kubelet' });
  t.equal(entryOf({ ...record, message: 'another' }, entries), undefined);

  const bytes = JSON.stringify([...Buffer.from('xidrill-30285 a text')]);
  const asBytes = recorded.replace('"xidrill-30285 a text"', bytes).replace('"kubelet"', '["kubelet","x"]');
  t.match(entryOf(record, parseJournalEntries(asBytes).entries), { identifier: 'kubelet' });
  t.equal(
    entryOf(record, parseJournalEntries(recorded.replace('"xidrill-30285 a text"', 'null')).entries),
    undefined,
  );

  const noise = `-- No entries --\nnull\n[1]\n{"MESSAGE":"x"}\n${recorded}{"__CURSOR":"s=`;
  const found = parseJournalEntries(noise);
  t.equal(found.entries.length, 1);
  t.same(found.unreadable, ['-- No entries --', 'null', '[1]', '{"MESSAGE":"x"}', '{"__CURSOR":"s=']);
});

t.test('settings of journald', async (t) => {
  const files = `# /etc/systemd/journald.conf
[Journal]
#ReadKMsg=yes
 ForwardToKMsg = yes
MaxLevelStore=notice
# /usr/lib/systemd/journald.conf.d/10-x.conf
[Other]
Storage=none
[Journal]
Storage=volatile
ForwardToKMsg=
`;
  t.same(parseJournaldSettings(files), { maxlevelstore: 'notice', storage: 'volatile' });
  t.same(
    parseJournaldSettings('', 'ro systemd.journald.forward_to_kmsg systemd.journald.max_level_store=3 quiet'),
    {
      forwardtokmsg: 'yes',
      maxlevelstore: '3',
    },
  );
  // R5: what journald cannot read it ignores, and what stood before it holds.
  for (const [text, commandLine, wanted] of [
    ['MaxLevelStore=bogus', '', {}],
    ['MaxLevelStore=err\nMaxLevelStore=bogus', '', { maxlevelstore: 'err' }],
    [
      'MaxLevelStore=err\nMaxLevelStore=Warning\nMaxLevelStore=8\nMaxLevelStore=5 # five',
      '',
      { maxlevelstore: 'err' },
    ],
    ['Storage=none\nStorage=None', '', { storage: 'none' }],
    ['Storage=off', '', {}],
    ['ReadKMsg=OFF\nReadKMsg=maybe', '', { readkmsg: 'off' }],
    ['MaxLevelStore=err', 'systemd.journald.max_level_store=bogus', { maxlevelstore: 'err' }],
    ['MaxLevelStore=err', 'systemd.journald.max_level_store', { maxlevelstore: 'err' }],
    ['MaxLevelStore=err', 'systemd.journald.max-level-store=debug', { maxlevelstore: 'debug' }],
    // These two are no options of the kernel's command line, and rd. is for the initrd alone.
    ['', 'systemd.journald.storage=none systemd.journald.read_kmsg=no', {}],
    ['', 'rd.systemd.journald.max_level_store=emerg', {}],
  ] as const)
    t.same(parseJournaldSettings(`[Journal]\n${text}`, commandLine), wanted, `${text}; ${commandLine}`);
  for (const [settings, cause] of [
    [{}, undefined],
    [{ readkmsg: 'off' }, 'read-kmsg-off'],
    [{ storage: 'none' }, 'storage-none'],
    [{ storage: 'auto', forwardtokmsg: '1' }, 'forward-to-kmsg'],
    [{ maxlevelstore: '5' }, 'level-not-stored'],
    [{ maxlevelstore: 'info' }, undefined],
    [{ maxlevelstore: 'debug', readkmsg: 'yes', forwardtokmsg: 'no' }, undefined],
  ] as const)
    t.equal(whyNotStored(settings, 6)?.cause, cause, JSON.stringify(settings));
});
