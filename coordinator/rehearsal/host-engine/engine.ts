import type { EngineProcess } from '../../../agent/engines/port.ts';
import type { Clock } from '../../../shared/clock.ts';
import { Refusal } from '../../../shared/errors.ts';
import { isSamePci, parsePci } from '../../../shared/pci.ts';
import { type HealthSystem, healthSystems, type Incident } from './health.ts';
import { createMemory, type FieldValue, type PolicyCallback } from './memory.ts';
import type { EngineGpuOptions } from './readings.ts';

/** One simulated nv-hostengine: version, GPUs and place. */
export type HostEngineOptions = {
  readonly clock: Clock;
  /** `4.6.0`, `4.5.3`, `4.5.2`: from 4.6 a counter has to increase, before it has to be above 0. */
  readonly version: string;
  readonly gpus: readonly EngineGpuOptions[];
  readonly pid: number;
  readonly address?: string;
  readonly container?: string | null;
  readonly podUid?: string | null;
  readonly commandLine?: readonly string[];
  readonly executable?: string;
  /** False: another process holds its port. */
  readonly listening?: boolean;
  /** Where its `dcgmi` is; null: the image has none. */
  readonly dcgmiPath?: string | null;
};

/** What a client such as NMA has; every call throws `engine_unreachable` once the engine is gone. */
export type EngineConnection = {
  /**
   * Sets the policies and listens. `keepThresholds`: what another client set before stays. `set: false`: listens only, as
   * `dcgmi policy --reg` does, and gets no alert until some client has set them (measured).
   */
  registerPolicies(
    callback: PolicyCallback,
    options?: { readonly keepThresholds?: boolean; readonly set?: boolean },
  ): void;
  /** `systems`: those of `dcgmi health --set`; all by default, as NMA does it. */
  enableHealth(systems?: readonly HealthSystem[]): void;
  watchFields(group: string, fieldIds: readonly number[]): void;
  healthCheck(): readonly Incident[];
  /** Samples of the watched fields from `sinceMs` to now; what lies in the future is not among them. */
  valuesSince(sinceMs: number): readonly FieldValue[];
  deviceCount(): number;
  alive(): 'yes' | 'gone' | 'silent';
  close(): void;
};

/** A host engine in memory, with the measured rules of the real one (dcgm.md, dcgm-measured.md). */
export type HostEngine = ReturnType<typeof createHostEngine>;

/**
 * A DCGM host engine: cache, policies and health as measured on the real one. It keeps no timers; everything that
 * happens in it happens when somebody asks or injects, alerts on the driver's own readings among it: their stamps are
 * right, they are only delivered late.
 */
export function createHostEngine(options: HostEngineOptions) {
  const { version, gpus } = options;
  let state: 'running' | 'suspended' | 'stopped' = 'running';
  let pid = options.pid;
  /** Grows at each start; a connection of an earlier life is dead. */
  let life = 1;
  let nextConnection = 1;
  const memory = createMemory(options);

  function connect(name: string): EngineConnection {
    assertReachable(state, name);
    const connection = nextConnection;
    nextConnection += 1;
    const born = life;
    let closed = false;
    const use = (): void => {
      if (closed || born !== life) throw unreachable(`${name}: the connection is gone`);
      assertReachable(state, name);
    };
    return {
      registerPolicies(callback, { keepThresholds = false, set = true } = {}) {
        use();
        if (gpus.length === 0) {
          throw new Refusal('engine_unreachable', 'cannot get policy for a group with no GPUs');
        }
        memory.registerPolicies({ connection, callback, keepThresholds, set });
      },
      enableHealth(systems = healthSystems) {
        use();
        memory.enableHealth(connection, systems);
      },
      watchFields(group, fieldIds) {
        use();
        memory.watchFields(connection, group, fieldIds);
      },
      healthCheck() {
        use();
        return memory.check();
      },
      valuesSince(sinceMs) {
        use();
        return memory.valuesSince(connection, sinceMs);
      },
      deviceCount() {
        use();
        return gpus.length;
      },
      alive: () =>
        closed || born !== life || state === 'stopped' ? 'gone' : state === 'suspended' ? 'silent' : 'yes',
      close() {
        if (closed || born !== life) return;
        closed = true;
        memory.forget(connection);
      },
    };
  }

  function end(next: 'stopped' | 'running'): void {
    state = next;
    life += 1;
    memory.clear();
  }

  return {
    version,
    gpus,
    dcgmiPath: options.dcgmiPath === undefined ? '/usr/bin/dcgmi' : options.dcgmiPath,
    process: (): EngineProcess => ({
      pid,
      commandLine: options.commandLine ?? ['/usr/bin/nv-hostengine', '-n', '-b', 'ALL'],
      executable: options.executable ?? '/usr/bin/nv-hostengine',
      container: options.container ?? null,
      podUid: options.podUid ?? null,
      address: options.address ?? '127.0.0.1:5555',
      listening: options.listening ?? true,
      problems: [],
    }),
    state: () => state,
    isBlind: memory.isBlind,
    isHealthOn: memory.isHealthOn,
    connect,
    inject: memory.inject,
    facts: memory.facts,
    fieldGroups: memory.fieldGroups,
    healthCheck: memory.check,
    setThresholds: memory.setThresholds,
    /**
     * A record of the kernel log. The engine knows 79, 119 and 120: they reach the cache and raise no alert; 119 at an
     * address of its own makes it stop asking the driver, until it is restarted (measured).
     */
    readKernelRecord(raw: string): void {
      if (state !== 'running') return;
      const [, address, xid] = /^\d+,\d+,\d+,.*;NVRM: Xid \(PCI:(.*)\): (79|119|120),.*/.exec(raw) ?? [];
      const gpu = address === undefined ? undefined : gpus.find((candidate) => isAt(candidate.pci, address));
      if (gpu === undefined || xid === undefined) return;
      memory.learnXid(gpu, Number(xid));
    },
    /** The process ends; in a container that sleeps on it stays away. */
    kill(): void {
      end('stopped');
    },
    /** SIGSTOP: connections stay open and nothing answers. */
    suspend(): void {
      if (state === 'running') state = 'suspended';
    },
    resume(): void {
      if (state === 'suspended') state = 'running';
    },
    /** A new process: everything in memory is gone, the history of Xids among it. */
    restart(newPid: number = pid + 1): void {
      end('running');
      pid = newPid;
    },
  };
}

function assertReachable(state: 'running' | 'suspended' | 'stopped', name: string): void {
  if (state !== 'running') throw unreachable(`${name}: Host engine connection invalid/disconnected`);
}

function unreachable(message: string): Refusal {
  return new Refusal('engine_unreachable', message);
}

/** The engine adds the function itself and compares in lower case, so that no other spelling fits. */
function isAt(pci: string, address: string): boolean {
  if (!/^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}$/.test(address)) return false;
  return isSamePci(parsePci(pci), parsePci(address));
}
