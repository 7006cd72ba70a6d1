import type { Test } from 'tap';
import type { JournalRecord, SystemJournal } from '../../agent/host-files/journald/port.ts';

export type SystemJournalUnderTest = {
  readonly journal: SystemJournal;
  /** Writes `identifier: message` into the kernel log that its journald reads. */
  readonly write: (identifier: string, message: string) => Promise<JournalRecord>;
  /** How long it is waited for what does not come. */
  readonly patienceMs: number;
};

/** Runs over every adapter of `SystemJournal`. */
export async function systemJournalContract(
  t: Test,
  { journal, write, patienceMs }: SystemJournalUnderTest,
): Promise<void> {
  const { signal } = new AbortController();
  const mark = `xidrill-${process.pid}`;
  const longMs = 20_000;

  await t.test('journald is there, and can be read', async (t) => {
    t.equal(await journal.whyNone(), undefined);
    t.equal(await journal.whyUnread(), undefined);
  });

  await t.test('a record of the kernel log is found by identifier, text and time', async (t) => {
    for (const [identifier, message] of [
      ['kubelet', `${mark} fork/exec /usr/bin/runc: resource temporarily unavailable`],
      ['systemd', `${mark} Failed to start "x": a [b] {c} \\d.`],
    ] as const) {
      const record = await write(identifier, message);
      const found = await journal.find(record, { withinMs: longMs, signal });
      t.match(found, { state: 'seen', directory: /^\/(var|run)\/log\/journal$/, identifier, message });
      t.match(found, { cursor: /^s=/ });
    }
  });

  await t.test('the same text twice is two entries', async (t) => {
    const first = await write('kubelet', `${mark} twice`);
    const second = await write('kubelet', `${mark} twice`);
    const [one, two] = [
      await journal.find(first, { withinMs: longMs, signal }),
      await journal.find(second, { withinMs: longMs, signal }),
    ];
    t.match([one.state, two.state], ['seen', 'seen']);
    if (first.microseconds !== second.microseconds)
      t.not('cursor' in one && one.cursor, 'cursor' in two && two.cursor);
  });

  await t.test('what was never written, or under another name, is missing', async (t) => {
    const record = await write('kubelet', `${mark} under another name`);
    await journal.find(record, { withinMs: longMs, signal });
    for (const other of [
      { ...record, message: `${mark} never written` },
      { ...record, identifier: 'systemd' },
      { ...record, microseconds: record.microseconds + 1 },
    ])
      t.match(await journal.find(other, { withinMs: patienceMs, signal }), {
        state: 'missing',
        cause: 'not-arrived',
        because: /the record is not in \/(var|run)\/log\/journal/,
      });
  });

  await t.test('a look can be ended', async (t) => {
    const ended = AbortSignal.abort(new Error('ended'));
    const record = { identifier: 'kubelet', message: 'x', microseconds: 1 };
    await t.rejects(journal.find(record, { withinMs: patienceMs, signal: ended }), { message: 'ended' });
  });
}
