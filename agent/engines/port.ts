import type { AgentLack } from '../../shared/schemas/inventory.ts';

/** A process that is a standalone DCGM host engine, as /proc shows it. */
export type EngineProcess = {
  /** In the agent's own process namespace, the host's where it runs with hostPID. */
  readonly pid: number;
  readonly commandLine: readonly string[];
  /** In the process's own mount namespace. */
  readonly executable: string;
  /** Id of 64 hex digits; null: a process of the host. */
  readonly container: string | null;
  /** Uid of its pod; null: a process of the host. */
  readonly podUid: string | null;
  /** As `dcgmi --host` takes it from inside its network namespace: `127.0.0.1:5555`, `unix:///tmp/nv-hostengine`. */
  readonly address: string;
  /** Whether this process itself holds the listening socket; a client cannot tell a foreign engine from its own. */
  readonly listening: boolean;
  /** Another process holds it: whatever answers there is not this engine. Absent: no. */
  readonly foreign?: boolean;
  /** `namespace/name` of its pod; absent: not known, or in none. */
  readonly pod?: string;
  /** Why it does not count as an engine of the monitoring agent, whatever it is called; absent: it does. */
  readonly untrusted?: string;
  /** What could not be read of it; empty: nothing. */
  readonly problems: readonly string[];
};

/** Finds host engines. An engine that went away between two looks is no error: it is not in the list. */
export interface EngineFinder {
  /** Reads /proc; throws only where that cannot be read at all. */
  find(): Promise<readonly EngineProcess[]>;
  /** Why engines may be there that it cannot see; undefined: it sees every process of the node. */
  whyBlind(): Promise<AgentLack | undefined>;
}
