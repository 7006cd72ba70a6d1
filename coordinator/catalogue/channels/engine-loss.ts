import { parseCall } from '../../../shared/orders/call.ts';
import { engineLossReaction, reactionWindow } from '../nma/reactions.ts';
import type { ChannelWork } from './channel.ts';

/** A paused host engine. Nothing shows when it answers again within NMA's grace time. */
export const engineLoss: ChannelWork<{ readonly kind: 'engine-loss' }> = {
  order: ({ parameters }) => parseCall('PauseHostEngine', parameters),
  // An engine that answers again before its first question is given up was never away.
  reactions: ({ parameters }) =>
    Number(parameters.forSeconds) * 1000 < reactionWindow('engine-pause', 'condition').bestMs
      ? []
      : [
          {
            surface: 'host-engine',
            // What stands behind the colon is the connection's own error.
            reaction: engineLossReaction(''),
            via: 'engine-pause',
            plugin: 'nvidia',
            afterMs: 0,
          },
        ],
};
