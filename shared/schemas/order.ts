import Type, { type Static } from 'typebox';
import { kmsgLevels } from '../kmsg-record.ts';
import { Surface } from './receipt.ts';

/** Letters, digits, dot, dash and underscore: the id is a file name in the journal. */
export const OrderId = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
  description: 'the same id again answers with the same receipt and injects nothing; made if absent',
});

/** Exactly one of the three. */
export const GpuSelector = Type.Object(
  {
    index: Type.Optional(Type.Integer({ minimum: 0, description: 'NVML index' })),
    uuid: Type.Optional(Type.String({ minLength: 1, maxLength: 96, description: 'GPU-…' })),
    pci: Type.Optional(
      Type.String({ minLength: 1, maxLength: 32, description: 'any of the four spellings' }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, description: 'one of index, uuid, pci' },
);
export type GpuSelector = Static<typeof GpuSelector>;

/** Which host engine; absent: the one that the monitoring agent listens on. */
export const EngineSelector = Type.Object(
  {
    pid: Type.Optional(Type.Integer({ minimum: 1 })),
    address: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: '127.0.0.1:5555 or unix:///path' }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, description: 'one of pid, address' },
);
export type EngineSelector = Static<typeof EngineSelector>;

export const KmsgLevelName = Type.Enum([...kmsgLevels]);

export const WriteKernelMessage = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    level: Type.Optional(KmsgLevelName),
    text: Type.String({ maxLength: 8192, description: 'one line of printable ASCII' }),
    acceptRisk: Type.Optional(
      Type.Boolean({ description: 'yes to a line that a host engine acts on (Xid 79, 120)' }),
    ),
  },
  { $id: 'WriteKernelMessage', additionalProperties: false },
);
export type WriteKernelMessage = Static<typeof WriteKernelMessage>;

const force = Type.Optional(
  Type.Boolean({ description: 'inject although nobody listens or nobody reacts; the receipt says so' }),
);

export const InjectXid = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    gpu: GpuSelector,
    xid: Type.Integer({ minimum: 1, maximum: 65535 }),
    surfaces: Type.Array(Surface, { minItems: 1, maxItems: 2, uniqueItems: true }),
    process: Type.Optional(
      Type.Object(
        {
          pid: Type.Integer({ minimum: 0, maximum: 4194304 }),
          name: Type.String({ minLength: 1, maxLength: 64 }),
        },
        { additionalProperties: false, description: 'the process the driver would name' },
      ),
    ),
    detail: Type.Optional(
      Type.String({ maxLength: 600, description: 'text after the number; default: a driver’s own' }),
    ),
    engine: Type.Optional(EngineSelector),
    acceptRisk: Type.Optional(Type.Boolean({ description: 'yes to Xid 79 or 120 in the kernel log' })),
    force,
  },
  { $id: 'InjectXid', additionalProperties: false },
);
export type InjectXid = Static<typeof InjectXid>;

export const InjectDcgmField = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    gpu: GpuSelector,
    field: Type.Union([Type.Integer(), Type.String({ minLength: 1, maxLength: 96 })], {
      description: 'number or name of shared/dcgm-fields',
    }),
    value: Type.Union([Type.Number(), Type.String({ maxLength: 256 })], {
      description:
        'whole number, number or text, by the type of the field; a decimal string keeps 64 bits exact',
    }),
    offsetSeconds: Type.Optional(
      Type.Integer({ minimum: 0, description: 'seconds into the future for the sample; 1 by default' }),
    ),
    engine: Type.Optional(EngineSelector),
    force,
  },
  { $id: 'InjectDcgmField', additionalProperties: false },
);
export type InjectDcgmField = Static<typeof InjectDcgmField>;

export const IntrospectDcgmField = Type.Object(
  {
    gpu: GpuSelector,
    field: Type.Union([Type.Integer(), Type.String({ minLength: 1, maxLength: 96 })]),
    engine: Type.Optional(EngineSelector),
  },
  { $id: 'IntrospectDcgmField', additionalProperties: false },
);
export type IntrospectDcgmField = Static<typeof IntrospectDcgmField>;

export const OrderReference = Type.Object(
  { orderId: OrderId },
  { $id: 'OrderReference', additionalProperties: false },
);

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

export const Empty = Type.Object({}, { $id: 'Empty', additionalProperties: false });
