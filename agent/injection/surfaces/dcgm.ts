import { fieldById } from '../../../shared/dcgm-fields/find.ts';
import { defaultOffsetSeconds, type Recipe } from '../../../shared/dcgm-fields/recipe.ts';
import type { FieldRow } from '../../../shared/dcgm-fields/row.ts';
import { assertFieldValue } from '../../../shared/dcgm-fields/value.ts';
import { renderDuration } from '../../../shared/duration.ts';
import { namesOf } from '../../../shared/engines/choose.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { GpuIdentity } from '../../../shared/gpu-identity.ts';
import type { HostEngineFacts } from '../../../shared/schemas/inventory.ts';
import type { Introspection } from '../../../shared/schemas/read-back.ts';
import type { EngineIdentity } from '../../../shared/schemas/receipt.ts';
import type { DcgmPart } from '../../../shared/surfaces/dcgm.ts';
import { assertEffect, assertOffset } from '../../dcgm/inject.ts';
import type { Injection } from '../../dcgm/steps.ts';
import type { SustainPlan } from '../channel.ts';
import type { Recover } from '../recovery.ts';
import type { SurfaceWriter } from './writer.ts';

/** DcgmHealthWatch.cpp: the Xid history of an engine is only ever added to (dcgm.md §4). */
const xidUndo =
  'Xids with a health code stay in the host engine until it restarts, and are reported again every 5 min; ' +
  'restart the engine, then the monitoring agent';

/** Until when a value stays, by how often the engine reads the field itself. */
function undoOf({ id, tag, polledSeconds, healthy = '0' }: FieldRow): string {
  if (tag === 'xid_errors') return xidUndo;
  return polledSeconds === undefined
    ? 'lasts until the next real reading of the field (10 to 30 s), longer with a greater offset'
    : `lasts until the next real reading of the field, one in ${renderDuration(polledSeconds)}; ${healthy} written to field ${id} takes it back at once`;
}

/** Puts one value into the cache of the host engine that the monitoring agent listens on, once or again and again. */
export const dcgm: SurfaceWriter<'dcgm'> = (part, on) => {
  const { dcgm, force } = on;
  const gpu = known(on.gpu);
  const field = fieldById(part.field);
  return {
    surface: 'dcgm',
    afterMs: part.afterMs,
    undo: undoOf(field),
    async prepare() {
      assertOffset(part.offsetSeconds ?? defaultOffsetSeconds);
      assertEffect(field, assertFieldValue(field, part.value, 'value', { force }), force);
      assertRefreshInterval(part);
      const engine = await on.engine();
      const gpuId = dcgm.gpuIdFor(engine, namesOf(gpu));
      const order: Injection = { ...part, engine, gpuId, field, force, dueMs: part.afterMs };
      // Refused here, the same order may be given again; once it is begun, its receipt stands.
      const recipe = await dcgm.assertInjectable(order);
      let before: Introspection | undefined;
      return {
        ...sustainPlanOf(recipe, { engine, gpuId, field: field.id }, on.recover),
        async write(signal) {
          const done = await dcgm.inject(order, signal, { before, isDue: part.afterMs > 0 });
          before = done.after;
          return {
            written: done.commandLine.join(' '),
            readBack: { before: done.before, after: done.after },
            engine: engineIdentity(engine),
            startedAt: done.startedAt,
            notes: [...gpu.notes, ...done.notes],
          };
        },
      };
    },
  };
};

function known(gpu: GpuIdentity | undefined): GpuIdentity {
  if (gpu !== undefined) return gpu;
  throw new Refusal('gpu_unknown', 'gpu: a value of the host engine is one of a GPU', { field: 'gpu' });
}

function sustainPlanOf(
  { repeat, hold }: Recipe,
  held: { readonly engine: HostEngineFacts; readonly gpuId: number; readonly field: number },
  recover: Recover,
): { readonly sustain?: SustainPlan } {
  if (repeat !== undefined) return { sustain: repeat };
  if (hold === undefined) return {};
  const { engine, gpuId, field } = held;
  const recovery = { kind: 'hold', pid: engine.pid, gpuId, field, undo: hold.undo } as const;
  return { sustain: { forMs: hold.forMs, everyMs: null, recovery, end: () => recover(recovery, engine) } };
}

function assertRefreshInterval({ everyMs, forMs }: DcgmPart): void {
  if (everyMs === undefined || forMs !== undefined) return;
  throw new Refusal('malformed_request', 'everySeconds: how often, without forSeconds, which says how long', {
    field: 'everySeconds',
    value: everyMs / 1000,
    remedy: 'send forSeconds as well',
  });
}

/** Which process it was, for the receipt: a pid alone says nothing after a restart. */
export function engineIdentity(engine: HostEngineFacts): EngineIdentity {
  return {
    pid: engine.pid,
    podUid: engine.podUid,
    container: engine.container,
    version: engine.version,
    address: engine.address,
    listeners: engine.nma.evidence,
  };
}
