import type { KmsgRecord } from '../../../shared/kmsg-record.ts';

/** What journald makes of a record of the kernel log. */
export type JournalEntry = {
  /** SYSLOG_IDENTIFIER. */
  readonly identifier: string | undefined;
  /** MESSAGE: the identifier and one space behind it are cut off. */
  readonly message: string;
};

/**
 * systemd src/journal/journald-kmsg.c, dev_kmsg_record, and journald-syslog.c, syslog_parse_identifier: a record of the
 * kernel's own facility belongs to `kernel`; of any other, a first word that ends in a colon is the identifier, and a
 * process id in brackets behind it is cut off as well.
 */
export function journalEntryOf({ priority, text }: Pick<KmsgRecord, 'priority' | 'text'>): JournalEntry {
  if (priority >> 3 === 0) return { identifier: 'kernel', message: text };
  const [, identifier, message = ''] = /^\s*(\S*?)(?:\[[^\s[]*\])?:(?:\s(.*))?$/.exec(text) ?? [];
  return identifier === undefined ? { identifier, message: text } : { identifier, message };
}
