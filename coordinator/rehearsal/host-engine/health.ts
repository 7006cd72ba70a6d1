import { compareVersions } from '../../../shared/compare-versions.ts';
import { xidHealthIncident } from '../../../shared/dcgm-fields/health-codes.ts';
import { lifetimeCounters, xidField } from '../../../shared/dcgm-fields/ids.ts';
import { isCurrent } from '../../../shared/dcgm-fields/reach.ts';
import type { Effect, FieldRow } from '../../../shared/dcgm-fields/row.ts';
import { fieldRows } from '../../../shared/dcgm-fields/rows.ts';
import { isMatch } from '../../../shared/dcgm-fields/rule.ts';
import type { Sample } from './cache.ts';

/** One finding of a health check. */
export type Incident = {
  readonly gpuId: number;
  readonly system: string;
  /** DCGM_FR_… (dcgm_errors.h). */
  readonly code: number;
  readonly result: 'WARN' | 'FAIL';
  readonly message: string;
  /** From a counter over the life of the board. */
  readonly lifetimeCounter: boolean;
};

type HealthEffect = Extract<Effect, { kind: 'health' }>;

/** "Window" checks look this far back and as far ahead as there are samples (dcgm.md §3). */
const windowMs = 60_000;

/** PCIe replays a minute and 16 lanes that are still healthy, by generation (DcgmGPUHardwareLimits.h). */
const replayLimits: Readonly<Record<number, number>> = { 3: 8, 4: 16, 5: 31, 6: 62 };

/** As `dcgmi health --set` has them; `t` sets thermal and power together. */
export const healthSystems = ['PCIe', 'NVLink', 'Memory', 'InfoROM', 'Thermal', 'Power', 'Driver'] as const;
/** A group of health checks that is switched on by itself (dcgm_structs.h, dcgmHealthSystems_t). */
export type HealthSystem = (typeof healthSystems)[number];

const checks: readonly { readonly row: FieldRow; readonly effects: readonly HealthEffect[] }[] = fieldRows
  // Xids have a memory of their own.
  .filter((row) => row.sticky !== true)
  .map((row) => ({
    row,
    // IMEX (122) is about the whole system, and NMA drops it.
    effects: (row.effects ?? [])
      .filter((effect) => effect.kind === 'health')
      .filter((effect) => effect.code !== 122),
  }))
  .filter((check) => check.effects.length > 0);

/** Read beside the checks: for the limit of replays, and for the text of the fabric incident. */
const besides: Readonly<Partial<Record<HealthSystem, readonly number[]>>> = {
  PCIe: [237, 238],
  NVLink: [171],
};

/** What the engine reads every 30 s for these systems; an older engine has fewer checks. */
export function healthFieldsOf(version: string, systems: readonly HealthSystem[]): readonly number[] {
  const checked = checks
    .filter(({ row }) => row.polledSeconds === undefined)
    .filter(({ effects }) =>
      effects.some((effect) => isCurrent(effect, { engineVersion: version }) && isOn(effect.system, systems)),
    )
    .map(({ row }) => row.id);
  const more = systems.flatMap((system) => besides[system] ?? []);
  return [...(isXidWatched(systems) ? [xidField] : []), ...checked, ...more];
}

/** Xids come by way of the watch of the memory or of the InfoROM, with any other one alone none does (measured). */
function isXidWatched(systems: readonly HealthSystem[]): boolean {
  return systems.includes('Memory') || systems.includes('InfoROM');
}

function isOn(system: string, systems: Iterable<HealthSystem>): boolean {
  return [...systems].some((on) => on.toLowerCase() === system.toLowerCase());
}

/** The worst Xids are remembered from wherever they come, the others only if their own system is watched (measured). */
export function isXidKept(
  version: string,
  gpu: Pick<GpuSeries, 'name'>,
  xid: number,
  systems: ReadonlySet<HealthSystem>,
): boolean {
  if (!isXidWatched([...systems])) return false;
  const system = xidHealthIncident(version, xid, gpu.name)?.system;
  return system !== undefined && (system === 'Internal error' || isOn(system, systems));
}

/** What the health checks look at: all samples of one GPU. */
export type GpuSeries = {
  readonly gpuId: number;
  /** Its generation decides which checks it has. */
  readonly name: string;
  readonly samples: (fieldId: number) => readonly Sample[];
};

/** modules/health/DcgmHealthWatch.cpp: one incident a field at most, as far as a GPU's fields can raise one. */
export function fieldIncidents(
  version: string,
  gpu: GpuSeries,
  systems: ReadonlySet<HealthSystem>,
  nowMs: number,
): Incident[] {
  return checks.flatMap(({ row, effects }) => {
    const known = effects.filter(
      (effect) =>
        isCurrent(effect, { engineVersion: version, gpuName: gpu.name }) && isOn(effect.system, systems),
    );
    const found = known
      .map((effect) => judge(row, effect, gpu, nowMs))
      .find((incident) => incident !== undefined);
    return found === undefined ? [] : [found];
  });
}

function judge(row: FieldRow, effect: HealthEffect, gpu: GpuSeries, nowMs: number): Incident | undefined {
  const from = effect.latest === true ? Number.NEGATIVE_INFINITY : (nowMs - windowMs) * 1000;
  const series = gpu.samples(row.id).filter((sample) => sample.stampUs >= from);
  const [first, newest] = [series[0], series.at(-1)];
  if (first === undefined || newest === undefined) return undefined;
  const delta =
    newest.value === undefined || first.value === undefined ? 0 : Math.abs(newest.value - first.value);
  const make = (change: Partial<Incident> = {}): Incident => ({
    gpuId: gpu.gpuId,
    system: effect.system === 'NVLink' ? 'NVLINK' : effect.system,
    code: effect.code,
    result: effect.result,
    message: `Field ${row.id} (${row.what}) of GPU ${gpu.gpuId} is ${newest.text ?? newest.value}.`,
    lifetimeCounter: lifetimeCounters.includes(row.id),
    ...change,
  });

  if (row.id === 202) return delta > replayLimit(gpu) ? make({ message: replayMessage(gpu) }) : undefined;
  if (row.id === 390 || row.id === 391) return retiredPages(row.id, effect, gpu, newest) ? make() : undefined;
  if (effect.rule.op === 'increase' || effect.rule.op === 'change') {
    if (delta < 1) return undefined;
    // 100 CRC errors a second over the window are a failure of their own.
    return (row.id === 409 || row.id === 419) && delta >= 6000 ? make({ code: 70, result: 'FAIL' }) : make();
  }
  // A blank counts for nothing, but for the one check that looks for it: the power cannot be read.
  const text =
    newest.value !== undefined || effect.code === 11 ? (newest.text ?? String(newest.value)) : undefined;
  return text !== undefined && isMatch(effect.rule, text) ? make() : undefined;
}

function retiredPages(fieldId: number, effect: HealthEffect, gpu: GpuSeries, newest: Sample): boolean {
  if (newest.value === undefined) return false;
  if (effect.code === 8) return newest.value > 15;
  // One check of both halves: one incident.
  if (fieldId === 391) return false;
  const other = gpu.samples(fieldId === 390 ? 391 : 390).at(-1)?.value;
  return other !== undefined && newest.value + other >= 63;
}

function replayLimit(gpu: GpuSeries): number {
  const generation = gpu.samples(237).at(-1)?.value ?? 0;
  const lanes = gpu.samples(238).at(-1)?.value ?? 0;
  const limit = replayLimits[generation];
  return limit === undefined ? Number.POSITIVE_INFINITY : Math.ceil((limit * lanes) / 16);
}

function replayMessage(gpu: GpuSeries): string {
  return `Detected more than ${replayLimit(gpu)} PCIe replays per minute for GPU ${gpu.gpuId}.`;
}

const fallenOff =
  'has fallen off the bus Please re-seat the GPU, check for thermal and power issues, and verify that there is no ' +
  'outstanding bug against your driver or BIOS versions. If the issue persists, please run a field diagnostic on the GPU.';

/** The incidents of Xids that the engine has seen; nothing but a restart takes them away. */
export function xidIncidents(
  version: string,
  { gpuId, name }: Pick<GpuSeries, 'gpuId' | 'name'>,
  xids: Iterable<number>,
): Incident[] {
  return [...xids].flatMap((xid) => {
    const found = xidHealthIncident(version, xid, name);
    if (found === undefined) return [];
    const text = xid === 79 ? `GPU ${gpuId} ${fallenOff}` : `Detected XID ${xid} for GPU ${gpuId}.`;
    // The placeholder is DCGM's own slip (measured); the part in brackets came with 4.6.
    const trigger = xid === 79 ? 'GPU %d has fallen off the bus' : found.name;
    const message =
      compareVersions(version, '4.6.0') >= 0 ? `${text}  (triggered by XID ${xid}: ${trigger})` : text;
    return [
      {
        gpuId,
        system: found.system,
        code: found.code,
        result: found.result,
        message,
        lifetimeCounter: false,
      },
    ];
  });
}
