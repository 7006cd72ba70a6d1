import type { Clock } from '../../../shared/clock.ts';
import { xidField } from '../../../shared/dcgm-fields/ids.ts';
import { policyThresholds, type Violation } from '../../catalogue/nma/reactions.ts';
import { createCache, type EntryFacts, type Sample } from './cache.ts';
import {
  fieldIncidents,
  type HealthSystem,
  healthFieldsOf,
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

/** A field group as `dcgmi fieldgroup -l` lists it. */
export type FieldGroupFacts = {
  readonly id: number;
  readonly name: string;
  readonly fields: readonly number[];
};

/** One value as `dcgmi test --inject` writes it. */
type Injection = {
  readonly gpuId: number;
  readonly fieldId: number;
  readonly value: number | undefined;
  readonly text: string;
  readonly stampMs: number;
};

/** A registration for the alerts of policies. */
type Registration = {
  readonly connection: number;
  readonly callback: PolicyCallback;
  readonly keepThresholds: boolean;
  readonly set: boolean;
};

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
 * What a host engine holds in memory: the cache, and who watches, listens and has switched on what. All of it ends with the
 * process.
 */
export function createMemory(options: {
  readonly clock: Clock;
  readonly version: string;
  readonly gpus: readonly EngineGpuOptions[];
}) {
  const { clock, version, gpus } = options;
  let nextGroup = internalGroups.length + 1;
  let blind = false;
  let thresholds: PolicyThresholds | undefined;
  let listeners: Listener[] = [];
  let groups: (FieldGroupFacts & { readonly connection: number })[] = [];
  const health = createHealth(version);
  const cache = createCache({
    clock,
    isBlind: () => blind,
    // A reading of the driver counts as much as an injection: a total above the injected one is an increase.
    onPoll: (gpu, fieldId, series, sample) => alertListeners(gpu, fieldId, series, sample),
  });

  function watchAll(
    fieldIds: readonly number[],
    watcher: { owner: 'policy' | 'health' | 'client'; connection: number },
    span: { intervalMs: number; maxAgeMs: number },
  ): void {
    for (const gpu of gpus)
      for (const fieldId of fieldIds) cache.watch(gpu, fieldId, { ...watcher, ...span });
  }

  function alertListeners(
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

  return {
    isBlind: () => blind,
    isHealthOn: health.isOn,
    registerPolicies({ connection, callback, keepThresholds, set }: Registration): void {
      if (set && (!keepThresholds || thresholds === undefined)) thresholds = policyThresholds;
      watchAll(policyFields, { owner: 'policy', connection }, policyWatch);
      listeners.push({ connection, callback, slots: createAlertSlots() });
    },
    enableHealth(connection: number, systems: readonly HealthSystem[]): void {
      health.enable(systems);
      const owner = { owner: 'health', connection } as const;
      watchAll(healthFieldsOf(version, systems), owner, healthWatch);
      if (systems.includes('InfoROM')) watchAll([84], owner, informWatch);
    },
    watchFields(connection: number, group: string, fieldIds: readonly number[]): void {
      groups.push({ id: nextGroup, name: group, fields: [...fieldIds], connection });
      nextGroup += 1;
      watchAll(fieldIds, { owner: 'client', connection }, clientWatch);
    },
    valuesSince(connection: number, sinceMs: number): FieldValue[] {
      const fieldIds = groups
        .filter((group) => group.connection === connection)
        .flatMap((group) => group.fields);
      const nowMs = clock.now();
      return gpus.flatMap((gpu) =>
        fieldIds.flatMap((fieldId) =>
          valuesOf(cache.samples(gpu, fieldId), { gpu, fieldId, sinceMs, nowMs }),
        ),
      );
    },
    check: (): Incident[] =>
      gpus.flatMap((gpu) => health.check(gpu, (fieldId) => cache.samples(gpu, fieldId), clock.now())),
    /** As `dcgmi test --inject` does after it has read its arguments; false: no such GPU. */
    inject({ gpuId, fieldId, value, text, stampMs }: Injection): boolean {
      const gpu = gpus.find((candidate) => candidate.id === gpuId);
      if (gpu === undefined) return false;
      const sample: Sample = { stampUs: stampMs * 1000, value, text };
      const series = cache.inject(gpu, fieldId, sample);
      if (fieldId === xidField && value !== undefined) health.remember(gpu, value);
      if (cache.isWatchedBy(gpu, fieldId, 'policy')) alertListeners(gpu, fieldId, series, sample);
      return true;
    },
    /** From the kernel log: it reaches the cache and raises no alert; 119 makes the engine blind (measured). */
    learnXid(gpu: EngineGpuOptions, xid: number): void {
      cache.inject(gpu, xidField, { stampUs: clock.now() * 1000, value: xid, text: String(xid) });
      if (xid === 119) blind = true;
    },
    facts: (gpuId: number, fieldId: number): EntryFacts | undefined => cache.facts(gpuId, fieldId),
    fieldGroups: (): readonly FieldGroupFacts[] => [...internalGroups, ...groups],
    /** `dcgmi policy --set` by somebody else. */
    setThresholds(given: PolicyThresholds): void {
      thresholds = given;
    },
    /** A connection has ended. */
    forget(connection: number): void {
      listeners = listeners.filter((listener) => listener.connection !== connection);
      groups = groups.filter((group) => group.connection !== connection);
      cache.forget(connection);
    },
    /** The process has ended. */
    clear(): void {
      blind = false;
      health.clear();
      thresholds = undefined;
      listeners = [];
      groups = [];
      cache.clear();
    },
  };
}

/** Which health watches are on, and the Xids that the engine has not forgotten. */
function createHealth(version: string) {
  const on = new Set<HealthSystem>();
  const xids = new Map<number, Set<number>>();
  return {
    isOn: () => on.size > 0,
    enable(systems: readonly HealthSystem[]): void {
      for (const system of systems) on.add(system);
    },
    remember({ id, name }: EngineGpuOptions, xid: number): void {
      // Before the first health watch an Xid leaves nothing behind (measured).
      if (!isXidKept(version, { name }, xid, on)) return;
      const known = xids.get(id) ?? new Set();
      xids.set(id, known.add(xid));
    },
    check: (
      { id, name }: EngineGpuOptions,
      samples: (fieldId: number) => readonly Sample[],
      nowMs: number,
    ): Incident[] => [
      ...xidIncidents(version, { gpuId: id, name }, xids.get(id) ?? []),
      ...fieldIncidents(version, { gpuId: id, name, samples }, on, nowMs),
    ],
    clear(): void {
      on.clear();
      xids.clear();
    },
  };
}

function valuesOf(
  samples: readonly Sample[],
  {
    gpu,
    fieldId,
    sinceMs,
    nowMs,
  }: {
    readonly gpu: EngineGpuOptions;
    readonly fieldId: number;
    readonly sinceMs: number;
    readonly nowMs: number;
  },
): FieldValue[] {
  return samples
    .filter(({ stampUs }) => stampUs >= sinceMs * 1000 && stampUs <= nowMs * 1000)
    .map(({ value = blankInt64, stampUs }) => ({
      gpuId: gpu.id,
      fieldId,
      value,
      atMs: Math.floor(stampUs / 1000),
    }));
}
