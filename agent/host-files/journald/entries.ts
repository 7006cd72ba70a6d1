import type { JournalRecord } from './port.ts';

/** One entry of `journalctl -o json`, as far as it is looked at. */
export type JournalEntry = { readonly cursor: string; readonly identifier: string; readonly message: string };

/**
 * The entries in the output of `journalctl -o json`: an object a line; a MESSAGE that is no UTF-8 is an array of bytes, one
 * that is too long is null (systemd, "Journal JSON Format"). A line that is neither is counted, with its first words.
 */
export function parseJournalEntries(text: string): {
  readonly entries: readonly JournalEntry[];
  readonly unreadable: readonly string[];
} {
  const entries: JournalEntry[] = [];
  const unreadable: string[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const entry = parseEntry(line);
    if (entry === undefined) unreadable.push(line.slice(0, 200));
    else entries.push(entry);
  }
  return { entries, unreadable };
}

/** The entry that is the record; undefined: none is. */
export function entryOf(record: JournalRecord, entries: readonly JournalEntry[]): JournalEntry | undefined {
  return entries.find(
    ({ identifier, message }) => identifier === record.identifier && message === record.message.trim(),
  );
}

function parseEntry(line: string): JournalEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const {
    __CURSOR: cursor,
    SYSLOG_IDENTIFIER: identifier,
    MESSAGE: message,
  } = value as Record<string, unknown>;
  if (typeof cursor !== 'string') return undefined;
  return { cursor, identifier: textOf(identifier), message: textOf(message).trim() };
}

/** A field that stands several times in an entry is an array of its values. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return '';
  if (value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256))
    return Buffer.from(value as number[]).toString('utf8');
  return textOf(value.find((item) => typeof item === 'string'));
}
