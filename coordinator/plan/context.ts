import { chooseEngine, gpuIdFor, namesOf } from '../../shared/engines/choose.ts';
import { Refusal } from '../../shared/errors.ts';
import { type GpuIdentity, identifyGpu, type NvmlAnswer } from '../../shared/gpu-identity.ts';
import { type PciAddress, parsePci } from '../../shared/pci.ts';
import type { HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import type { EngineSelector, GpuSelector } from '../../shared/schemas/order-members.ts';
import { type FoundNmaVersion, findNmaVersion } from '../catalogue/nma/versions.ts';
import { type Facts, isUnread } from '../view/facts.ts';

/** What is known of a node when it is planned for; whatever is absent is unknown, and proves nothing. */
export type TargetContext = {
  readonly architecture?: string;
  readonly instanceType?: string;
  /** EKS Auto: the arm64 gate does not hold there. */
  readonly isAuto?: boolean;
  /** status.allocatable["nvidia.com/gpu"]. */
  readonly hasGpu?: boolean;
  readonly nma?: FoundNmaVersion;
  /** Plugins that its configuration switches off. */
  readonly disabledPlugins?: readonly string[];
  /** false: no agent is known for the node. */
  readonly hasAgent?: boolean;
  readonly inventory?: Inventory;
  /** Why there is no inventory, where it was asked for. */
  readonly inventoryUnread?: string;
};

/** The facts of a node, reduced to what a plan depends on. */
export function contextFromFacts({ node, nma, agent }: Facts): TargetContext {
  return {
    ...(node.architecture === '' ? {} : { architecture: node.architecture }),
    ...(node.instanceType === undefined ? {} : { instanceType: node.instanceType }),
    isAuto: node.labels['eks.amazonaws.com/compute-type'] === 'auto',
    hasGpu: node.hasGpu,
    ...(nma.version === undefined ? {} : { nma: nma.version }),
    disabledPlugins: nma.disabledPlugins,
    ...(agent.directory === undefined ? { hasAgent: agent.url !== undefined } : {}),
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

/** Where an order goes on one node; what is undefined is unknown. */
export type OrderPlace = {
  readonly gpu: GpuIdentity | undefined;
  /** The host engine that is written to. */
  readonly engine: HostEngineFacts | undefined;
  /** The engine's own, or the one that the chart of the judging NMA version installs. */
  readonly engineVersion: string;
  /** The GPU's number in the engine. */
  readonly gpuId: number | undefined;
  /** Of the GPU, as the engine or NVML names it. */
  readonly gpuName: string | undefined;
};

/** The version that judges: the one that was found, else the newest known, and it says so. */
export function judgingVersion({ nma }: TargetContext): FoundNmaVersion {
  return nma ?? findNmaVersion(undefined);
}

/** What the agent would find with the same functions; undefined: it would refuse, or nothing is known of the node. */
export function engineOf({ inventory }: TargetContext, asked: EngineAsked): HostEngineFacts | undefined {
  return inventory && found(() => chooseEngine(inventory.engines, asked.selector, asked.force));
}

/** Which engine the request names, and whether it may be one without a listener. */
export type EngineAsked = { readonly selector: EngineSelector | undefined; readonly force: boolean };

/** The GPU that is meant; undefined: not found, or the inventory is not known. */
export function gpuOf({ inventory }: TargetContext, selector: GpuSelector): GpuIdentity | undefined {
  return inventory && found(() => identifyIn(inventory, selector));
}

/** The engine's number of the GPU; undefined: it does not list it. */
export function gpuIdIn(engine: HostEngineFacts, gpu: GpuIdentity): number | undefined {
  return found(() => gpuIdFor(engine, namesOf(gpu)));
}

/** As the agent looks: host engines only where NVML does not answer. */
export function identifyIn(inventory: Inventory, selector: GpuSelector): GpuIdentity {
  const nvml = nvmlAnswerOf(inventory);
  return identifyGpu(selector, nvml, nvml.available ? [] : inventory.engines);
}

/** What NVML answered when the inventory was read. */
export function nvmlAnswerOf({ capabilities, driverVersion, gpus }: Inventory): NvmlAnswer {
  const nvml = capabilities.find(({ name }) => name === 'nvml');
  if (nvml?.available !== false) return { available: true, driverVersion: driverVersion ?? '', gpus };
  return { available: false, because: nvml.because ?? 'not said why' };
}

function found<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (thrown) {
    if (thrown instanceof Refusal) return undefined;
    throw thrown;
  }
}

/** undefined: what a blinded engine or a lost GPU prints in place of an address. */
export function addressOf(text: string | undefined): PciAddress | undefined {
  return text === undefined ? undefined : found(() => parsePci(text));
}
