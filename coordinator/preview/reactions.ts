import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Surface } from '../../shared/schemas/receipt.ts';
import type { Part } from '../../shared/surfaces/table.ts';
import type { ChannelReaction } from '../catalogue/channels/channel.ts';
import { reactionWindow } from '../catalogue/nma/reactions.ts';
import { workOf } from '../catalogue/surfaces/table.ts';
import type { PlannedReaction, Window } from './schema.ts';

/**
 * What a healthy monitoring agent shows for each surface that is written, the expected reaction first; a surface that
 * nobody tells it of is there with `nothing`.
 */
export function plannedReactions(
  reactions: readonly ChannelReaction[],
  parts: readonly Part[],
  order: MethodCall,
): PlannedReaction[] {
  const written = [...new Set(parts.map(({ surface }) => surface))];
  const shown = reactions
    .filter(({ surface }) => written.includes(surface))
    // The same text again changes nothing that can be seen.
    .filter((found, index, all) => all.findIndex((other) => isSame(other, found)) === index);
  const silent = written.filter((surface) => shown.every((reaction) => reaction.surface !== surface));
  return [
    ...shown.map((found, index) => plannedReaction(found, shown.slice(0, index))),
    ...silent.map((surface) => ({ surface, appearsAs: 'nothing', note: whySilent(surface, order) }) as const),
  ];
}

function isSame(left: ChannelReaction, right: ChannelReaction): boolean {
  return (
    left.surface === right.surface &&
    left.reaction.reason === right.reaction.reason &&
    left.reaction.message === right.reaction.message
  );
}

function plannedReaction(found: ChannelReaction, earlier: readonly ChannelReaction[]): PlannedReaction {
  const { surface, reaction } = found;
  const { appearsAs, conditionType, reason, message, severity } = reaction;
  const note = noteOn(found, earlier);
  return {
    surface,
    appearsAs,
    type: conditionType,
    reason,
    message,
    severity,
    window: windowOf(found),
    ...(note === undefined ? {} : { note }),
  };
}

/** When a reaction can be seen, counted from the acceptance of the order. */
function windowOf({ via, reaction, afterMs }: ChannelReaction): Window {
  const { bestMs, typicalMs, worstMs } = reactionWindow(via, reaction.appearsAs);
  return {
    bestSeconds: (afterMs + bestMs) / 1000,
    typicalSeconds: (afterMs + typicalMs) / 1000,
    worstSeconds: (afterMs + worstMs) / 1000,
  };
}

/** A condition has one reason, that of the newest fault, and a message that keeps them all (nma.md §3). */
function noteOn({ reaction }: ChannelReaction, earlier: readonly ChannelReaction[]): string | undefined {
  const replaced = earlier.findLast(
    (before) =>
      before.reaction.appearsAs === 'condition' && before.reaction.conditionType === reaction.conditionType,
  );
  if (reaction.appearsAs !== 'condition' || replaced === undefined) return undefined;
  return `where the condition is False by then, its reason changes from ${replaced.reaction.reason} to this one and its message keeps both`;
}

function whySilent(surface: Surface, order: MethodCall): string {
  const own = workOf(surface).whySilent?.(order);
  return own ?? `no rule of this version of NMA takes it from the ${surface}`;
}
