import type { EngineProcess } from '../engines/port.ts';

/** Runs the `dcgmi` that belongs to a host engine, where that engine lives. */
export interface Dcgmi {
  /** The client that would be run for this engine, or why there is none. */
  locate(engine: EngineProcess): Promise<{ readonly path: string } | { readonly because: string }>;
  /**
   * Runs it to its end. `--host` is added by the adapter; `args` start with the subsystem (`discovery`, `test` …).
   * Refuses with `dcgmi_not_found` or `dcgmi_timeout`; an exit code other than 0 is an answer, not a refusal.
   */
  run(
    engine: EngineProcess,
    args: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<DcgmiRun>;
}

/** One run of `dcgmi`, to its end. */
export type DcgmiRun = {
  /** The DCGM return code as an unsigned byte; 128 + n when ended by signal n. */
  readonly exitCode: number;
  /** Standard output and error together, as a terminal gets them, with plain line breaks. */
  readonly output: string;
  /** What was run, for receipts. */
  readonly commandLine: readonly string[];
};
