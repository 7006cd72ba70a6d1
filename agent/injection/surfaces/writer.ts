import type { GpuIdentity, NvmlAnswer } from '../../../shared/gpu-identity.ts';
import type { HostEngineFacts } from '../../../shared/schemas/inventory.ts';
import type { MethodCall } from '../../../shared/schemas/order.ts';
import type { PartOf, Surface } from '../../../shared/surfaces/table.ts';
import type { Dcgm } from '../../dcgm/client.ts';
import type { EngineProcesses } from '../../engine-process/port.ts';
import type { SystemJournal } from '../../host-files/journald/port.ts';
import type { HostFiles } from '../../host-files/port.ts';
import type { KernelLog } from '../../kernel-log/port.ts';
import type { Nvml } from '../../nvml/port.ts';
import type { Channel } from '../channel.ts';
import type { Recover } from '../recovery.ts';

/** The adapters that surfaces write through. */
export type NodePorts = {
  readonly kernelLog: KernelLog;
  readonly nvml: Nvml;
  readonly dcgm: Dcgm;
  readonly hostFiles: HostFiles;
  readonly systemJournal: SystemJournal;
  readonly engineProcesses: EngineProcesses;
  /** Takes back what an earlier process has left. */
  readonly recover: Recover;
};

/** What all parts of one order share on this node. Each question is asked once, by the first part that needs it. */
export type OrderOnNode = NodePorts & {
  readonly call: MethodCall;
  /** The GPU that the order names; undefined: its method takes none. */
  readonly gpu: GpuIdentity | undefined;
  /** Whether it is carried out although no listener or no reaction is known. */
  readonly force: boolean;
  readonly gpus: () => Promise<NvmlAnswer>;
  /** The host engine that the order goes to: the same one for all parts. */
  readonly engine: () => Promise<HostEngineFacts>;
};

/** How a surface is written and read back: a channel for one part of an order. Asks the node, and writes nothing. */
export type SurfaceWriter<S extends Surface> = (part: PartOf<S>, on: OrderOnNode) => Channel;
