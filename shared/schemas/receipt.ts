import Type, { type Static } from 'typebox';

/**
 * Where a fault is written. `journal`: a kernel record `identifier: text`, which journald files under that identifier.
 * `host-engine`: the process of a DCGM host engine is paused.
 */
export const surfaces = ['kernel-log', 'dcgm', 'journal', 'log-file', 'host-engine'] as const;
/** Where a fault is written. */
export const Surface = Type.Enum([...surfaces], {
  description: 'where a fault is written: a log of the node, the cache of a DCGM host engine, or its process',
});
export type Surface = Static<typeof Surface>;

/** RFC 3339 with milliseconds, UTC. Which clock it is from stands beside it. */
export const Timestamp = Type.String({ description: 'RFC 3339, UTC' });

/** The record as it was found in the kernel log after the write. */
export const KernelLogReadBack = Type.Object(
  {
    sequence: Type.Integer({ description: "the kernel's sequence number of the record: the proof" }),
    record: Type.String({
      description: 'the record as a reader gets it: priority,sequence,microseconds,flags;text',
    }),
    priority: Type.Integer({ description: 'user space cannot write facility 0: level 3 comes back as 11' }),
    microseconds: Type.Integer({ description: "since boot, the kernel's clock" }),
  },
  { additionalProperties: false },
);
export type KernelLogReadBack = Static<typeof KernelLogReadBack>;

/** `dcgmi test --introspect`: the state of one field's cache entry on one GPU. */
export const Introspection = Type.Object(
  {
    fieldTag: Type.String({ description: 'the tag that dcgmi prints, such as xid_errors' }),
    watched: Type.Boolean(),
    samples: Type.Integer({ description: 'grows by one only where somebody watches' }),
    newest: Type.Union([Timestamp, Type.Null()], { description: 'null: no sample' }),
    oldest: Type.Union([Timestamp, Type.Null()]),
    watchers: Type.Integer({ description: '0: nothing will react' }),
    monitorIntervalMs: Type.Integer(),
    maxAgeSeconds: Type.Integer(),
    lastStatus: Type.Integer({
      description: 'of the last real reading, as NVML numbers it: 0 OK, 3 not supported on this GPU',
    }),
  },
  { additionalProperties: false },
);
export type Introspection = Static<typeof Introspection>;

/** The engine's entry of the field before and after the injection. */
export const DcgmReadBack = Type.Object(
  {
    before: Type.Union([Introspection, Type.Null()], {
      description: 'null: the engine had no entry for the field',
    }),
    after: Introspection,
  },
  { additionalProperties: false },
);
export type DcgmReadBack = Static<typeof DcgmReadBack>;

/** The host engine that was written into. */
export const EngineIdentity = Type.Object(
  {
    pid: Type.Integer(),
    podUid: Type.Union([Type.String(), Type.Null()]),
    container: Type.Union([Type.String(), Type.Null()]),
    version: Type.Union([Type.String(), Type.Null()]),
    address: Type.String(),
    listeners: Type.String({ description: 'who listens there, as found before the injection' }),
  },
  { additionalProperties: false },
);
export type EngineIdentity = Static<typeof EngineIdentity>;

/** What was read back of a line that was appended to a file. */
export const LogFileReadBack = Type.Object(
  {
    path: Type.String({ description: 'on the node' }),
    offset: Type.Integer({ description: 'bytes before the line' }),
    line: Type.String({ description: 'as it stands there' }),
  },
  { additionalProperties: false },
);
export type LogFileReadBack = Static<typeof LogFileReadBack>;

/** The process in /proc after the signal. */
export const ProcessReadBack = Type.Object(
  { pid: Type.Integer(), state: Type.String({ description: 'of /proc/PID/stat: T is stopped' }) },
  { additionalProperties: false },
);
export type ProcessReadBack = Static<typeof ProcessReadBack>;

/** A part that lasts: a value that is written again and again, a sample that is held, a process that is paused. */
export const Sustained = Type.Object(
  {
    everySeconds: Type.Union([Type.Number(), Type.Null()], { description: 'null: held, not repeated' }),
    until: Timestamp,
    beats: Type.Integer({ description: 'how often it was written, the first time included' }),
    failures: Type.Integer({
      description: 'refreshes that could not be read back; `message` has the reason of the last one',
    }),
    lastAt: Timestamp,
    // Left out, not null: a stored member with an enum cannot be null (see coordinator/cluster/structural-schema.ts).
    ended: Type.Optional(
      Type.Enum(['deadline', 'stopped', 'agent-restarted', 'failed'], {
        description: 'how it ended; absent while it is active',
      }),
    ),
  },
  { additionalProperties: false },
);
export type Sustained = Static<typeof Sustained>;

/** What happened on one surface; one entry per write of an order. `refused`: nothing was written. `failed`: it was tried and is not proven. */
export const SurfaceResult = Type.Object(
  {
    surface: Surface,
    outcome: Type.Union([Type.Literal('injected'), Type.Literal('refused'), Type.Literal('failed')]),
    code: Type.Optional(Type.String({ description: 'a reason of shared/errors.ts, on refusal and failure' })),
    message: Type.Optional(Type.String()),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    written: Type.Optional(Type.String({ description: 'the record text, or the dcgmi command line' })),
    readBack: Type.Optional(Type.Union([KernelLogReadBack, DcgmReadBack, LogFileReadBack, ProcessReadBack])),
    afterSeconds: Type.Optional(
      Type.Number({ description: 'planned time after the order was accepted; absent: at once' }),
    ),
    sustained: Type.Optional(Sustained),
    engine: Type.Optional(EngineIdentity),
    at: Type.Optional(Type.String({ description: "RFC 3339, the node's clock, when it was written" })),
    undo: Type.String({ description: 'what takes it back, or until when it stays' }),
    notes: Type.Array(Type.String()),
  },
  { additionalProperties: false },
);
export type SurfaceResult = Static<typeof SurfaceResult>;

/** What became of an order, surface by surface. The same order id answers with the same receipt. */
export const Receipt = Type.Object(
  {
    orderId: Type.String(),
    node: Type.String(),
    method: Type.String({ description: 'of the agent, such as InjectXid' }),
    asked: Type.Record(Type.String(), Type.Unknown(), { description: 'the request as it was accepted' }),
    state: Type.Union([Type.Literal('running'), Type.Literal('ended'), Type.Literal('interrupted')]),
    acceptedAt: Timestamp,
    endedAt: Type.Union([Timestamp, Type.Null()]),
    replayed: Type.Boolean({
      description: 'true: this order was carried out earlier; nothing was injected now',
    }),
    surfaces: Type.Array(SurfaceResult),
  },
  { $id: 'Receipt', additionalProperties: false },
);
export type Receipt = Static<typeof Receipt>;
