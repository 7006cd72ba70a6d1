import Type, { type Static } from 'typebox';
import { kmsgLevels } from '../kmsg-record.ts';
import { highestXid } from '../xid/number.ts';

/** Letters, digits, dot, dash and underscore: the id is a file name in the journal. */
export const OrderId = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
  description:
    'letters, digits, dots, dashes and underscores, the first a letter or digit; the same id again answers with the same receipt and injects nothing; made if absent',
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

/** Level of a record in the kernel log, by syslog's name. */
export const KmsgLevelName = Type.Enum([...kmsgLevels]);

/** One line in the kernel log, as it stands. */
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

/** How long something lasts; it ends earlier by StopInjection, and when the agent starts again. */
export const longestSustainSeconds = 3600;
const forSeconds = Type.Integer({
  minimum: 1,
  maximum: longestSustainSeconds,
  description: 'lasts so long at the most; StopInjection ends it earlier',
});

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

/** Who is to react to a value; it decides how the value is written. */
export const Reach = Type.Enum(['policy', 'health', 'watch']);
export type Reach = Static<typeof Reach>;

/** A value of a DCGM field in the cache of a host engine, once or sustained. */
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
    reach: Type.Optional(Reach),
    forSeconds: Type.Optional(forSeconds),
    everySeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 20,
        description: 'with forSeconds: written again so often; default: by the recipe of the field',
      }),
    ),
    engine: Type.Optional(EngineSelector),
    force,
  },
  { $id: 'InjectDcgmField', additionalProperties: false },
);
export type InjectDcgmField = Static<typeof InjectDcgmField>;

/** Repeated lines, for reactions that need several of them. */
const times = {
  times: Type.Optional(Type.Integer({ minimum: 1, maximum: 20, description: 'how often; 1 by default' })),
  gapSeconds: Type.Optional(
    Type.Number({ minimum: 0, maximum: 600, description: 'between them; 0 by default' }),
  ),
};

/** Journal lines are selected by their identifier, which journald takes from the head of a kernel record. */
export const WriteJournalMessage = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    identifier: Type.Enum(['kubelet', 'systemd']),
    text: Type.String({ maxLength: 900, description: 'one line of printable ASCII' }),
    ...times,
  },
  { $id: 'WriteJournalMessage', additionalProperties: false },
);
export type WriteJournalMessage = Static<typeof WriteJournalMessage>;

/** Files of the node that the monitoring agent tails; nothing else is ever appended to. */
export const logFiles = {
  ipamd: '/var/log/aws-routed-eni/ipamd.log',
  messages: '/var/log/messages',
  cron: '/var/log/cron.log',
} as const;
/** By the file's role, not by its path: see `logFiles`. */
export type LogFileName = keyof typeof logFiles;

/** A line at the end of a file that NMA follows; the file has to exist. */
export const AppendLogLine = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    file: Type.Enum(['ipamd', 'messages', 'cron'], { description: 'ipamd.log, messages or cron.log' }),
    text: Type.String({ maxLength: 900, description: 'one line of printable ASCII' }),
    ...times,
  },
  { $id: 'AppendLogLine', additionalProperties: false },
);
export type AppendLogLine = Static<typeof AppendLogLine>;

/** Stops a host engine by SIGSTOP and continues it after `forSeconds`. */
export const PauseHostEngine = Type.Object(
  { orderId: Type.Optional(OrderId), forSeconds, engine: Type.Optional(EngineSelector), force },
  { $id: 'PauseHostEngine', additionalProperties: false },
);
export type PauseHostEngine = Static<typeof PauseHostEngine>;

/** Methods that write something; the others only read. */
export const orderMethods = {
  WriteKernelMessage,
  InjectXid,
  InjectCascade,
  InjectSxid,
  InjectDcgmField,
  WriteJournalMessage,
  AppendLogLine,
  PauseHostEngine,
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
