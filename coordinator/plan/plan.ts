import { engineNamed, gpuNamed, isForced } from '../../shared/orders/call.ts';
import { surfacesOfOrder } from '../../shared/orders/surfaces.ts';
import { parsePci } from '../../shared/pci.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import { faults } from '../catalogue/catalogue.ts';
import { channelOf } from '../catalogue/channels.ts';
import { findFault, resolveParameters } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { links as allLinks, type LinkRow } from '../drill/links.ts';
import { confidenceOf } from '../preview/confidence.ts';
import { refusalsOf } from '../preview/refusals.ts';
import { partsOf, plannedWrites, type WriteContext } from '../preview/writes.ts';
import type { ExperimentSpec } from '../store/experiment.ts';
import { createChain } from './chain.ts';
import { addressOf, engineOf, gpuIdIn, gpuOf, judgingVersion, type TargetContext } from './context.ts';
import { resolveExpectation } from './expectation.ts';
import { controlsFor } from './negative.ts';
import { latchedBy, plannedReactions } from './reactions.ts';
import type { TargetPlan } from './schema.ts';

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

/** Pure: the same input gives the same plan. Refuses what cannot be injected or judged anywhere, naming the field. */
export function planTarget(input: PlanInput): TargetPlan {
  const {
    spec,
    node,
    orderId,
    marker,
    context: target,
    rows = faults,
    links = allLinks,
    orNone = false,
  } = input;
  const row = findFault(spec.fault.name, rows);
  if (spec.target?.gpu?.pci !== undefined) parsePci(spec.target.gpu.pci, 'target.gpu.pci');
  const parameters = resolveParameters(row, spec.fault.parameters ?? {}, marker);
  const work = { channel: row.channel, parameters, gpu: spec.target?.gpu, marker };
  const channel = channelOf(row.channel);
  const nma = judgingVersion(target).row;
  // First, because it checks the parameters by their own names.
  const order = channel.order(work);
  const writing = writeContext(order, target, nma.engineVersion);
  const { engine, engineVersion, gpuName } = writing;
  const on = { nma, engineVersion, gpuName };
  const reacting = channel.reactions(work, on);
  const [first] = reacting;
  const asked = spec.expectation ?? (first === undefined && orNone ? { none: true } : {});
  const expectation = resolveExpectation(
    asked,
    { ...work, row, reacting },
    { ...on, isEngineAssumed: surfacesOfOrder(order).includes('dcgm') && !engine?.version },
  );
  const whole = { orderId, ...order };
  const controls = expectation.kind === 'none' ? controlsFor(whole, nma, marker) : [];
  const chain = createChain(links, { order: whole, expectation, asked, reacting }, controls);
  const parts = partsOf(order, writing);
  const reactions = plannedReactions(reacting, parts);
  const { gpu } = writing;
  const about = { node, row, order, parts, expectation, target, engine, engineVersion, gpu, gpuName };
  return {
    node,
    order: whole,
    parameters: { ...parameters },
    writes: plannedWrites(parts, writing),
    expectation,
    chain: [...chain],
    reactions,
    latched: latchedBy(reactions, parts, writing),
    refusals: refusalsOf({
      ...about,
      selector: gpuNamed(order),
      isGpuNamed: spec.target?.gpu !== undefined,
    }),
    confidence: confidenceOf(about),
    risk: row.risk,
    undo: row.undo,
  };
}

/** What the order names on this node: the GPU, the engine, and the GPU's number in it. */
function writeContext(order: MethodCall, target: TargetContext, usualEngine: string): WriteContext {
  const selector = gpuNamed(order);
  const gpu = selector === undefined ? undefined : gpuOf(target, selector);
  const engine = engineOf(target, { selector: engineNamed(order), force: isForced(order) });
  const gpuId = engine === undefined || gpu === undefined ? undefined : gpuIdIn(engine, gpu);
  return {
    target,
    gpu,
    givenPci: addressOf(selector?.pci),
    driverVersion: target.inventory?.driverVersion ?? undefined,
    engine,
    gpuId,
    gpuName: engine?.gpus.find(({ id }) => id === gpuId)?.name || gpu?.name,
    engineVersion: engine?.version ?? usualEngine,
  };
}
