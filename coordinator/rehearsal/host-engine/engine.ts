import type { EngineProcess } from '../../../agent/engines/port.ts';
import type { Clock } from '../../../shared/clock.ts';
import { xidField } from '../../../shared/dcgm-fields/ids.ts';
import { Refusal } from '../../../shared/errors.ts';
import { isSamePci, parsePci } from '../../../shared/pci.ts';
import { policyThresholds, type Violation } from '../../catalogue/nma/reactions.ts';
import { createCache, type EntryFacts, type Sample } from './cache.ts';
import {
  fieldIncidents,
  type HealthSystem,
  healthFieldsOf,
  healthSystems,
  type Incident,
  isXidKept,
  xidIncidents,
} from './health.ts';
import { createAlertSlots, type PolicyThresholds, violationOf } from './policy.ts';
import {
  clientWatch,
  type EngineGpuOptions,
  healthWatch,
  informWatch,
  policyFields,
  policyWatch,
} from './readings.ts';

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

/** A sample of a watched field, as a client gets it. */
export type FieldValue = {
  readonly gpuId: number;
  readonly fieldId: number;
  /** Blanks are above 2^53, hence the bigint. */
  readonly value: number | bigint;
  readonly atMs: number;
};

/** Called for each alert of a policy that the client has registered for. */
export type PolicyCallback = (violation: Violation, gpuId: number) => void;

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

/** A field group as `dcgmi fieldgroup -l` lists it. */
export type FieldGroupFacts = {
  readonly id: number;
  readonly name: string;
  readonly fields: readonly number[];
};

/** A host engine in memory, with the measured rules of the real one (dcgm.md, dcgm-measured.md). */
export type HostEngine = ReturnType<typeof createHostEngine>;

type Listener = {
  readonly connection: number;
  readonly callback: PolicyCallback;
  readonly slots: ReturnType<typeof createAlertSlots>;
};

/** DCGM_INT64_BLANK. */
const blankInt64 = 0x7ffffffffffffff0n;

const internalGroups: readonly FieldGroupFacts[] = [
  { id: 1, name: 'DCGM_INTERNAL_30SEC', fields: [70, 51, 71, 72, 55, 123, 124, 52, 53, 54, 91, 85] },
  { id: 2, name: 'DCGM_INTERNAL_HOURLY', fields: [125, 126, 93] },
  { id: 3, name: 'DCGM_INTERNAL_JOB', fields: [230, 240, 241, 245, 312, 313, 390, 391] },
];

/**
 * A DCGM host engine: cache, policies and health as measured on the real one. It keeps no timers; everything that
 * happens in it happens when somebody asks or injects, alerts on the driver's own readings among it: their stamps are
 * right, they are only delivered late.
 */
export function createHostEngine(options: HostEngineOptions) {
  const { clock, version, gpus } = options;
  let state: 'running' | 'suspended' | 'stopped' = 'running';
  let pid = options.pid;
  /** Grows at each start; a connection of an earlier life is dead. */
  let life = 1;
  let nextConnection = 1;
  let nextGroup = internalGroups.length + 1;
  let blind = false;
  const healthOn = new Set<HealthSystem>();
  let thresholds: PolicyThresholds | undefined;
  let listeners: Listener[] = [];
  let groups: (FieldGroupFacts & { readonly connection: number })[] = [];
  const xids = new Map<number, Set<number>>();
  const cache = createCache({
    clock,
    isBlind: () => blind,
    // A reading of the driver counts as much as an injection: a total above the injected one is an increase.
    onPoll: (gpu, fieldId, series, sample) => tellListeners(gpu, fieldId, series, sample),
  });

  function watchAll(
    fieldIds: readonly number[],
    watcher: { owner: 'policy' | 'health' | 'client'; connection: number },
    span: { intervalMs: number; maxAgeMs: number },
  ): void {
    for (const gpu of gpus)
      for (const fieldId of fieldIds) cache.watch(gpu, fieldId, { ...watcher, ...span });
  }

  function tellListeners(
    gpu: EngineGpuOptions,
    fieldId: number,
    series: readonly Sample[],
    injected: Sample,
  ): void {
    if (thresholds === undefined) return;
    const otherPages = cache.samples(gpu, fieldId === 390 ? 391 : 390).at(-1)?.value;
    const violation = violationOf({ version, fieldId, series, injected, thresholds, otherPages });
    if (violation === undefined) return;
    for (const listener of listeners) {
      if (listener.slots.take(gpu.id, violation.policy, injected.stampUs))
        listener.callback(violation, gpu.id);
    }
  }

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
        if (set && (!keepThresholds || thresholds === undefined)) thresholds = policyThresholds;
        watchAll(policyFields, { owner: 'policy', connection }, policyWatch);
        listeners.push({ connection, callback, slots: createAlertSlots() });
      },
      enableHealth(systems = healthSystems) {
        use();
        for (const system of systems) healthOn.add(system);
        const owner = { owner: 'health', connection } as const;
        watchAll(healthFieldsOf(version, systems), owner, healthWatch);
        if (systems.includes('InfoROM')) watchAll([84], owner, informWatch);
      },
      watchFields(group, fieldIds) {
        use();
        groups.push({ id: nextGroup, name: group, fields: [...fieldIds], connection });
        nextGroup += 1;
        watchAll(fieldIds, { owner: 'client', connection }, clientWatch);
      },
      healthCheck() {
        use();
        return check();
      },
      valuesSince(sinceMs) {
        use();
        const fieldIds = groups
          .filter((group) => group.connection === connection)
          .flatMap((group) => group.fields);
        return gpus.flatMap((gpu) => fieldIds.flatMap((fieldId) => valuesOf(gpu, fieldId, sinceMs)));
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
        listeners = listeners.filter((listener) => listener.connection !== connection);
        groups = groups.filter((group) => group.connection !== connection);
        cache.forget(connection);
      },
    };
  }

  function valuesOf(gpu: EngineGpuOptions, fieldId: number, sinceMs: number): FieldValue[] {
    const nowUs = clock.now() * 1000;
    return cache
      .samples(gpu, fieldId)
      .filter((sample) => sample.stampUs >= sinceMs * 1000 && sample.stampUs <= nowUs)
      .map(({ value = blankInt64, stampUs }) => ({
        gpuId: gpu.id,
        fieldId,
        value,
        atMs: Math.floor(stampUs / 1000),
      }));
  }

  function check(): Incident[] {
    return gpus.flatMap((gpu) => [
      ...xidIncidents(version, { gpuId: gpu.id, name: gpu.name }, xids.get(gpu.id) ?? []),
      ...fieldIncidents(
        version,
        { gpuId: gpu.id, name: gpu.name, samples: (fieldId) => cache.samples(gpu, fieldId) },
        healthOn,
        clock.now(),
      ),
    ]);
  }

  function rememberXid({ id, name }: EngineGpuOptions, xid: number): void {
    // Before the first health watch an Xid leaves nothing behind (measured).
    if (!isXidKept(version, { name }, xid, healthOn)) return;
    const known = xids.get(id) ?? new Set();
    xids.set(id, known.add(xid));
  }

  function end(next: 'stopped' | 'running'): void {
    state = next;
    life += 1;
    blind = false;
    healthOn.clear();
    thresholds = undefined;
    listeners = [];
    groups = [];
    xids.clear();
    cache.clear();
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
    isBlind: () => blind,
    isHealthOn: () => healthOn.size > 0,
    connect,
    /** As `dcgmi test --inject` does after it has read its arguments; false: no such GPU. */
    inject(injection: {
      gpuId: number;
      fieldId: number;
      value: number | undefined;
      text: string;
      stampMs: number;
    }): boolean {
      const { gpuId, fieldId, value, text, stampMs } = injection;
      const gpu = gpus.find((candidate) => candidate.id === gpuId);
      if (gpu === undefined) return false;
      const sample: Sample = { stampUs: stampMs * 1000, value, text };
      const series = cache.inject(gpu, fieldId, sample);
      if (fieldId === xidField && value !== undefined) rememberXid(gpu, value);
      if (cache.isWatchedBy(gpu, fieldId, 'policy')) tellListeners(gpu, fieldId, series, sample);
      return true;
    },
    facts: (gpuId: number, fieldId: number): EntryFacts | undefined => cache.facts(gpuId, fieldId),
    fieldGroups: (): readonly FieldGroupFacts[] => [...internalGroups, ...groups],
    healthCheck: check,
    /** `dcgmi policy --set` by somebody else. */
    setThresholds(given: PolicyThresholds): void {
      thresholds = given;
    },
    /**
     * A record of the kernel log. The engine knows 79, 119 and 120: they reach the cache and raise no alert; 119 at an
     * address of its own makes it stop asking the driver, until it is restarted (measured).
     */
    readKernelRecord(raw: string): void {
      if (state !== 'running') return;
      const [, address, xid] = /^\d+,\d+,\d+,.*;NVRM: Xid \(PCI:(.*)\): (79|119|120),.*/.exec(raw) ?? [];
      const gpu = address === undefined ? undefined : gpus.find((candidate) => isAt(candidate.pci, address));
      if (gpu === undefined || xid === undefined) return;
      cache.inject(gpu, xidField, { stampUs: clock.now() * 1000, value: Number(xid), text: xid });
      if (xid === '119') blind = true;
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
