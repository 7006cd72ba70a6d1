import { type Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import { type GpuIdentity, identifyGpu } from '../../shared/gpu-identity.ts';
import { assertAlertGaps } from '../../shared/orders/alert-gaps.ts';
import { engineNamed, gpuNamed, isForced } from '../../shared/orders/call.ts';
import { scriptOf } from '../../shared/orders/script.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { GpuSelector } from '../../shared/schemas/order-members.ts';
import type { Nvml } from '../nvml/port.ts';
import { type Channel, negative } from './channel.ts';
import type { PlannedPart } from './live-order.ts';
import type { InjectionMetrics } from './metrics.ts';
import { channelFor } from './surfaces/table.ts';
import type { NodePorts, OrderOnNode } from './surfaces/writer.ts';

/** A channel for each part of an order's script; the order of the parts is kept. Asks the node, and writes nothing. */
export async function channelsFor(parts: NodePorts, call: MethodCall): Promise<readonly Channel[]> {
  const { nvml, dcgm } = parts;
  const gpus = once(() => nvml.list());
  const selector = gpuNamed(call);
  const gpu = selector === undefined ? undefined : await identify(parts, selector, gpus);
  const script = scriptOf(call, gpu === undefined ? {} : contextOf(gpu));
  assertAlertGaps(script);
  const force = isForced(call);
  const on: OrderOnNode = {
    ...parts,
    call,
    gpu,
    force,
    gpus,
    engine: once(() => dcgm.choose(engineNamed(call), { force })),
  };
  return script.map((part) => channelFor(part, on));
}

/** The GPU that a selector means: in NVML, else in what the host engines list. */
export async function identify(
  { nvml, dcgm }: Pick<NodePorts, 'nvml' | 'dcgm'>,
  selector: GpuSelector,
  gpus: Nvml['list'] = () => nvml.list(),
): Promise<GpuIdentity> {
  const answer = await gpus();
  return identifyGpu(selector, answer, answer.available ? [] : await dcgm.list());
}

function contextOf({ pci, uuid, name, index, driverVersion }: GpuIdentity) {
  return {
    gpu: {
      ...(pci === undefined ? {} : { pci }),
      ...(uuid === undefined ? {} : { uuid }),
      ...(name === undefined ? {} : { name }),
      ...(index === undefined ? {} : { index }),
    },
    ...(driverVersion === undefined ? {} : { driverVersion }),
  };
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined;
  return () => {
    begun ??= work();
    return begun;
  };
}

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
