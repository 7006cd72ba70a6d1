import type { FieldRow } from '../../shared/dcgm-fields/row.ts';
import { assertFieldValue } from '../../shared/dcgm-fields/value.ts';
import { pciToNvml } from '../../shared/pci.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { EngineSelector } from '../../shared/schemas/order.ts';
import type { EngineIdentity } from '../../shared/schemas/receipt.ts';
import type { Dcgm } from '../dcgm/client.ts';
import { assertEffect, assertOffset, defaultOffsetSeconds } from '../dcgm/inject.ts';
import type { GpuIdentity } from './gpu-identity.ts';
import type { Channel } from './orders.ts';

/** DcgmHealthWatch.cpp: the Xid history of an engine is only ever added to (dcgm.md §4). */
const xidUndo =
  'Xids with a health code stay in the host engine until it restarts, and are reported again every 5 minutes; ' +
  'restart the engine, then the monitoring agent';
const fieldUndo = 'lasts until the next real reading of the field (10 to 30 s), longer with a greater offset';

/** Puts one value into the cache of the host engine that the monitoring agent listens on. */
export function createDcgmChannel(options: {
  readonly dcgm: Dcgm;
  readonly gpu: GpuIdentity;
  readonly field: FieldRow;
  readonly value: number | string;
  readonly offsetSeconds?: number | undefined;
  readonly engine?: EngineSelector | undefined;
  readonly force: boolean;
}): Channel {
  const { dcgm, gpu, field } = options;
  return {
    surface: 'dcgm',
    undo: field.tag === 'xid_errors' ? xidUndo : fieldUndo,
    async prepare() {
      assertOffset(options.offsetSeconds ?? defaultOffsetSeconds);
      assertEffect(field, assertFieldValue(field, options.value, 'value'), options.force);
      const engine = await dcgm.choose(options.engine, { force: options.force });
      const gpuId = dcgm.gpuIdFor(engine, {
        uuid: gpu.uuid,
        pci: gpu.pci === undefined ? undefined : pciToNvml(gpu.pci),
      });
      const order = {
        engine,
        gpuId,
        field,
        value: options.value,
        offsetSeconds: options.offsetSeconds,
        force: options.force,
      };
      // Refused here, the same order may be given again; once it is begun, its receipt stands.
      await dcgm.assertInjectable(order);
      return async () => {
        const done = await dcgm.inject(order);
        return {
          written: done.commandLine.join(' '),
          readBack: { before: done.before, after: done.after },
          engine: engineIdentity(engine),
          notes: [...gpu.notes, ...done.notes],
        };
      };
    },
  };
}

function engineIdentity(engine: HostEngineFacts): EngineIdentity {
  return {
    pid: engine.pid,
    podUid: engine.podUid,
    container: engine.container,
    version: engine.version,
    address: engine.address,
    listeners: engine.nma.evidence,
  };
}
