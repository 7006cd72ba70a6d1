import { renderDuration } from '../../../shared/duration.ts';
import { engineLoss } from '../channels/engine-loss.ts';
import { nmaOnEngineLoss, placeOfEngine } from '../readers/engine.ts';
import type { SurfaceWork } from './work.ts';

/** The process of a host engine. */
export const hostEngine = {
  writes: ({ afterMs, forMs }, on) => [
    {
      afterSeconds: afterMs / 1000,
      where: placeOfEngine(on.engine),
      what: `SIGSTOP, and SIGCONT after ${renderDuration(forMs / 1000)}`,
      because: [],
      readers: [nmaOnEngineLoss(on)],
    },
  ],
  kept: () => [],
  channels: { 'engine-loss': engineLoss },
  channelOf: (order) =>
    order.method === 'PauseHostEngine'
      ? { channel: { kind: 'engine-loss' }, parameters: order.body }
      : undefined,
} as const satisfies SurfaceWork<'host-engine'>;
