import type { Test } from 'tap';
import type { KernelLog, TailEntry } from '../../agent/kernel-log/port.ts';
import { type KmsgRecord, longestKmsgWrite, parseKmsgRecord } from '../../shared/kmsg-record.ts';

export type KernelLogUnderTest = {
  readonly kernelLog: KernelLog;
  /** From now on it cannot be used. */
  readonly breakIt?: () => void;
};

/** Texts that come back exactly as they were written, whatever the kernel escapes or cuts. */
const texts: readonly (readonly [string, string])[] = [
  ['plain', 'NVRM: Xid (PCI:0000:00:1f): 31, a text'],
  ['a backslash and what looks like an escape', 'a \\ b \\x41 \\n'],
  ['semicolons, commas and quotes', 'a;b,c;"d" \'e\''],
  ['blanks at both ends', '  a  '],
  ['what looks like a priority', '<0>a'],
  ['what looks like the head of a record', '3,1,1,-;a'],
  ['what looks like a time', '[ 12.345678] BUG: a'],
  ['the last printable byte', 'a~'],
];

/** Levels that do not reach every terminal of the machine. */
const levels = [
  ['err', 11],
  ['warning', 12],
  ['notice', 13],
  ['info', 14],
  ['debug', 15],
] as const;

const refused: readonly (readonly [string, string, string])[] = [
  ['nothing', '', 'text_empty'],
  ['blanks only', '  ', 'text_empty'],
  ['a line break', 'a\nb', 'text_has_newline'],
  ['a line break at the end', 'a\n', 'text_has_newline'],
  ['a carriage return', 'a\rb', 'text_has_newline'],
  ['a control byte', 'a\u0007', 'text_has_control_bytes'],
  ['a NUL', 'a\0', 'text_has_control_bytes'],
  ['DEL', 'a\u007f', 'text_has_control_bytes'],
  ['a letter that is not ASCII', 'é', 'text_not_ascii'],
  ['a C1 control', 'a\u0085', 'text_not_ascii'],
  ['a lone surrogate', 'a\ud800', 'text_not_ascii'],
  ['one byte too many', 'x'.repeat(longestKmsgWrite - 3), 'text_too_long'],
];

/** Runs over every adapter of `KernelLog`. Others may write into the same log: only this suite's records count. */
export async function kernelLogContract(
  t: Test,
  make: (t: Test) => Promise<KernelLogUnderTest>,
): Promise<void> {
  const mark = `xidrill contract ${process.pid}`;
  const { kernelLog } = await make(t);
  t.teardown(() => kernelLog.close());

  await t.test('it can be used, and says where it is', async (t) => {
    t.equal(kernelLog.unavailable(), undefined);
    t.match(kernelLog.path, /^\//);
  });

  await t.test('what is written comes back as it was', async (t) => {
    for (const [name, text] of texts) {
      const record = await kernelLog.write('err', text);
      t.equal(record.text, text, name);
      t.same(parseKmsgRecord(record.raw), record, `${name}: the raw record says the same`);
    }
    const longest = 'x'.repeat(longestKmsgWrite - 4);
    t.equal((await kernelLog.write('err', longest)).text, longest, 'the longest');
  });

  await t.test('the level is kept, the facility is user', async (t) => {
    for (const [level, priority] of levels) {
      t.equal((await kernelLog.write(level, `${mark} level`)).priority, priority, level);
    }
  });

  await t.test('every record has a number of its own, also when the text is the same', async (t) => {
    const records: KmsgRecord[] = [];
    for (let count = 0; count < 40; count += 1) records.push(await kernelLog.write('info', `${mark} same`));
    const sequences = records.map(({ sequence }) => sequence);
    t.same(
      sequences,
      [...new Set(sequences)].toSorted((a, b) => a - b),
      'growing, none twice: more than a rate limit would let through',
    );
    const times = records.map(({ microseconds }) => microseconds);
    t.same(
      times,
      times.toSorted((a, b) => a - b),
      'in the order of time',
    );
  });

  await t.test('writes at the same time do not take one another’s record', async (t) => {
    const records = await Promise.all(
      Array.from({ length: 20 }, (_, index) => kernelLog.write('info', `${mark} at once ${index % 4}`)),
    );
    t.equal(new Set(records.map(({ sequence }) => sequence)).size, 20);
    t.same(
      records.map(({ text }) => text),
      records.map((_, index) => `${mark} at once ${index % 4}`),
    );
  });

  await t.test('a text that makes no clean record is refused, and nothing is written', async (t) => {
    const reading = startTail(t, kernelLog, 'end');
    for (const [name, text, reason] of refused) {
      await t.rejects(kernelLog.write('err', text), { name: 'Refusal', reason }, name);
    }
    const last = await kernelLog.write('info', `${mark} after the refusals`);
    t.same(await reading.until(last, isOurs(mark)), [last]);
  });

  await t.test('a tail from the end has what is written later, in order', async (t) => {
    await kernelLog.write('info', `${mark} before the tail`);
    const reading = startTail(t, kernelLog, 'end');
    const written = [
      await kernelLog.write('info', `${mark} tail 1`),
      await kernelLog.write('err', `${mark} tail 2 \\ \\x41`),
      await kernelLog.write('info', `${mark} tail 3`),
    ];
    t.same(await reading.until(written.at(-1), isOurs(mark)), written);
  });

  await t.test('a tail from the oldest has what was there before', async (t) => {
    const earlier = await kernelLog.write('info', `${mark} earlier`);
    const reading = startTail(t, kernelLog, 'oldest');
    const found = await reading.until(earlier, ({ sequence }) => sequence === earlier.sequence);
    t.same(found, [earlier]);
  });

  await t.test('several tails do not disturb each other, and a write not them', async (t) => {
    const first = startTail(t, kernelLog, 'end');
    const second = startTail(t, kernelLog, 'end');
    const record = await kernelLog.write('info', `${mark} two tails`);
    t.same(await first.until(record, isOurs(mark)), [record]);
    t.same(await second.until(record, isOurs(mark)), [record]);
  });

  await t.test('a tail ends when it is aborted, also while it waits', async (t) => {
    const stop = new AbortController();
    const tail = kernelLog.tail({ from: 'end', signal: stop.signal })[Symbol.asyncIterator]();
    const ended = (async () => {
      while ((await tail.next()).done !== true);
    })();
    stop.abort();
    await ended;
    const none = kernelLog.tail({ from: 'oldest', signal: AbortSignal.abort() })[Symbol.asyncIterator]();
    t.equal((await none.next()).done, true, 'aborted before it began');
  });

  await t.test('one that cannot be used says why, and takes nothing', async (t) => {
    const { kernelLog, breakIt } = await make(t);
    t.teardown(() => kernelLog.close());
    if (breakIt === undefined) return t.pass('nothing here can break this one');
    breakIt();
    t.match(kernelLog.unavailable(), { reason: 'kernel_log_unavailable', message: kernelLog.path });
    await t.rejects(kernelLog.write('err', mark), { name: 'Refusal', reason: 'kernel_log_unavailable' });
    const tail = kernelLog.tail({ from: 'end', signal: new AbortController().signal });
    await t.rejects(tail[Symbol.asyncIterator]().next(), {
      name: 'Refusal',
      reason: 'kernel_log_unavailable',
    });
  });
}

function isOurs(mark: string): (record: KmsgRecord) => boolean {
  return ({ text }) => text.startsWith(mark);
}

/** Its place is taken before this returns. */
function startTail(t: Test, kernelLog: KernelLog, from: 'end' | 'oldest') {
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const entries = kernelLog.tail({ from, signal: stop.signal })[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<TailEntry>> | undefined = entries.next();
  return {
    /** The wanted records up to and including `last`. */
    async until(last: KmsgRecord | undefined, isWanted: (record: KmsgRecord) => boolean) {
      const found: KmsgRecord[] = [];
      for (;;) {
        const entry = await (pending ?? entries.next());
        pending = undefined;
        if (entry.done === true) return found;
        if ('lost' in entry.value) continue;
        if (isWanted(entry.value.record)) found.push(entry.value.record);
        if (entry.value.record.sequence === last?.sequence) return found;
      }
    },
  };
}
