import { scriptOf } from '../../shared/orders/script.ts';
import { type PciAddress, parsePci, pciToXid } from '../../shared/pci.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Part } from '../../shared/surfaces/table.ts';
import { workOf } from '../catalogue/surfaces/table.ts';
import type { PlannedWrite } from '../catalogue/surfaces/work.ts';
import { type ReaderContext, readingContextOf } from './monitor-gate.ts';

/** What decides how each part of an order is written. */
export type WriteContext = ReaderContext & {
  /** As the caller named it, where the inventory does not know it. */
  readonly givenPci: PciAddress | undefined;
  /** undefined: unknown, the text is that of the last known driver. */
  readonly driverVersion: string | undefined;
};

/** The parts of an order on this node. Without a known GPU another address stands for its own. */
export function partsOf(order: MethodCall, context: WriteContext): readonly Part[] {
  const { gpu, givenPci, driverVersion } = context;
  return scriptOf(order, {
    gpu: {
      pci: gpu?.pci ?? givenPci ?? standIn.pci,
      uuid: gpu?.uuid ?? standIn.uuid,
      ...(gpu?.name === undefined ? {} : { name: gpu.name }),
      ...(gpu?.index === undefined ? {} : { index: gpu.index }),
    },
    ...(driverVersion === undefined ? {} : { driverVersion }),
  });
}

/** No machine has so high a domain. */
const standIn = { pci: parsePci('fffe:fe:1e.0'), uuid: 'GPU-ffffffff-ffff-4fff-bfff-fffffffffffe' };

/** In place of what only the agent will know. */
export function withoutStandIn(text: string): string {
  return text
    .replaceAll(pciToXid(standIn.pci), '(address of the GPU)')
    .replaceAll(standIn.uuid, '(UUID of the GPU)');
}

/** Every write of an order in the order of time. */
export function plannedWrites(parts: readonly Part[], context: WriteContext): PlannedWrite[] {
  const on = readingContextOf(context);
  return parts
    .flatMap((part) =>
      workOf(part.surface)
        .writes(part, on)
        .map((write) => ({ surface: part.surface, ...write, what: withoutStandIn(write.what) })),
    )
    .toSorted((left, right) => left.afterSeconds - right.afterSeconds);
}
