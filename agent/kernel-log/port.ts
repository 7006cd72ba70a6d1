import type { Refusal } from '../../shared/errors.ts';
import type { KmsgLevel, KmsgRecord } from '../../shared/kmsg-record.ts';

/** The kernel's log: one write makes one record, every record has a sequence number, nothing can be taken back. */
export interface KernelLog {
  /** Where it is, for messages: `/dev/kmsg`. */
  readonly path: string;
  /** Why it cannot be used, or undefined. Asked before every order, so it must be cheap. */
  unavailable(): Refusal | undefined;
  /**
   * Writes one record and finds it again by content, from a position taken before the write.
   * Refuses with `not_a_kernel_log`, `kernel_log_unavailable` or `read_back_failed`, or the text_… reasons.
   */
  write(level: KmsgLevel, text: string): Promise<KmsgRecord>;
  /** Records as they come, from the end or the oldest one in the ring; what was overwritten is reported as a `lost` entry. */
  tail(options: { readonly from: 'end' | 'oldest'; readonly signal: AbortSignal }): AsyncIterable<TailEntry>;
  /** Releases the open files; nothing may be called after it. */
  close(): void;
}

/** A record, or how many were overwritten before they could be read. */
export type TailEntry = { readonly record: KmsgRecord } | { readonly lost: string };
