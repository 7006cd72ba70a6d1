import { fieldById } from '../../../shared/dcgm-fields/find.ts';
import { xidHealthIncident } from '../../../shared/dcgm-fields/health-codes.ts';
import { xidField } from '../../../shared/dcgm-fields/ids.ts';
import {
  defaultOffsetSeconds,
  type Recipe,
  type RecipeStep,
  recipeFor,
} from '../../../shared/dcgm-fields/recipe.ts';
import { assertFieldValue } from '../../../shared/dcgm-fields/value.ts';
import type { DcgmPart } from '../../../shared/surfaces/dcgm.ts';
import { dcgmField, dcgmValue } from '../channels/dcgm.ts';
import { dcgmReaders, placeOfEngine } from '../readers/engine.ts';
import type { ReadingContext } from '../readers/reading.ts';
import type { Kept, KeptOn, PlannedWrite, SurfaceWork } from './work.ts';

/** Values in the cache of a host engine. */
export const dcgm = {
  writes: dcgmWrites,
  kept: keptByEngine,
  whySilent: () => 'neither a policy nor a check tells NMA of this value',
  channels: { 'dcgm-field': dcgmField, 'dcgm-value': dcgmValue },
  channelOf: (order) =>
    order.method === 'InjectDcgmField'
      ? { channel: { kind: 'dcgm-field' }, parameters: order.body }
      : undefined,
} as const satisfies SurfaceWork<'dcgm'>;

/** Xids that the engine's health system has a code for: the others leave nothing there. */
function keptByEngine(parts: readonly DcgmPart[], { engineVersion, gpuName }: KeptOn): readonly Kept[] {
  const xids = parts.flatMap(({ field, value }) => (field === xidField ? [Number(value)] : []));
  const kept = [...new Set(xids)]
    .filter((xid) => xidHealthIncident(engineVersion, xid, gpuName) !== undefined)
    .map((xid) => `Xid ${xid}`);
  if (kept.length === 0) return [];
  return [
    {
      what: `${kept.join(', ')} in the health system of the host engine, reported again every 5 min`,
      until: 'the host engine restarts',
      renewsUnless: 'restart the host engine first, or its health system makes it False again',
    },
  ];
}

function dcgmWrites(part: DcgmPart, context: ReadingContext): Omit<PlannedWrite, 'surface'>[] {
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
    where: placeOfEngine(context.engine),
    what: commandLine(step, context.gpuId),
    ...repeated,
    ...(step === main ? held : {}),
    because: [...because],
    readers: dcgmReaders({ ...step, isBaseline: step !== main }, context),
  }));
}

/** As the agent makes it; where the agent would refuse, the recipe says why. */
function recipeOf(part: DcgmPart, { engine, engineVersion, gpuName }: ReadingContext): Recipe {
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
