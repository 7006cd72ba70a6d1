import type { JournalReadBack } from '../../../shared/schemas/read-back.ts';

/** A record as it was read back from the kernel log, and what journald makes of it. */
export type JournalRecord = {
  /** SYSLOG_IDENTIFIER, such as `kubelet`. */
  readonly identifier: string;
  /** MESSAGE, without the identifier. */
  readonly message: string;
  /** Since boot, the kernel's clock: journald keeps it as _SOURCE_MONOTONIC_TIMESTAMP. */
  readonly microseconds: number;
};

/** The node's journal, where the node monitoring agent reads it. Nothing is ever written there. */
export interface SystemJournal {
  /** Why no record of the kernel log can reach it on this node; undefined: journald is there. */
  whyNone(): Promise<string | undefined>;
  /** Why the agent could not read it back; undefined: it could. Looks for programs and folders, and runs nothing. */
  whyUnread(): Promise<Unread | undefined>;
  /**
   * Looks for the record until it is there, at most `withinMs` of the agent's clock. Never refuses: what could not be
   * read is part of the answer. Rejects only when `signal` is aborted.
   */
  find(
    record: JournalRecord,
    options: { readonly withinMs: number; readonly signal: AbortSignal },
  ): Promise<JournalReadBack>;
}

/** What keeps the agent from reading the journal, and whether that is the agent's own or the node's. */
export type Unread = { readonly cause: 'agent-lacks' | 'node-lacks'; readonly because: string };
