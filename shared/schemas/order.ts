import Type, { type Static } from 'typebox';
import { type SurfaceMethods, surfaceMethods } from '../surfaces/table.ts';
import { highestXid } from '../xid/number.ts';
import {
  EngineSelector,
  force,
  forSeconds,
  GpuSelector,
  longestSustainSeconds,
  OrderId,
} from './order-members.ts';

/** The surfaces of an Xid. */
export const XidSurface = Type.Enum(['kernel-log', 'dcgm']);
const xidSurfaces = Type.Array(XidSurface, { minItems: 1, maxItems: 2, uniqueItems: true });

/** Behind `pid=` in logs of drivers that did not know the process. */
const unknownPids = ["'<unknown>'", '<unknown>', "'N/A'"] as const;

/** What an Xid line says beside address, number and text; all of it has a default that a driver would print. */
const xidDetails = {
  process: Type.Optional(
    Type.Object(
      {
        pid: Type.Union([Type.Integer({ minimum: 0, maximum: 4194304 }), Type.Enum([...unknownPids])], {
          description: 'a number, or literally what drivers print for none',
        }),
        name: Type.Optional(
          Type.String({ minLength: 1, maxLength: 64, description: 'absent: no name is printed' }),
        ),
      },
      { additionalProperties: false, description: 'the process the driver would name' },
    ),
  ),
  detail: Type.Optional(
    Type.String({ maxLength: 600, description: 'text after the number; default: a driver’s own' }),
  ),
  previousXid: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 255, description: 'Xid 45: "caused by previous Xid N"' }),
  ),
  recoveryAction: Type.Optional(
    Type.Enum(['none', 'gpu-reset', 'node-reboot', 'drain-p2p', 'drain-and-reset'], {
      description: 'Xid 154: the action that it changes to',
    }),
  ),
  nvlink: Type.Optional(
    Type.Object(
      {
        unit: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: 48,
            pattern: '^[A-Z0-9_/]+$',
            description: 'upper case letters, digits, underscores and slashes',
          }),
        ),
        severity: Type.Optional(Type.Enum(['Fatal', 'Nonfatal'])),
        crossbar: Type.Optional(Type.Integer({ minimum: 0, maximum: 1, description: 'XC0 or XC1' })),
        injected: Type.Optional(
          Type.Boolean({ description: 'default true: i1, the driver’s own mark of an injected error' }),
        ),
        link: Type.Optional(Type.Integer({ minimum: -1, maximum: 71 })),
        words: Type.Optional(
          Type.Array(Type.Integer({ minimum: 0, maximum: 4294967295 }), { minItems: 2, maxItems: 6 }),
        ),
      },
      { additionalProperties: false, description: 'Xid 144 to 150' },
    ),
  ),
};

/** The driver whose text is written; NVML's own by default. */
const driver = Type.Optional(
  Type.String({ pattern: '^\\d{3}(\\.\\d+){0,2}$', description: 'a driver version, such as 580.105.08' }),
);
const mig = Type.Optional(
  Type.Object(
    {
      gpuInstance: Type.Integer({ minimum: 0, maximum: 99 }),
      computeInstance: Type.Optional(Type.Integer({ minimum: 0, maximum: 99 })),
    },
    { additionalProperties: false, description: 'GPU-I and GPU-CI of a MIG device' },
  ),
);
const acceptRisk = Type.Optional(Type.Boolean({ description: 'yes to Xid 79 or 120 in the kernel log' }));

/** One Xid, on the kernel log as its driver prints it, in the host engine as field 230, or both. */
export const InjectXid = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    gpu: GpuSelector,
    xid: Type.Integer({ minimum: 1, maximum: highestXid }),
    surfaces: xidSurfaces,
    ...xidDetails,
    driver,
    mig,
    companions: Type.Optional(
      Type.Union([Type.Boolean(), Type.Literal('probe')], {
        description:
          'kernel log: also the lines that a driver prints beside this Xid; probe: with 79, those of a later load too',
      }),
    ),
    engine: Type.Optional(EngineSelector),
    forSeconds: Type.Optional(
      Type.Integer({
        ...forSeconds,
        description:
          'dcgm: injected again every 20 s for so long, so that a health check does not replace its reason; the kernel log gets it once',
      }),
    ),
    acceptRisk,
    force,
  },
  { $id: 'InjectXid', additionalProperties: false },
);
export type InjectXid = Static<typeof InjectXid>;

/** Xids in order. On the dcgm surface they need 6 s between them: the engine drops alerts that come sooner. */
export const InjectCascade = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    gpu: GpuSelector,
    surfaces: xidSurfaces,
    steps: Type.Array(
      Type.Object(
        {
          xid: Type.Integer({ minimum: 1, maximum: highestXid }),
          afterSeconds: Type.Number({
            minimum: 0,
            maximum: longestSustainSeconds,
            description: 'after the order was accepted; not before the step in front of it',
          }),
          ...xidDetails,
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 32 },
    ),
    driver,
    mig,
    engine: Type.Optional(EngineSelector),
    acceptRisk,
    force,
  },
  { $id: 'InjectCascade', additionalProperties: false },
);
export type InjectCascade = Static<typeof InjectCascade>;

/** An error of an NVSwitch: three lines of the kernel log, as its driver prints them (Hopper and earlier). */
export const InjectSxid = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    sxid: Type.Integer({ minimum: 10000, maximum: 99999 }),
    switch: Type.Object(
      {
        index: Type.Integer({ minimum: 0, maximum: 63 }),
        pci: Type.String({ minLength: 1, maxLength: 32, description: 'with its function' }),
      },
      { additionalProperties: false },
    ),
    severity: Type.Optional(Type.Enum(['Fatal', 'Non-fatal'])),
    link: Type.Optional(Type.Integer({ minimum: 0, maximum: 99 })),
    detail: Type.Optional(Type.String({ maxLength: 600 })),
  },
  { $id: 'InjectSxid', additionalProperties: false },
);
export type InjectSxid = Static<typeof InjectSxid>;

/** The schemas of all methods that write something; the others only read. */
export const orderMethods = {
  InjectXid,
  InjectCascade,
  InjectSxid,
  ...(Object.fromEntries(Object.entries(surfaceMethods).map(([name, { body }]) => [name, body])) as {
    [M in keyof SurfaceMethods]: SurfaceMethods[M]['body'];
  }),
} as const;
/** The methods of the agent that write something. */
export type OrderMethod = keyof typeof orderMethods;

/** What the engine's cache has of a field on a GPU; writes nothing. */
export const IntrospectDcgmField = Type.Object(
  {
    gpu: GpuSelector,
    field: Type.Union([Type.Integer(), Type.String({ minLength: 1, maxLength: 96 })]),
    engine: Type.Optional(EngineSelector),
  },
  { $id: 'IntrospectDcgmField', additionalProperties: false },
);
export type IntrospectDcgmField = Static<typeof IntrospectDcgmField>;

/** An earlier order, by its id. */
export const OrderReference = Type.Object(
  { orderId: OrderId },
  { $id: 'OrderReference', additionalProperties: false },
);

/** Which records to stream, and when to end. */
export const TailKernelLog = Type.Object(
  {
    from: Type.Optional(Type.Union([Type.Literal('end'), Type.Literal('oldest')])),
    match: Type.Optional(
      Type.String({ maxLength: 256, description: 'only records whose text contains this' }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100000, description: 'ends after so many records' }),
    ),
    forSeconds: Type.Optional(
      Type.Number({ minimum: 0.1, maximum: 3600, description: 'ends after this time' }),
    ),
  },
  { $id: 'TailKernelLog', additionalProperties: false },
);
export type TailKernelLog = Static<typeof TailKernelLog>;

/** The body of a method without arguments. */
export const Empty = Type.Object({}, { $id: 'Empty', additionalProperties: false });

/** The body of one method, as the agent takes it; the id is beside it. */
export type OrderBody<M extends OrderMethod> = Omit<Static<(typeof orderMethods)[M]>, 'orderId'>;

/** A method that writes something, with its body: what an order asks for. `method` tells which body it is. */
export type MethodCall = {
  [M in OrderMethod]: { readonly method: M; readonly body: OrderBody<M> };
}[OrderMethod];

/** One order to one agent: a method call under an id, which makes it happen once. */
export type AgentOrder = MethodCall & { readonly orderId: string };

/**
 * An AgentOrder as it is stored and answered. The body is open here: a structural schema of Kubernetes has no
 * alternatives of different shape. `parseCall` (shared/orders/call.ts) checked it before it was stored, and the agent
 * checks it again.
 */
export const AgentOrder = Type.Unsafe<AgentOrder>(
  Type.Object(
    {
      orderId: Type.String(),
      method: Type.Enum(Object.keys(orderMethods) as OrderMethod[]),
      body: Type.Record(Type.String(), Type.Unknown()),
    },
    { additionalProperties: false },
  ),
);
