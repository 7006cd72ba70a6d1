import { Refusal } from './errors.ts';
import { isSamePci, type PciAddress, parsePci, pciToSysfs } from './pci.ts';
import type { GpuFacts, HostEngineFacts } from './schemas/inventory.ts';
import type { GpuSelector } from './schemas/order-members.ts';
import type { AddressIsGpu } from './xid/guard.ts';

/** NVML's answer, or why there is none. */
export type NvmlAnswer =
  | { readonly available: true; readonly driverVersion: string; readonly gpus: readonly GpuFacts[] }
  | {
      readonly available: false;
      readonly because: string;
      /** Its library or the driver's devices are not visible to the agent; whether the node has them does not show. */
      readonly isUnseen?: true;
    };

/** A GPU as far as this node can tell. Joined by UUID and PCI address only: NVML index and DCGM id are positions. */
export type GpuIdentity = {
  readonly pci?: PciAddress;
  readonly uuid?: string;
  readonly name?: string;
  /** NVML's index; undefined: NVML does not answer. */
  readonly index?: number;
  readonly driverVersion?: string;
  /** What a reader of the receipt should know about how the GPU was found. */
  readonly notes: readonly string[];
};

type Known = { readonly index?: number; readonly uuid: string; readonly pci: string; readonly name?: string };

/**
 * Finds the GPU that is meant: in NVML, else in what the host engines list. With neither, an address is taken as it is
 * (a node without GPU can still show what a line looks like), and an index or UUID is refused. Where only host engines list
 * GPUs, the first one of theirs stands for the first one of NVML, and a note says so; other indexes are NVML's own.
 */
export function identifyGpu(
  selector: GpuSelector,
  nvml: NvmlAnswer,
  engines: readonly EngineList[],
): GpuIdentity {
  const pci = selector.pci === undefined ? undefined : parsePci(selector.pci, 'gpu.pci');
  const fromEngines = engines.flatMap((engine) => engine.gpus.filter((gpu) => hasAddress(gpu)));
  const known: readonly Known[] = nvml.available ? openable(nvml) : fromEngines;
  const found = known.find((gpu) => isMeant(gpu, selector, pci));
  if (found === undefined && !nvml.available && selector.index === firstGpu.index) {
    const first = firstOf(engines);
    if (first !== undefined) return { ...first, notes: [`${first.notes.join('')}: ${nvml.because}`] };
  }
  if (found !== undefined) {
    return {
      pci: parsePci(found.pci),
      uuid: found.uuid,
      ...(found.name === undefined || found.name === '' ? {} : { name: found.name }),
      ...(found.index === undefined ? {} : { index: found.index }),
      ...(nvml.available ? { driverVersion: nvml.driverVersion } : {}),
      notes: nvml.available ? [] : [`GPU taken from a host engine's list: ${nvml.because}`],
    };
  }
  if (!nvml.available && known.length === 0 && pci !== undefined) {
    return {
      pci,
      notes: [`${pciToSysfs(pci)} was not checked against the GPUs of this node: ${nvml.because}`],
    };
  }
  throw unknownGpu(selector, nvml, known);
}

/** What is needed of an engine to find a GPU by its list. */
type EngineList = Pick<HostEngineFacts, 'gpus' | 'pid'> & Partial<Pick<HostEngineFacts, 'nma'>>;

/** The GPU with the lowest number in the monitoring agent's engine, else in any. */
function firstOf(engines: readonly EngineList[]): GpuIdentity | undefined {
  const ordered = engines.toSorted(
    (left, right) => Number(right.nma?.listening ?? false) - Number(left.nma?.listening ?? false),
  );
  for (const { pid, gpus } of ordered) {
    const first = gpus.filter(hasAddress).toSorted((left, right) => left.id - right.id)[0];
    if (first === undefined) continue;
    return {
      pci: parsePci(first.pci),
      uuid: first.uuid,
      ...(first.name === '' ? {} : { name: first.name }),
      notes: [
        `the first GPU was taken from the list of the host engine with pid ${pid}, where it is GPU ${first.id}, because NVML does not answer`,
      ],
    };
  }
  return undefined;
}

/** Whether an address in a kernel-log line is a GPU here; only NVML's own list can say no. */
export function addressIsGpu(address: string, nvml: NvmlAnswer): AddressIsGpu {
  if (!nvml.available || nvml.gpus.some(({ pci }) => pci === '')) return 'unknown';
  try {
    const pci = parsePci(address);
    return nvml.gpus.some((gpu) => isSamePci({ ...parsePci(gpu.pci), function: 0 }, { ...pci, function: 0 }))
      ? 'yes'
      : 'no';
  } catch {
    // A reader may be less strict about the spelling than we are.
    return 'unknown';
  }
}

/** A blinded engine prints `<<<NULL>>>` in place of an address. */
function hasAddress(gpu: { readonly pci: string }): boolean {
  try {
    parsePci(gpu.pci);
    return true;
  } catch {
    return false;
  }
}

/** A GPU that NVML counts but cannot open has neither address nor UUID. */
function openable(nvml: Extract<NvmlAnswer, { available: true }>) {
  return nvml.gpus.filter(({ pci }) => pci !== '');
}

function isMeant(gpu: Known, selector: GpuSelector, pci: PciAddress | undefined): boolean {
  if (pci !== undefined) return isSamePci(parsePci(gpu.pci), pci);
  if (selector.uuid !== undefined) return gpu.uuid.toLowerCase() === selector.uuid.toLowerCase();
  return gpu.index !== undefined && gpu.index === selector.index;
}

function unknownGpu(selector: GpuSelector, nvml: NvmlAnswer, known: readonly Known[]): Refusal {
  const [key = 'gpu', value] = Object.entries(selector)[0] ?? [];
  const list = known.map((gpu) =>
    [gpu.index, gpu.uuid, gpu.pci].filter((part) => part !== undefined).join(' '),
  );
  const why = nvml.available
    ? `this node has ${list.join(', ') || 'no GPU'}`
    : `NVML does not answer (${nvml.because}), and ${list.length === 0 ? 'without it only a PCI address can be used' : `the host engines list ${list.join(', ')}`}`;
  const first = selector.index === firstGpu.index ? ', which is taken where no GPU was named' : '';
  return new Refusal('gpu_unknown', `gpu.${key}: no GPU ${String(value)}${first}; ${why}`, {
    field: `gpu.${key}`,
    value,
    allowed: known.map((gpu) => ({ ...gpu })),
    because: why,
    remedy: remedyFor(nvml, list),
  });
}

function remedyFor(nvml: NvmlAnswer, list: readonly string[]): string {
  if (nvml.available) return list.length === 0 ? 'choose a node with a GPU' : 'ListGpus shows them';
  const names = list.length === 0 ? 'its PCI address' : 'its UUID or PCI address';
  return `name the GPU by ${names}, or repair NVML on this node`;
}

/** By NVML index: an order that names no GPU takes it, and its receipt says which it is. */
export const firstGpu: GpuSelector = { index: 0 };
