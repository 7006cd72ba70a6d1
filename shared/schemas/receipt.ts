import Type, { type Static } from 'typebox';
import { type ReadBack, type Surface as SurfaceName, surfaceRows, surfaces } from '../surfaces/table.ts';
import { Timestamp } from './read-back.ts';

/** Where a fault is written. */
export const Surface = Type.Enum([...surfaces], {
  description: `where a fault is written: ${surfaceRows.map(({ title }) => title).join('; ')}`,
});
/** Where a fault is written. */
export type Surface = SurfaceName;

const ReadBackOfAny = Type.Unsafe<ReadBack>(
  Type.Union([...new Set(surfaceRows.map(({ readBack }) => readBack))]),
);

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
      Type.Enum(['deadline', 'stopped', 'kill-switch', 'lease-lost', 'agent-restarted', 'failed'], {
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
    readBack: Type.Optional(ReadBackOfAny),
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
