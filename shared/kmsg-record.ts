import { Refusal } from './errors.ts';

/** One record as a reader of /dev/kmsg gets it (Linux, Documentation/ABI/testing/dev-kmsg). */
export type KmsgRecord = {
  /** facility × 8 + level. What user space writes with `<3>` comes back as 11: facility 0 is the kernel's own. */
  readonly priority: number;
  /** 64-bit in the kernel; exact here up to 2^53. */
  readonly sequence: number;
  /** Since boot, on the kernel's clock. */
  readonly microseconds: number;
  /** `-`, or `c` for a piece of a continued line. */
  readonly flags: string;
  /** The first line, with `\xNN` undone. */
  readonly text: string;
  /** The whole record, as read, without its last line break. */
  readonly raw: string;
};

/** syslog(2)'s levels; the place in the list is the number in the record. */
export const kmsgLevels = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'] as const;
/** By its name in `dmesg --level`. */
export type KmsgLevel = (typeof kmsgLevels)[number];

/**
 * The longest write, prefix and line break included. Linux 6.x takes 1024 bytes, older kernels stop near 976–992
 * (LOG_LINE_MAX less the prefix), so the smaller one is the limit: nothing that passes here is refused there.
 */
export const longestKmsgWrite = 976;

const head = /^(\d+),(\d+),(\d+),([^,;]*)(?:,[^;]*)?;/;

/** Returns undefined for what is no record, so that a reader can go on behind it. */
export function parseKmsgRecord(raw: string): KmsgRecord | undefined {
  const match = head.exec(raw);
  if (match === null) return undefined;
  const [whole, priority, sequence, microseconds, flags = ''] = match;
  const [line = ''] = raw.slice(whole.length).split('\n', 1);
  return {
    priority: Number(priority),
    sequence: Number(sequence),
    microseconds: Number(microseconds),
    flags,
    text: line.replace(/\\x([0-9a-f]{2})/gi, (_, code: string) =>
      String.fromCharCode(Number.parseInt(code, 16)),
    ),
    raw: raw.replace(/\n$/, ''),
  };
}

/** The single write that makes one record: `<level>text\n`. Without the line break it stays unreadable (measured). */
export function encodeKmsgWrite(level: KmsgLevel, text: string, field = 'text'): Buffer {
  assertKmsgText(text, field);
  const bytes = Buffer.from(`<${kmsgLevels.indexOf(level)}>${text}\n`, 'ascii');
  if (bytes.length > longestKmsgWrite) {
    const allowed = longestKmsgWrite - (bytes.length - text.length);
    throw new Refusal('text_too_long', `${field}: ${text.length} characters, the kernel takes ${allowed}`, {
      field,
      value: text.length,
      allowed,
    });
  }
  return bytes;
}

/** A line break would forge a second record's look, other bytes come back as \xNN: both are refused, never cleaned. */
export function assertKmsgText(text: string, field = 'text'): void {
  if (text.trim() === '') throw new Refusal('text_empty', `${field}: nothing to write`, { field });
  const newline = /[\r\n]/.exec(text);
  if (newline !== null) {
    throw new Refusal('text_has_newline', `${field}: line break at character ${newline.index}`, {
      field,
      allowed: 'one line; send one order per record',
    });
  }
  const control = /[\x00-\x1f\x7f]/.exec(text);
  if (control !== null) {
    const code = text.charCodeAt(control.index).toString(16).padStart(2, '0');
    throw new Refusal('text_has_control_bytes', `${field}: byte 0x${code} at character ${control.index}`, {
      field,
      allowed: 'printable ASCII, 0x20 to 0x7e',
    });
  }
  const foreign = /[^\x20-\x7e]/u.exec(text);
  if (foreign !== null) {
    throw new Refusal('text_not_ascii', `${field}: "${foreign[0]}" at character ${foreign.index}`, {
      field,
      allowed: 'printable ASCII, 0x20 to 0x7e',
    });
  }
}

/** How the kernel gives text back: everything outside printable ASCII, and the backslash, as \xNN. */
export function escapeKmsgText(text: string): string {
  return Array.from(Buffer.from(text, 'utf8'), (byte) =>
    byte < 0x20 || byte > 0x7e || byte === 0x5c
      ? `\\x${byte.toString(16).padStart(2, '0')}`
      : String.fromCharCode(byte),
  ).join('');
}
