import Type, { type Static } from 'typebox';

export const Surface = Type.Union([Type.Literal('kernel-log'), Type.Literal('dcgm')], {
  description: 'where a fault is written: the node’s kernel log, or the cache of a DCGM host engine',
});
export type Surface = Static<typeof Surface>;

/** RFC 3339 with milliseconds, UTC. Which clock it is from stands beside it. */
export const Timestamp = Type.String({ description: 'RFC 3339, UTC' });

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
    watchers: Type.Integer({ description: '0: nobody will react' }),
    monitorIntervalMs: Type.Integer(),
    maxAgeSeconds: Type.Integer(),
  },
  { additionalProperties: false },
);
export type Introspection = Static<typeof Introspection>;

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

/** What happened on one surface. `refused`: nothing was written. `failed`: it was tried and is not proven. */
export const SurfaceResult = Type.Object(
  {
    surface: Surface,
    outcome: Type.Union([Type.Literal('injected'), Type.Literal('refused'), Type.Literal('failed')]),
    code: Type.Optional(Type.String({ description: 'a reason of shared/errors.ts, on refusal and failure' })),
    message: Type.Optional(Type.String()),
    details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    written: Type.Optional(Type.String({ description: 'the record text, or the dcgmi command line' })),
    readBack: Type.Optional(Type.Union([KernelLogReadBack, DcgmReadBack])),
    engine: Type.Optional(EngineIdentity),
    at: Type.Optional(Type.String({ description: "RFC 3339, the node's clock, when it was written" })),
    undo: Type.String({ description: 'what takes it back, or until when it stays' }),
    notes: Type.Array(Type.String()),
  },
  { additionalProperties: false },
);
export type SurfaceResult = Static<typeof SurfaceResult>;

export const Receipt = Type.Object(
  {
    orderId: Type.String(),
    node: Type.String(),
    method: Type.String({ description: 'WriteKernelMessage, InjectXid or InjectDcgmField' }),
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
