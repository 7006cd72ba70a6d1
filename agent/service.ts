import type { TSchema } from 'typebox';
import Type from 'typebox';
import type { Clock } from '../shared/clock.ts';
import { findField } from '../shared/dcgm-fields/find.ts';
import { Refusal } from '../shared/errors.ts';
import { pciToNvml } from '../shared/pci.ts';
import { GpuFacts, HostEngineFacts, Inventory } from '../shared/schemas/inventory.ts';
import type { GpuSelector } from '../shared/schemas/order.ts';
import {
  Empty,
  InjectDcgmField,
  InjectXid,
  IntrospectDcgmField,
  OrderReference,
  WriteKernelMessage,
} from '../shared/schemas/order.ts';
import { Introspection, Receipt } from '../shared/schemas/receipt.ts';
import { renderXidLine } from '../shared/xid/line.ts';
import type { Dcgm } from './dcgm/client.ts';
import { createDcgmChannel } from './injection/dcgm-channel.ts';
import { addressIsGpu, type GpuIdentity, identifyGpu } from './injection/gpu-identity.ts';
import { createKernelLogChannel } from './injection/kernel-log-channel.ts';
import type { Channel, Orders } from './injection/orders.ts';
import { createInventory } from './inventory/inventory.ts';
import type { KernelLog } from './kernel-log/port.ts';
import type { Nvml } from './nvml/port.ts';

export type AgentParts = {
  readonly node: string;
  readonly agentVersion: string;
  readonly armed: boolean;
  readonly architecture: string;
  readonly bootId: string | null;
  readonly kernelLog: KernelLog;
  readonly nvml: Nvml;
  readonly dcgm: Dcgm;
  readonly orders: Orders;
  readonly clock: Clock;
};

/** One row per unary method: its name, what goes in, what comes out. `TailKernelLog` streams and stands in tail.ts. */
export type Method = {
  readonly name: string;
  readonly request: TSchema;
  readonly response: TSchema;
  /** The body has been validated against `request`. */
  call(body: never): Promise<object>;
};

const xidField = 230;

export function createMethods(parts: AgentParts): readonly Method[] {
  const { kernelLog, nvml, dcgm, orders } = parts;

  async function identify(selector: GpuSelector): Promise<GpuIdentity> {
    const answer = await nvml.list();
    const engines = answer.available ? [] : await dcgm.list();
    return identifyGpu(selector, answer, engines);
  }

  async function kernelLogChannel(options: {
    text: string;
    level: NonNullable<WriteKernelMessage['level']>;
    field: string;
    xidField: 'xid' | 'text';
    acceptRisk: boolean;
    notes: readonly string[];
  }): Promise<Channel> {
    const answer = /Xid/.test(options.text) ? await nvml.list() : undefined;
    return createKernelLogChannel({
      ...options,
      kernelLog,
      isGpu: (address) => (answer === undefined ? 'unknown' : addressIsGpu(address, answer)),
    });
  }

  async function xidChannels(body: InjectXid): Promise<readonly Channel[]> {
    const gpu = await identify(body.gpu);
    const channels: Record<InjectXid['surfaces'][number], () => Promise<Channel>> = {
      'kernel-log': () =>
        kernelLogChannel({
          text: renderXidLine({
            pci: pciOf(gpu, body.gpu),
            xid: body.xid,
            ...(body.process === undefined ? {} : { process: body.process }),
            ...(body.detail === undefined ? {} : { detail: body.detail }),
          }),
          level: 'err',
          field: body.detail === undefined ? 'process.name' : 'detail',
          xidField: 'xid',
          acceptRisk: body.acceptRisk ?? false,
          notes: gpu.notes,
        }),
      dcgm: async () =>
        createDcgmChannel({
          dcgm,
          gpu,
          field: findField(xidField),
          value: body.xid,
          engine: body.engine,
          force: body.force ?? false,
        }),
    };
    return Promise.all(body.surfaces.map((surface) => channels[surface]()));
  }

  return [
    {
      name: 'GetInventory',
      request: Empty,
      response: Inventory,
      call: async () => {
        const [answer, engines] = await Promise.all([nvml.list(), dcgm.list()]);
        return createInventory({ ...parts, nvml: answer, engines });
      },
    },
    {
      name: 'ListGpus',
      request: Empty,
      response: Type.Object({ driverVersion: Type.String(), gpus: Type.Array(GpuFacts) }),
      call: async () => {
        const answer = await nvml.list();
        if (answer.available) return { driverVersion: answer.driverVersion, gpus: answer.gpus };
        throw new Refusal('nvml_unavailable', `NVML is unavailable: ${answer.because}`, {
          remedy: 'GetInventory shows what this node can do without it',
        });
      },
    },
    {
      name: 'ListHostEngines',
      request: Empty,
      response: Type.Object({ engines: Type.Array(HostEngineFacts) }),
      call: async () => ({ engines: await dcgm.list() }),
    },
    {
      name: 'WriteKernelMessage',
      request: WriteKernelMessage,
      response: Receipt,
      call: ({ orderId, ...asked }: WriteKernelMessage) =>
        orders.carryOut({ ...named(orderId), method: 'WriteKernelMessage', asked }, async () => [
          await kernelLogChannel({
            text: asked.text,
            level: asked.level ?? 'err',
            field: 'text',
            xidField: 'text',
            acceptRisk: asked.acceptRisk ?? false,
            notes: [],
          }),
        ]),
    },
    {
      name: 'InjectXid',
      request: InjectXid,
      response: Receipt,
      call: ({ orderId, ...asked }: InjectXid) =>
        orders.carryOut({ ...named(orderId), method: 'InjectXid', asked }, () => xidChannels(asked)),
    },
    {
      name: 'InjectDcgmField',
      request: InjectDcgmField,
      response: Receipt,
      call: ({ orderId, ...asked }: InjectDcgmField) =>
        orders.carryOut({ ...named(orderId), method: 'InjectDcgmField', asked }, async () => {
          const field = findField(asked.field);
          return [
            createDcgmChannel({
              dcgm,
              gpu: await identify(asked.gpu),
              field,
              value: asked.value,
              offsetSeconds: asked.offsetSeconds,
              engine: asked.engine,
              force: asked.force ?? false,
            }),
          ];
        }),
    },
    {
      name: 'IntrospectDcgmField',
      request: IntrospectDcgmField,
      response: Type.Object({
        engine: HostEngineFacts,
        gpuId: Type.Integer(),
        field: Type.Integer(),
        entry: Type.Union([Introspection, Type.Null()], { description: 'null: never watched nor injected' }),
      }),
      call: async (body: IntrospectDcgmField) => {
        const field = findField(body.field);
        const gpu = await identify(body.gpu);
        const engine = await dcgm.choose(body.engine, { force: true });
        const gpuId = dcgm.gpuIdFor(engine, {
          uuid: gpu.uuid,
          pci: gpu.pci === undefined ? undefined : pciToNvml(gpu.pci),
        });
        return { engine, gpuId, field: field.id, entry: await dcgm.introspect(engine, gpuId, field.id) };
      },
    },
    {
      name: 'GetReceipt',
      request: OrderReference,
      response: Receipt,
      call: async ({ orderId }: { orderId: string }) => orders.receipt(orderId),
    },
    {
      name: 'StopInjection',
      request: OrderReference,
      response: Receipt,
      call: async ({ orderId }: { orderId: string }) => {
        const receipt = orders.receipt(orderId);
        throw new Refusal(
          'nothing_to_stop',
          `orderId: ${orderId} has ${receipt.state}; a single injection leaves nothing running`,
          {
            field: 'orderId',
            remedy: receipt.surfaces.map(({ surface, undo }) => `${surface}: ${undo}`).join('; '),
            receipt,
          },
        );
      },
    },
  ];
}

function named(orderId: string | undefined): { orderId?: string } {
  return orderId === undefined ? {} : { orderId };
}

function pciOf(gpu: GpuIdentity, selector: GpuSelector): NonNullable<GpuIdentity['pci']> {
  if (gpu.pci !== undefined) return gpu.pci;
  throw new Refusal('gpu_unknown', 'gpu: its PCI address is not known, and the kernel log names GPUs by it', {
    field: 'gpu',
    value: selector,
  });
}
