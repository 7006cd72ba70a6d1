import { Refusal } from '../../shared/errors.ts';
import { fieldTickMs, firstTickJitter, healthTickMs } from '../../shared/nma-timing.ts';
import { surfacesOfOrder } from '../../shared/orders/call.ts';
import { scriptOf } from '../../shared/orders/script.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Part, Surface } from '../../shared/surfaces/table.ts';
import {
  type AnyChannel,
  anyGpu,
  type ChannelReaction,
  type ChannelWork,
  type ReactsOn,
} from './channels/channel.ts';
import { cascade, xid } from './channels/xid.ts';
import type { Expectation, Via } from './expectation.ts';
import { type Reaction, reactionWindow } from './nma/reactions.ts';
import { partsBySurface, surfaceWork, workOf } from './surfaces/table.ts';
import type { ChannelIn, Kept, KeptOn, OrderSource } from './surfaces/work.ts';

/** What a slow API server may add to the worst case (nma.md §2.3: an event is retried after 10 s). */
const marginMs = 30_000;
const longestWaitMs = 3600_000;

/** What the first tick after a start of the monitoring agent comes later than every other (nma.md §1.0). */
const firstTickMs: Partial<Record<Via, number>> = {
  'health-check': healthTickMs * firstTickJitter,
  'watched-field': fieldTickMs * firstTickJitter,
};

/** Where a tick has to see the cause, the whole time for which it is sustained is waited for. */
export function expectationOf({
  reaction,
  via,
  plugin,
  afterMs,
  sustainedMs = 0,
}: ChannelReaction): Expectation {
  const first = firstTickMs[via];
  const { worstMs } = reactionWindow(via, reaction.appearsAs);
  const reactsMs = first === undefined ? worstMs : Math.max(worstMs + first, sustainedMs);
  return {
    kind: reaction.appearsAs,
    type: reaction.conditionType,
    reason: reaction.reason,
    message: reaction.message,
    via,
    plugin,
    withinSeconds: Math.min(afterMs + reactsMs + marginMs, longestWaitMs) / 1000,
  };
}

/** An Xid may go to several surfaces at once; all other channels stand with their surface. */
const driverChannels = { xid, cascade } as const;

type SurfaceChannels = (typeof surfaceWork)[Surface]['channels'];

/** How a fault is injected. */
export type Channel =
  | ChannelIn<typeof driverChannels>
  | (SurfaceChannels extends infer Each ? (Each extends unknown ? ChannelIn<Each> : never) : never);

const channels: Readonly<Record<string, unknown>> = Object.assign(
  {},
  driverChannels,
  ...Object.values(surfaceWork).map((work) => work.channels),
);

/** The work of a channel whose kind is only known at run time. */
export function channelOf<C extends AnyChannel>(channel: C): ChannelWork<C> {
  const work = channels[channel.kind];
  if (work === undefined) throw new RangeError(`no channel ${channel.kind}`);
  return work as ChannelWork<C>;
}

/**
 * Everything that a healthy monitoring agent shows after an order, the first thing first: what came through a policy at
 * once, and what its checks find minutes later. Surfaces that the order does not write are left out; an order that no
 * agent takes, such as one with an unknown field, leads to nothing.
 */
export function reactionsToOrder(order: MethodCall, on: ReactsOn): readonly ChannelReaction[] {
  const { channel, parameters = {} } = channelOfOrder(order);
  const written = surfacesOfOrder(order);
  try {
    return channelOf(channel)
      .reactions({ channel, parameters, gpu: undefined, marker: '' }, on)
      .filter(({ surface }) => written.includes(surface));
  } catch (thrown) {
    if (thrown instanceof Refusal) return [];
    throw thrown;
  }
}

/**
 * What stays on the node after an order, and what ends it. The address of the GPU does not matter to it. An order that no
 * agent takes leaves nothing.
 */
export function latchedByOrder(order: MethodCall, on: ReactsOn): readonly Latched[] {
  const reactions = reactionsToOrder(order, on).map(({ reaction }) => reaction);
  const { nma, engineVersion = nma.engineVersion, gpuName } = on;
  try {
    return latchedBy(reactions, scriptOf(order, { gpu: anyGpu }), { engineVersion, gpuName });
  } catch (thrown) {
    if (thrown instanceof Refusal) return [];
    throw thrown;
  }
}

/** What takes back what an order leaves on a node. */
export type UndoneBy = {
  /** Conditions that it turns False, each with its reason; a restart of NMA turns them True. */
  readonly conditions: readonly { readonly type: string; readonly reason: string }[];
  /**
   * Whether something of it stays in the host engine that NMA's checks find again, so that the engine has to be restarted
   * before NMA.
   */
  readonly engine: boolean;
  /** What no restart takes back. */
  readonly left: readonly Latched[];
};

/** What takes back what an order leaves (nma.md §3, dcgm.md §4). An order that no agent takes leaves nothing. */
export function undoneBy(order: MethodCall, on: ReactsOn): UndoneBy {
  const reactions = reactionsToOrder(order, on);
  const { nma, engineVersion = nma.engineVersion, gpuName } = on;
  const kept = keptOf(order, { engineVersion, gpuName });
  // Samples outlive their order in the cache of the engine, by minutes or, of fields that are read hourly, by an hour.
  const isFoundAgain = reactions.some(({ via }) => via === 'health-check' || via === 'watched-field');
  return {
    conditions: reactions
      .filter(({ reaction }) => reaction.appearsAs === 'condition')
      .map(({ reaction }) => ({ type: reaction.conditionType, reason: reaction.reason })),
    engine: isFoundAgain || kept.some(({ renewsUnless }) => renewsUnless !== undefined),
    left: kept
      .filter(({ renewsUnless }) => renewsUnless === undefined)
      .map(({ what, until }) => ({ what, until })),
  };
}

function keptOf(order: MethodCall, on: KeptOn): readonly Kept[] {
  try {
    return partsBySurface(scriptOf(order, { gpu: anyGpu })).flatMap(({ surface, parts }) =>
      workOf(surface).kept(parts, on),
    );
  } catch (thrown) {
    if (thrown instanceof Refusal) return [];
    throw thrown;
  }
}

/** The channel that makes such orders, with what it needs to know of this one. */
function channelOfOrder(order: MethodCall): OrderSource {
  if (order.method === 'InjectXid') return { channel: { kind: 'xid' }, parameters: order.body };
  if (order.method === 'InjectCascade') return { channel: { kind: 'cascade' }, parameters: order.body };
  const [surface] = surfacesOfOrder(order);
  const source = surface && workOf(surface).channelOf(order);
  if (source === undefined) throw new RangeError(`no channel makes ${order.method}`);
  return source;
}

/** Something that stays when a drill is over. */
type Latched = Pick<Kept, 'what' | 'until'>;

/**
 * What stays on the node when the drill is over, and what ends it (nma.md §3): of all reactions, those that come minutes
 * later included, and of all that was written.
 */
export function latchedBy(
  reactions: readonly Reaction[],
  parts: readonly Part[],
  on: KeptOn,
): readonly Latched[] {
  const types = reactions.flatMap(({ appearsAs, conditionType }) =>
    appearsAs === 'condition' ? [conditionType] : [],
  );
  const kept = partsBySurface(parts).flatMap(({ surface, parts: own }) => workOf(surface).kept(own, on));
  const before = kept.flatMap(({ renewsUnless }) => renewsUnless ?? []);
  return [
    ...kept.map(({ what, until }) => ({ what, until })),
    ...[...new Set(types)].map((type) => ({
      what: `condition ${type} False`,
      until: ['the monitoring agent restarts on the node', ...before].join('; '),
    })),
  ];
}
