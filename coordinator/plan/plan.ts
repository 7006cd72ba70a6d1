import Type, { type Static } from 'typebox';
import { chooseEngine, gpuIdFor, namesOf } from '../../shared/engines/choose.ts';
import { Refusal } from '../../shared/errors.ts';
import { type GpuIdentity, identifyGpu, type NvmlAnswer } from '../../shared/gpu-identity.ts';
import { engineNamed, gpuNamed, isForced, surfacesOfOrder } from '../../shared/orders/call.ts';
import { type PciAddress, parsePci } from '../../shared/pci.ts';
import type { HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import { AgentOrder, type MethodCall } from '../../shared/schemas/order.ts';
import type { EngineSelector, GpuSelector } from '../../shared/schemas/order-members.ts';
import { faults } from '../catalogue/catalogue.ts';
import type { ChannelReaction } from '../catalogue/channels/channel.ts';
import { channelOf } from '../catalogue/channels.ts';
import { Expectation } from '../catalogue/expectation.ts';
import { type FoundNmaVersion, findNmaVersion } from '../catalogue/nma/versions.ts';
import { findFault, resolveParameters } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { links as allLinks, type LinkRow } from '../drill/links.ts';
import { ChainLink, type ExperimentSpec } from '../store/experiment.ts';
import { type DrillFacts, type Facts, isUnread } from '../view/facts.ts';
import { isAutoNode } from '../view/node.ts';
import { createChain, resolveExpectation } from './chain.ts';
import { withoutReach } from './inject-only.ts';
import { controlsFor } from './negative.ts';
import { sustainedUntilTaken } from './sustained.ts';

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
    isAuto: isAutoNode({ metadata: node }),
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
    isAuto: isAutoNode({ metadata: { labels } }),
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
function engineOf({ inventory }: TargetContext, asked: EngineAsked): HostEngineFacts | undefined {
  return inventory && found(() => chooseEngine(inventory.engines, asked.selector, asked.force));
}

/** Which engine the request names, and whether it may be one without a listener. */
export type EngineAsked = { readonly selector: EngineSelector | undefined; readonly force: boolean };

/** The GPU that is meant; undefined: not found, or the inventory is not known. */
function gpuOf({ inventory }: TargetContext, selector: GpuSelector): GpuIdentity | undefined {
  return inventory && found(() => identifyIn(inventory, selector));
}

/** The engine's number of the GPU; undefined: it does not list it. */
function gpuIdIn(engine: HostEngineFacts, gpu: GpuIdentity): number | undefined {
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

/** What one node's plan is made of. */
export type PlanInput = {
  readonly spec: ExperimentSpec;
  readonly node: string;
  /** Unique to this experiment and node; the same again gives the same order. */
  readonly orderId: string;
  /** Six characters of [0-9a-z] that are new in each order. */
  readonly marker: string;
  readonly context: TargetContext;
  /** The catalogue, if it is another. */
  readonly rows?: readonly FaultRow[];
  /** The rows of the chain's links, if they are others. */
  readonly links?: readonly LinkRow[];
  /** true: where nothing is known to follow and nothing is said, it is planned as a negative drill, not refused. */
  readonly orNone?: boolean;
};

/** What will be done to one node and what must follow, as it is answered. */
export const PlannedTarget = Type.Object({
  node: Type.String(),
  order: AgentOrder,
  parameters: Type.Record(Type.String(), Type.Unknown(), { description: 'completed by the defaults' }),
  expectation: Expectation,
  chain: Type.Array(ChainLink, {
    description: 'the links of the drill, in the order in which they are carried out',
  }),
});

/** All that carrying a drill out on one node needs, and what it was made from. */
export type TargetPlan = Static<typeof PlannedTarget> & {
  readonly row: FaultRow;
  readonly place: OrderPlace;
  /** What a healthy monitoring agent shows for the order, the expected reaction first. */
  readonly reacting: readonly ChannelReaction[];
};

/** Pure: the same input gives the same plan. Refuses what cannot be injected or judged anywhere, naming the field. */
export function planTarget(input: PlanInput): TargetPlan {
  const { spec, node, orderId, marker, context, rows = faults, links = allLinks, orNone = false } = input;
  const row = findFault(spec.fault.name, rows);
  if (spec.target?.gpu?.pci !== undefined) parsePci(spec.target.gpu.pci, 'target.gpu.pci');
  const parameters = resolveParameters(row, spec.fault.parameters ?? {}, marker);
  const work = { channel: row.channel, parameters, gpu: spec.target?.gpu, marker };
  const channel = channelOf(row.channel);
  const nma = judgingVersion(context).row;
  // First, because it checks the parameters by their own names.
  const call = channel.order(work);
  const place = placeOf(call, context);
  const { engine, engineVersion, gpuName } = place;
  const on = { nma, engineVersion, gpuName };
  const reacting = channel.reactions(work, on);
  const asked = spec.expectation ?? (reacting.length === 0 && orNone ? { none: true } : {});
  const expectation = resolveExpectation(
    asked,
    { ...work, row, reacting },
    { ...on, isEngineAssumed: surfacesOfOrder(call).includes('dcgm') && !engine?.version },
    call,
  );
  const order = { orderId, ...(expectation.kind === 'ignored' ? withoutReach(call, parameters) : call) };
  const controls = expectation.kind === 'none' ? controlsFor(order, nma, marker) : [];
  const usual = createChain(links, { order, expectation, asked, reacting }, controls);
  const untilTaken = sustainedUntilTaken(order, { chain: usual, reacting, nma });
  if (untilTaken === undefined)
    return { node, row, parameters: { ...parameters }, order, place, expectation, chain: usual, reacting };
  const sustained = { ...untilTaken, orderId };
  const chain = createChain(links, { order: sustained, expectation, asked, reacting }, controls);
  return { node, row, parameters: { ...parameters }, order: sustained, place, expectation, chain, reacting };
}

/** What a drill looks like to a diagnosis before anything is ordered. */
export function plannedDrill(
  { order, expectation }: Pick<DrillFacts, 'order' | 'expectation'>,
  fault: string,
): DrillFacts {
  return {
    fault,
    order,
    expectation,
    receipt: undefined,
    refusal: undefined,
    conditionBefore: undefined,
    timeline: [],
    waitedUntil: undefined,
  };
}

/** Where an order goes on this node, by what it names and what is known of the node. */
export function placeOf(order: MethodCall, target: TargetContext): OrderPlace {
  const selector = gpuNamed(order);
  const gpu = selector === undefined ? undefined : gpuOf(target, selector);
  const engine = engineOf(target, { selector: engineNamed(order), force: isForced(order) });
  const gpuId = engine === undefined || gpu === undefined ? undefined : gpuIdIn(engine, gpu);
  return {
    gpu,
    engine,
    gpuId,
    gpuName: engine?.gpus.find(({ id }) => id === gpuId)?.name || gpu?.name,
    engineVersion: engine?.version ?? judgingVersion(target).row.engineVersion,
  };
}
