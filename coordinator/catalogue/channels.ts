import { fieldTickMs, firstTickJitter, healthTickMs } from '../../shared/nma-timing.ts';
import type { ChannelReaction, ChannelWork } from './channels/channel.ts';
import { dcgmField, dcgmValue } from './channels/dcgm.ts';
import { engineLoss } from './channels/engine-loss.ts';
import { kernelMessage } from './channels/kernel-message.ts';
import { journal, logFile } from './channels/logs.ts';
import { cascade, sxid, xid } from './channels/xid.ts';
import type { Expectation, Via } from './expectation.ts';
import { reactionWindow } from './nma/windows.ts';
import type { Channel } from './row.ts';

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

const channels: { readonly [K in Channel['kind']]: ChannelWork<K> } = {
  'kernel-message': kernelMessage,
  journal,
  'log-file': logFile,
  xid,
  sxid,
  cascade,
  'dcgm-field': dcgmField,
  'dcgm-value': dcgmValue,
  'engine-loss': engineLoss,
};

/** The work of a channel whose kind is only known at run time. */
export function channelOf(channel: Channel): ChannelWork<Channel['kind']> {
  return channels[channel.kind] as ChannelWork<Channel['kind']>;
}
