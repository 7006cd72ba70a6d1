import { type Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import { type Channel, negative } from './channel.ts';
import type { PlannedPart } from './live-order.ts';
import type { InjectionMetrics } from './metrics.ts';

/**
 * What is wrong with the request itself refuses the whole order; what is wrong with one surface's surroundings is reported
 * in its entry, and the other surfaces are written.
 */
export async function prepareAll(
  channels: readonly Channel[],
  metrics: InjectionMetrics,
): Promise<readonly PlannedPart[]> {
  const prepared: PlannedPart[] = [];
  for (const channel of channels) {
    try {
      prepared.push({ channel, prepared: await channel.prepare() });
    } catch (thrown) {
      const refusal = refusalFromUnknown(thrown);
      metrics.count(channel.surface, 'refused');
      if (isAboutOrder(refusal)) throw thrown;
      prepared.push({ channel, refused: negative(channel, 'refused', refusal), because: refusal });
    }
  }
  assertWholeSurfaces(prepared);
  return prepared;
}

/** A script of which one surface would be written in part is another one than was asked for. */
function assertWholeSurfaces(parts: readonly PlannedPart[]): void {
  const partial = parts.find(
    ({ channel, because }) =>
      because !== undefined &&
      parts.some((other) => other.channel.surface === channel.surface && other.prepared !== undefined),
  );
  if (partial?.because !== undefined) throw partial.because;
}

/** Wrong in itself, or only too early: then no surface is written, and the same order may come again. */
function isAboutOrder({ code, reason }: Refusal): boolean {
  return code === 'invalid_argument' || code === 'resource_exhausted' || reason === 'internal';
}
