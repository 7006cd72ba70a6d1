import type { TSchema } from 'typebox';
import Type from 'typebox';
import type { Clock } from '../shared/clock.ts';
import { findField } from '../shared/dcgm-fields/find.ts';
import { namesOf } from '../shared/engines/choose.ts';
import { Refusal } from '../shared/errors.ts';
import { type AgentLack, GpuFacts, HostEngineFacts, Inventory } from '../shared/schemas/inventory.ts';
import { KillSwitchState, KillSwitchUpdate } from '../shared/schemas/kill-switch.ts';
import {
  Empty,
  IntrospectDcgmField,
  type MethodCall,
  type OrderMethod,
  OrderReference,
  orderMethods,
} from '../shared/schemas/order.ts';
import { Introspection } from '../shared/schemas/read-back.ts';
import { Receipt } from '../shared/schemas/receipt.ts';
import type { KillSwitch } from './injection/kill-switch.ts';
import type { Orders } from './injection/orders.ts';
import { channelsFor, identify } from './injection/parts.ts';
import type { NodePorts } from './injection/surfaces/writer.ts';
import {
  createInventory,
  isDriverLoaded,
  lookAtEngines,
  lookAtLogFiles,
  lookAtOptIn,
} from './inventory/inventory.ts';
import type { DirectPolicy } from './policy/direct.ts';
import type { OptIn } from './policy/opt-in.ts';

/** Everything the methods act on, and the facts that `GetInventory` reports as they are. */
export type AgentParts = NodePorts & {
  /** The Node's name in Kubernetes; orders for another one are refused with `wrong_node`. */
  readonly node: string;
  readonly agentVersion: string;
  /** False: every injection is refused with `disarmed`. */
  readonly armed: boolean;
  /** `amd64` or `arm64`, as in the label kubernetes.io/arch. */
  readonly architecture: string;
  /** From /proc/sys/kernel/random/boot_id; null: the kernel does not report it. */
  readonly bootId: string | null;
  readonly orders: Orders;
  readonly killSwitch: KillSwitch;
  /** Absent: no consent of the node is asked for. */
  readonly optIn?: OptIn;
  /** What direct callers may do; absent: everything that the gate lets them. */
  readonly direct?: DirectPolicy;
  /** What the agent itself lacks, as far as that shows without asking anybody; absent: nothing is looked at. */
  readonly means?: () => Promise<readonly AgentLack[]>;
  readonly clock: Clock;
};

/** One row per unary method: its name, what goes in, what comes out. `TailKernelLog` streams and stands in tail.ts. */
export type Method = {
  /** The last part of the path, `InjectXid`. */
  readonly name: string;
  /** One line for the OpenAPI document. */
  readonly summary: string;
  /** What the caller must be allowed to do to this node. */
  readonly verb: 'get' | 'inject';
  /** Bodies that do not match are refused with `parameter_invalid` before `call`. */
  readonly request: TSchema;
  /** For the OpenAPI document; answers are not checked against it. */
  readonly response: TSchema;
  /** The body has been validated against `request`; `caller` is the user, where callers have names. */
  call(body: never, caller: string | undefined): Promise<object>;
};

/** All unary methods of the agent, in the order in which README lists them. */
export function createMethods(parts: AgentParts): readonly Method[] {
  const { nvml, dcgm, orders } = parts;

  return [
    {
      name: 'GetInventory',
      summary: 'What this node can be drilled with; what is missing says why',
      verb: 'get',
      request: Empty,
      response: Inventory,
      call: async (_body: object, caller) => {
        const [answer, engines, logFiles, noJournal, unreadJournal, consent, lacks, hasDriver] =
          await Promise.all([
            nvml.list(),
            dcgm.list(),
            lookAtLogFiles(parts.hostFiles),
            parts.systemJournal.whyNone(),
            parts.systemJournal.whyUnread(),
            lookAtOptIn(parts.optIn),
            parts.means?.() ?? [],
            isDriverLoaded(),
          ]);
        const pausable = await lookAtEngines(engines, parts.engineProcesses);
        const found = { nvml: answer, engines, logFiles, noJournal, unreadJournal, pausable };
        const seen = { ...found, consent, lacks, hasDriver, caller: parts.direct?.describe(caller) };
        return createInventory({ ...parts, ...seen });
      },
    },
    {
      name: 'ListGpus',
      summary: 'The GPUs as NVML has them',
      verb: 'get',
      request: Empty,
      response: Type.Object({ driverVersion: Type.String(), gpus: Type.Array(GpuFacts) }, { $id: 'GpuList' }),
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
      summary: 'Every DCGM host engine with its process, pod, version and listeners',
      verb: 'get',
      request: Empty,
      response: Type.Object({ engines: Type.Array(HostEngineFacts) }, { $id: 'HostEngineList' }),
      call: async () => ({ engines: await dcgm.list() }),
    },
    ...writingMethods(parts),
    {
      name: 'IntrospectDcgmField',
      summary: 'The state of a field in a host engine',
      verb: 'get',
      request: IntrospectDcgmField,
      response: Type.Object({
        engine: HostEngineFacts,
        gpuId: Type.Integer(),
        field: Type.Integer(),
        entry: Type.Union([Introspection, Type.Null()], { description: 'null: never watched nor injected' }),
      }),
      call: async (body: IntrospectDcgmField) => {
        const field = findField(body.field);
        const gpu = await identify(parts, body.gpu);
        const engine = await dcgm.choose(body.engine, { force: true });
        const gpuId = dcgm.gpuIdFor(engine, namesOf(gpu));
        return { engine, gpuId, field: field.id, entry: await dcgm.introspect(engine, gpuId, field.id) };
      },
    },
    {
      name: 'GetReceipt',
      summary: 'What became of an order',
      verb: 'get',
      request: OrderReference,
      response: Receipt,
      call: async ({ orderId }: { orderId: string }) => orders.receipt(orderId),
    },
    {
      name: 'SetKillSwitch',
      summary:
        'Engage or release the kill switch of this agent; released also renews the lease of what goes on',
      verb: 'inject',
      request: KillSwitchUpdate,
      response: KillSwitchState,
      call: async (body: KillSwitchUpdate) => parts.killSwitch.set(body),
    },
    {
      name: 'StopInjection',
      summary: 'End an order that goes on',
      verb: 'inject',
      request: OrderReference,
      response: Receipt,
      call: ({ orderId }: { orderId: string }) => orders.stop(orderId),
    },
  ];
}

const summaries: Readonly<Record<OrderMethod, string>> = {
  WriteKernelMessage: 'Write one line in the kernel log',
  InjectXid: 'Inject an Xid on the surfaces kernel-log, dcgm or both',
  InjectCascade: 'Inject several Xids, each at its time',
  InjectSxid: 'Write the three lines of an NVSwitch error in the kernel log',
  InjectDcgmField: 'Inject a value of a DCGM field in a host engine, once or sustained',
  WriteJournalMessage: 'Write a line in the journal as the kubelet’s or systemd’s',
  AppendLogLine: 'Append a line to one of the files that the monitoring agent follows',
  PauseHostEngine: 'Pause a host engine for a given time',
};

/** Each writes what its script says (shared/orders/script.ts). */
function writingMethods(parts: AgentParts): readonly Method[] {
  return (Object.keys(orderMethods) as OrderMethod[]).map((name) => ({
    name,
    summary: summaries[name],
    verb: 'inject',
    request: orderMethods[name],
    response: Receipt,
    call: ({ orderId, ...asked }: { orderId?: string }, caller) =>
      parts.orders.carryOut(
        { ...(orderId === undefined ? {} : { orderId }), method: name, asked },
        async () => {
          // Fastify has checked the body by the schema of this very method.
          const channels = await channelsFor(parts, { method: name, body: asked } as MethodCall);
          parts.direct?.assertSurfaces(
            { caller, method: name },
            channels.map(({ surface }) => surface),
          );
          return channels;
        },
      ),
  }));
}
