import type { KmsgRecord } from '../../../shared/kmsg-record.ts';
import type { JournalMissing } from '../../../shared/schemas/read-back.ts';
import type { SystemJournal, Unread } from './port.ts';

/** A journald in memory that reads a kernel log, with the troubles of a real one. */
export type FakeSystemJournal = SystemJournal & {
  /** From now on records do not reach it, or cannot be read back; undefined: all is well. */
  breakWith(trouble: Omit<JournalMissing, 'state'> | Unread | undefined): void;
};

/** Finds what stands in the kernel log that it reads. */
export function createFakeSystemJournal(options: {
  readonly kernelLog: { records(): readonly KmsgRecord[] };
}): FakeSystemJournal {
  let trouble: Omit<JournalMissing, 'state'> | Unread | undefined;
  const isUnread = (found: typeof trouble): found is Unread =>
    found?.cause === 'agent-lacks' || found?.cause === 'node-lacks';

  return {
    whyNone: async () => (trouble?.cause === 'no-journald' ? trouble.because : undefined),
    whyUnread: async () => (isUnread(trouble) ? trouble : undefined),
    async find({ identifier, message, microseconds }, { signal }) {
      signal.throwIfAborted();
      if (isUnread(trouble)) return { state: 'unread', ...trouble };
      if (trouble !== undefined) return { state: 'missing', ...trouble };
      const record = options.kernelLog
        .records()
        .findLast(
          (found) => found.microseconds === microseconds && found.text === `${identifier}: ${message}`,
        );
      if (record === undefined)
        return {
          state: 'missing',
          cause: 'not-arrived',
          because: 'journald runs, and the record is not in /var/log/journal',
        };
      const cursor = `s=fake;i=${record.sequence.toString(16)}`;
      return { state: 'seen', directory: '/var/log/journal', cursor, identifier, message };
    },
    breakWith(next) {
      trouble = next;
    },
  };
}
