import { engineLossReaction } from '../../nma/reactions.ts';
import type { ChannelWork } from './channel.ts';

export const engineLoss: ChannelWork<'engine-loss'> = {
  order: ({ parameters }) => ({ method: 'PauseHostEngine', body: { ...parameters } }),
  reactions: () => [
    {
      surface: 'host-engine',
      // What stands behind the colon is the connection's own error.
      reaction: engineLossReaction(''),
      via: 'engine-pause-condition',
      afterMs: 0,
    },
  ],
};
