import Type, { type Static } from 'typebox';
import { engineNamed, gpuNamed, isForced } from '../../shared/orders/call.ts';
import { surfacesOfOrder } from '../../shared/orders/surfaces.ts';
import { parsePci } from '../../shared/pci.ts';
import { AgentOrder, type MethodCall } from '../../shared/schemas/order.ts';
import { faults } from '../catalogue/catalogue.ts';
import type { ChannelReaction } from '../catalogue/channels/channel.ts';
import { channelOf } from '../catalogue/channels.ts';
import { Expectation } from '../catalogue/expectation.ts';
import { findFault, resolveParameters } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { links as allLinks, type LinkRow } from '../drill/links.ts';
import { ChainLink, type ExperimentSpec } from '../store/experiment.ts';
import { createChain } from './chain.ts';
import { engineOf, gpuIdIn, gpuOf, judgingVersion, type OrderPlace, type TargetContext } from './context.ts';
import { resolveExpectation } from './expectation.ts';
import { controlsFor } from './negative.ts';

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
  const place = placeOf(call, context, nma.engineVersion);
  const { engine, engineVersion, gpuName } = place;
  const on = { nma, engineVersion, gpuName };
  const reacting = channel.reactions(work, on);
  const asked = spec.expectation ?? (reacting.length === 0 && orNone ? { none: true } : {});
  const expectation = resolveExpectation(
    asked,
    { ...work, row, reacting },
    { ...on, isEngineAssumed: surfacesOfOrder(call).includes('dcgm') && !engine?.version },
  );
  const order = { orderId, ...call };
  const controls = expectation.kind === 'none' ? controlsFor(order, nma, marker) : [];
  const chain = createChain(links, { order, expectation, asked, reacting }, controls);
  return { node, row, parameters: { ...parameters }, order, place, expectation, chain, reacting };
}

/** Where an order goes on this node, by what it names and what is known of the node. */
function placeOf(order: MethodCall, target: TargetContext, usualEngine: string): OrderPlace {
  const selector = gpuNamed(order);
  const gpu = selector === undefined ? undefined : gpuOf(target, selector);
  const engine = engineOf(target, { selector: engineNamed(order), force: isForced(order) });
  const gpuId = engine === undefined || gpu === undefined ? undefined : gpuIdIn(engine, gpu);
  return {
    gpu,
    engine,
    gpuId,
    gpuName: engine?.gpus.find(({ id }) => id === gpuId)?.name || gpu?.name,
    engineVersion: engine?.version ?? usualEngine,
  };
}
