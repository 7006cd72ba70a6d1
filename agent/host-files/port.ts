import type { LogFileReadBack } from '../../shared/schemas/read-back.ts';

/** Log files of the node. Only appended to: never created, cut or replaced. */
export interface HostFiles {
  /**
   * Throws what `append` would refuse at this moment, and writes nothing: `log_file_missing`; `log_file_unusable`
   * where it is no regular file, stands behind a symbolic link, or cannot be written.
   */
  assertAppendable(path: string): Promise<void>;
  /**
   * Appends one line with one write and reads it back where it was put. Refuses as above, or with `read_back_failed`.
   * `path` is one of the node, absolute.
   */
  append(path: string, line: string): Promise<LogFileReadBack>;
  /** Why nothing stands at the path, in the system's words; undefined: something does. Follows no link at its end. */
  whyMissing(path: string): Promise<string | undefined>;
}
