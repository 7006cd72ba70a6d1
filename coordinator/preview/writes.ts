import { fieldById } from '../../shared/dcgm-fields/find.ts';
import {
  defaultOffsetSeconds,
  type Recipe,
  type RecipeStep,
  recipeFor,
} from '../../shared/dcgm-fields/recipe.ts';
import { assertFieldValue } from '../../shared/dcgm-fields/value.ts';
import { kmsgLevels } from '../../shared/kmsg-record.ts';
import { recordOf, scriptOf } from '../../shared/orders/script.ts';
import { type PciAddress, parsePci, pciToXid } from '../../shared/pci.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Part } from '../../shared/surfaces/table.ts';
import { dcgmReaders } from './engine-readers.ts';
import type { ReaderContext } from './monitor-gate.ts';
import { readersOfPart } from './readers.ts';
import type { PlannedWrite } from './schema.ts';

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
  return parts
    .flatMap((part) => (part.surface === 'dcgm' ? dcgmWrites(part, context) : [plainWrite(part, context)]))
    .toSorted((left, right) => left.afterSeconds - right.afterSeconds);
}

function plainWrite(part: Exclude<Part, { surface: 'dcgm' }>, context: WriteContext): PlannedWrite {
  return {
    afterSeconds: part.afterMs / 1000,
    surface: part.surface,
    ...placed(part, context),
    because: [],
    readers: readersOfPart(part, context),
  };
}

function placed(
  part: Exclude<Part, { surface: 'dcgm' }>,
  { engine }: WriteContext,
): { readonly where: string; readonly what: string } {
  switch (part.surface) {
    case 'kernel-log':
    case 'journal': {
      const { level, text } = recordOf(part);
      return { where: '/dev/kmsg', what: `<${kmsgLevels.indexOf(level)}>${withoutStandIn(text)}` };
    }
    case 'log-file':
      return { where: part.path, what: part.text };
    case 'host-engine':
      return {
        where: engineName(engine),
        what: `SIGSTOP, and SIGCONT after ${part.forMs / 1000} s`,
      };
  }
}

function dcgmWrites(part: Extract<Part, { surface: 'dcgm' }>, context: WriteContext): PlannedWrite[] {
  const { steps, repeat, hold, because } = recipeOf(part, context);
  const main = steps.findLast(({ field }) => field === part.field);
  const repeated =
    repeat === undefined
      ? {}
      : { repeat: { everySeconds: repeat.everyMs / 1000, forSeconds: repeat.forMs / 1000 } };
  const held =
    hold === undefined
      ? {}
      : {
          hold: {
            forSeconds: hold.forMs / 1000,
            undo: hold.undo.map((step) => commandLine(step, context.gpuId)),
          },
        };
  return steps.map((step) => ({
    afterSeconds: (part.afterMs + step.afterMs) / 1000,
    surface: part.surface,
    where: engineName(context.engine),
    what: commandLine(step, context.gpuId),
    ...repeated,
    ...(step === main ? held : {}),
    because: [...because],
    readers: dcgmReaders({ ...step, isBaseline: step !== main }, context),
  }));
}

/** As the agent makes it; where the agent would refuse, the recipe says why. */
function recipeOf(
  part: Extract<Part, { surface: 'dcgm' }>,
  { engine, engineVersion, gpuName }: WriteContext,
): Recipe {
  const { reach, offsetSeconds, forMs, everyMs } = part;
  const field = fieldById(part.field);
  return recipeFor({
    field,
    value: assertFieldValue(field, part.value, 'value', { force: true }),
    reach,
    engineVersion: engine === undefined ? engineVersion : engine.version,
    gpuName,
    hasSample: undefined,
    offsetSeconds,
    forMs,
    everyMs,
    force: true,
  });
}

/** As it is run inside the engine's own namespaces. */
function commandLine({ field, value, offsetSeconds }: RecipeStep, gpuId: number | undefined): string {
  const offset = offsetSeconds === defaultOffsetSeconds ? '' : ` --offset ${offsetSeconds}`;
  return `dcgmi test --inject --gpuid ${gpuId ?? '(of the GPU)'} -f ${field} -v ${value}${offset}`;
}

function engineName(engine: HostEngineFacts | undefined): string {
  if (engine === undefined) return 'host engine of the monitoring agent';
  const version = engine.version === null ? '' : ` ${engine.version}`;
  return `host engine${version} at ${engine.address}, pid ${engine.pid}`;
}
