import { type Reaction, xidReaction } from '../../nma/reactions.ts';
import type { ReactionChannel } from '../../nma/timing.ts';
import type { NmaVersion } from '../../nma/versions.ts';
import type { InjectCascade } from '../../schemas/order.ts';
import { type ChannelReaction, type ChannelWork, firstGpu } from './channel.ts';

export const xid: ChannelWork<'xid'> = {
  order: ({ parameters, gpu }) => ({
    method: 'InjectXid',
    body: { ...parameters, gpu: gpu ?? firstGpu },
  }),
  // What the fault means for the node, on whichever surface it is written: that a surface reaches nobody is a finding,
  // not an expectation.
  reactions: ({ parameters }, { nma }) => [xidPolicy(nma, Number(parameters.xid), 0)],
};

export const cascade: ChannelWork<'cascade'> = {
  order: ({ parameters, gpu }) => ({
    method: 'InjectCascade',
    body: { ...parameters, gpu: gpu ?? firstGpu },
  }),
  reactions: ({ parameters }, { nma }) =>
    (parameters.steps as InjectCascade['steps']).map((step) =>
      xidPolicy(nma, step.xid, step.afterSeconds * 1000),
    ),
};

/** Lines of a switch's driver: no version of the monitoring agent reads them. */
export const sxid: ChannelWork<'sxid'> = {
  order: ({ parameters }) => ({ method: 'InjectSxid', body: { ...parameters } }),
  reactions: () => [],
};

function xidPolicy(nma: NmaVersion, number: number, afterMs: number): ChannelReaction {
  const reaction = xidReaction(nma, number);
  return { surface: 'dcgm', reaction, via: policyChannel(reaction), afterMs };
}

export function policyChannel(reaction: Reaction): ReactionChannel {
  return reaction.appearsAs === 'event' ? 'policy-event' : 'policy-condition';
}
