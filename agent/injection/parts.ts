import { assertListened } from '../../shared/engines/choose.ts';
import { Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import { addressIsGpu, type GpuIdentity, identifyGpu } from '../../shared/gpu-identity.ts';
import { assertAlertGaps } from '../../shared/orders/alert-gaps.ts';
import { acceptsRisk, engineNamed, gpuNamed, isForced } from '../../shared/orders/call.ts';
import { type RecordPart, recordOf, scriptOf } from '../../shared/orders/script.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { GpuSelector } from '../../shared/schemas/order-members.ts';
import type { Part } from '../../shared/surfaces/table.ts';
import { xidFieldOf } from '../../shared/xid/guard.ts';
import type { Dcgm } from '../dcgm/client.ts';
import type { EngineProcesses } from '../engine-process/port.ts';
import type { SystemJournal } from '../host-files/journald/port.ts';
import type { HostFiles } from '../host-files/port.ts';
import type { KernelLog } from '../kernel-log/port.ts';
import type { Nvml } from '../nvml/port.ts';
import { type Channel, negative } from './channel.ts';
import { createDcgmChannel } from './dcgm-channel.ts';
import { createHostEngineChannel } from './host-engine-channel.ts';
import { confirmInJournal } from './journal-read-back.ts';
import { createKernelLogChannel } from './kernel-log-channel.ts';
import type { PlannedPart } from './live-order.ts';
import { createLogFileChannel } from './log-file-channel.ts';
import type { InjectionMetrics } from './metrics.ts';
import type { Recover } from './recovery.ts';

/** The adapters that channels write through. */
export type ChannelParts = {
  readonly kernelLog: KernelLog;
  readonly nvml: Nvml;
  readonly dcgm: Dcgm;
  readonly hostFiles: HostFiles;
  readonly systemJournal: SystemJournal;
  readonly engineProcesses: EngineProcesses;
  /** Takes back what an earlier process has left. */
  readonly recover: Recover;
};

const kernelLogUndo = 'cannot be undone before the next reboot: readers that start later will read it again';
const journalUndo = 'cannot be undone: it stays in the kernel log until the next reboot, and in the journal';

/** A channel for each part of an order's script; the order of the parts is kept. Asks the node, and writes nothing. */
export async function channelsFor(parts: ChannelParts, call: MethodCall): Promise<readonly Channel[]> {
  const { nvml, dcgm } = parts;
  const gpus = once(() => nvml.list());
  const selector = gpuNamed(call);
  const gpu = selector === undefined ? undefined : await identify(parts, selector, gpus);
  const script = scriptOf(call, gpu === undefined ? {} : contextOf(gpu));
  assertAlertGaps(script);
  const force = isForced(call);
  // One look for all parts: they are to reach the same engine.
  const engine = once(() => dcgm.choose(engineNamed(call), { force }));

  const make: { readonly [S in Part['surface']]: (part: Extract<Part, { surface: S }>) => Channel } = {
    'kernel-log': (part) => kernelRecord(part, { undo: kernelLogUndo, notes: gpu?.notes ?? [] }),
    journal: (part) =>
      kernelRecord(part, {
        undo: journalUndo,
        notes: [],
        confirm: confirmInJournal(parts.systemJournal, part),
      }),
    dcgm: (part) => createDcgmChannel({ ...parts, part, gpu: known(gpu), engine, force }),
    'log-file': (part) => createLogFileChannel({ ...parts, ...part }),
    'host-engine': (part) =>
      createHostEngineChannel({ ...parts, ...part, engine: () => listened(dcgm, engine, force) }),
  };

  function kernelRecord(
    part: RecordPart,
    reported: Pick<Parameters<typeof createKernelLogChannel>[0], 'undo' | 'notes' | 'confirm'>,
  ): Channel {
    const { level, text, field } = recordOf(part);
    return createKernelLogChannel({
      surface: part.surface,
      afterMs: part.afterMs,
      level,
      text,
      field,
      ...reported,
      kernelLog: parts.kernelLog,
      xidField: xidFieldOf(call.method) ?? field,
      acceptRisk: acceptsRisk(call),
      isGpu: async () => {
        const answer = await gpus();
        return (address) => addressIsGpu(address, answer);
      },
    });
  }

  return script.map((part) => (make[part.surface] as (part: Part) => Channel)(part));
}

/** The GPU that a selector means: in NVML, else in what the host engines list. */
export async function identify(
  { nvml, dcgm }: Pick<ChannelParts, 'nvml' | 'dcgm'>,
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

function known(gpu: GpuIdentity | undefined): GpuIdentity {
  if (gpu !== undefined) return gpu;
  throw new Refusal('gpu_unknown', 'gpu: a value of the host engine is one of a GPU', { field: 'gpu' });
}

async function listened(
  dcgm: Dcgm,
  choose: () => Promise<HostEngineFacts>,
  force: boolean,
): Promise<HostEngineFacts> {
  const engine = await choose();
  if (!force && !engine.nma.listening) assertListened(engine, await dcgm.list());
  return engine;
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
