import { type FoundNmaVersion, findNmaVersion, nmaVersions } from '../../shared/nma/versions.ts';
import { type PciAddress, parsePci } from '../../shared/pci.ts';
import type { HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import type { EngineSelector, GpuSelector } from '../../shared/schemas/order.ts';
import { type Facts, isUnread } from '../facts/facts.ts';

/** What is known of a node when it is planned for; whatever is absent is unknown, and proves nothing. */
export type TargetContext = {
  readonly architecture?: string;
  readonly instanceType?: string;
  /** EKS Auto: the arm64 gate does not hold there. */
  readonly isAuto?: boolean;
  /** status.allocatable["nvidia.com/gpu"]. */
  readonly allocatableGpus?: number;
  readonly nma?: FoundNmaVersion;
  /** Plugins that its configuration switches off. */
  readonly disabledPlugins?: readonly string[];
  /** false: no agent is known for the node. */
  readonly hasAgent?: boolean;
  readonly inventory?: Inventory;
  /** Why there is no inventory, where it was asked for. */
  readonly inventoryUnread?: string;
};

export function contextFromFacts({ node, nma, agent }: Facts): TargetContext {
  return {
    ...(node.architecture === '' ? {} : { architecture: node.architecture }),
    ...(node.instanceType === undefined ? {} : { instanceType: node.instanceType }),
    isAuto: node.labels['eks.amazonaws.com/compute-type'] === 'auto',
    allocatableGpus: node.allocatableGpus,
    ...(nma.version === undefined ? {} : { nma: nma.version }),
    disabledPlugins: nma.disabledPlugins,
    hasAgent: agent.url !== undefined,
    ...(isUnread(agent.inventory)
      ? { inventoryUnread: agent.inventory.unread }
      : { inventory: agent.inventory }),
  };
}

/** What the labels of the Node object say: enough for what follows, not for what is refused. */
export function contextFromLabels(
  labels: Readonly<Record<string, string>>,
  nma: FoundNmaVersion | undefined,
): TargetContext {
  const architecture = labels['kubernetes.io/arch'];
  const instanceType = labels['node.kubernetes.io/instance-type'];
  return {
    ...(architecture === undefined ? {} : { architecture }),
    ...(instanceType === undefined ? {} : { instanceType }),
    isAuto: labels['eks.amazonaws.com/compute-type'] === 'auto',
    ...(nma === undefined ? {} : { nma }),
  };
}

/** The version that judges: the one that was found, else the newest known, and it says so. */
export function judgingVersion({ nma }: TargetContext): FoundNmaVersion {
  return nma ?? newest;
}

const newest: FoundNmaVersion = {
  ...findNmaVersion(nmaVersions.at(-1)?.version ?? ''),
  exact: false,
  note: 'its version was not found on the node; judged by the newest known',
};

/** The engine that the agent would take: the one that is named, else the one that is listened on, else, by force, the only one. */
export function engineOf(
  { inventory }: TargetContext,
  { selector, force }: { readonly selector: EngineSelector | undefined; readonly force: boolean },
): HostEngineFacts | undefined {
  const engines = inventory?.engines ?? [];
  if (selector !== undefined) return engines.find((engine) => isNamed(engine, selector));
  const listened = engines.filter(({ nma }) => nma.listening);
  if (listened.length > 0) return listened.length === 1 ? listened[0] : undefined;
  return force && engines.length === 1 ? engines[0] : undefined;
}

export function isNamed(engine: HostEngineFacts, { pid, address }: EngineSelector): boolean {
  return pid === undefined ? engine.address === address : engine.pid === pid;
}

/** A GPU as far as the inventory tells; joined by UUID and address, as NVML index and DCGM id are mere positions. */
export type KnownGpu = {
  readonly pci: PciAddress;
  readonly pciText: string;
  readonly uuid: string;
  readonly name: string;
  readonly migEnabled: boolean | null;
};

export function gpuOf({ inventory }: TargetContext, selector: GpuSelector): KnownGpu | undefined {
  const found = inventory?.gpus.find((gpu) => isMeant(gpu, selector));
  const pci = addressOf(found?.pci);
  if (found === undefined || pci === undefined) return undefined;
  return { pci, pciText: found.pci, uuid: found.uuid, name: found.name, migEnabled: found.migEnabled };
}

function isMeant(gpu: Inventory['gpus'][number], { index, uuid, pci }: GpuSelector): boolean {
  if (pci !== undefined) return isSameAddress(gpu.pci, pci);
  if (uuid !== undefined) return gpu.uuid.toLowerCase() === uuid.toLowerCase();
  return gpu.index === index;
}

/** DCGM's number of the GPU in that engine's own list; undefined: it is not in it. */
export function gpuIdIn(engine: HostEngineFacts, gpu: KnownGpu): number | undefined {
  return engine.gpus.find(
    (candidate) =>
      candidate.uuid.toLowerCase() === gpu.uuid.toLowerCase() && isSameAddress(candidate.pci, gpu.pciText),
  )?.id;
}

function isSameAddress(left: string, right: string): boolean {
  const [a, b] = [addressOf(left), addressOf(right)];
  return (
    a !== undefined && b !== undefined && a.domain === b.domain && a.bus === b.bus && a.device === b.device
  );
}

/** undefined: what a blinded engine or a lost GPU prints in place of an address. */
export function addressOf(text: string | undefined): PciAddress | undefined {
  try {
    return text === undefined ? undefined : parsePci(text);
  } catch {
    return undefined;
  }
}
