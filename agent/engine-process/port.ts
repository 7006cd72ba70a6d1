import type { ProcessReadBack } from '../../shared/schemas/read-back.ts';

/** A process, and not a later one with its number. */
export type ProcessIdentity = {
  /** In the agent's own process namespace. */
  readonly pid: number;
  /** Clock ticks after boot (/proc/PID/stat). */
  readonly startTime: string;
};

/** Stops and continues host engines by signals. */
export interface EngineProcesses {
  /** undefined: no such process. */
  look(pid: number): Promise<(ProcessIdentity & ProcessReadBack) | undefined>;
  /**
   * SIGSTOP, and what /proc says then. Refuses with `engine_not_found` where the process is gone, and with
   * `process_not_paused` where it does not stop; then it is continued (SIGCONT).
   */
  pause(process: ProcessIdentity): Promise<ProcessReadBack>;
  /** Why this process could not be stopped; undefined: nothing is known to stand against it. Sends nothing. */
  whyNotPausable(pid: number): Promise<string | undefined>;
  /** SIGCONT; undefined: the process is gone, and whoever has its number now was left alone. Throws what kill(2) says. */
  resume(process: ProcessIdentity): Promise<ProcessReadBack | undefined>;
}
