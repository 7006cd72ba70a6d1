import type { Part, PartOf, Surface } from '../../../shared/surfaces/table.ts';
import type { Channel } from '../channel.ts';
import { dcgm } from './dcgm.ts';
import { hostEngine } from './host-engine.ts';
import { journal } from './journal.ts';
import { kernelLog } from './kernel-log.ts';
import { logFile } from './log-file.ts';
import type { OrderOnNode, SurfaceWriter } from './writer.ts';

/** How each surface is written. */
const writers: { readonly [S in Surface]: SurfaceWriter<S> } = {
  'kernel-log': kernelLog,
  dcgm,
  journal,
  'log-file': logFile,
  'host-engine': hostEngine,
};

/** A channel for one part of an order. Asks the node, and writes nothing. */
export function channelFor<S extends Surface>(part: Part, on: OrderOnNode): Channel {
  // A surface's writer takes that surface's parts: the compiler cannot follow the pair through the look-up.
  return writers[part.surface as S](part as PartOf<S>, on);
}
