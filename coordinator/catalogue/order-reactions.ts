import { Refusal } from '../../shared/errors.ts';
import { scriptOf } from '../../shared/orders/script.ts';
import { surfacesOfOrder } from '../../shared/orders/surfaces.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import { anyGpu, type ChannelReaction, type ReactsOn } from './channels/channel.ts';
import { channelOf } from './channels.ts';
import { type Latched, latchedBy } from './latched.ts';
import type { Parameters } from './parameters.ts';
import type { Channel } from './row.ts';

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

type Source = { readonly channel: Channel; readonly parameters?: Parameters };

/** The channel that makes such orders, with what it needs to know of this one. */
function channelOfOrder(order: MethodCall): Source {
  switch (order.method) {
    case 'InjectXid':
      return { channel: { kind: 'xid' }, parameters: order.body };
    case 'InjectCascade':
      return { channel: { kind: 'cascade' }, parameters: order.body };
    case 'InjectSxid':
      return { channel: { kind: 'sxid' } };
    case 'InjectDcgmField':
      return { channel: { kind: 'dcgm-field' }, parameters: order.body };
    case 'PauseHostEngine':
      return { channel: { kind: 'engine-loss' }, parameters: order.body };
    case 'WriteKernelMessage':
      return { channel: { kind: 'kernel-message', text: order.body.text } };
    case 'WriteJournalMessage':
      return { channel: { kind: 'journal', ...order.body } };
    case 'AppendLogLine':
      return { channel: { kind: 'log-file', ...order.body } };
  }
}
