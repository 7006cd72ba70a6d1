import Type, { type Static } from 'typebox';

/** Of an experiment and of an injection. */
export const verdicts = ['pass', 'fail', 'inconclusive', 'error', 'aborted'] as const;
/** One of `verdicts`. */
export type Verdict = (typeof verdicts)[number];
/** As an object says it; `error` for one of a later version, which nobody may take for a pass. */
export function knownVerdict(verdict: string): Verdict {
  return verdicts.find((known) => known === verdict) ?? 'error';
}
/** For stored objects and answers. */
export const VerdictSchema = Type.Enum([...verdicts]);

/** On which clock an entry's time was read; latencies are only taken between two times of one clock. */
export const TimelineEntry = Type.Object(
  {
    at: Type.String({ description: 'RFC 3339' }),
    clock: Type.Union([Type.Literal('node'), Type.Literal('api-server'), Type.Literal('coordinator')]),
    kind: Type.Union(
      [
        Type.Literal('ordered'),
        Type.Literal('injected'),
        Type.Literal('event'),
        Type.Literal('condition'),
        Type.Literal('taint'),
        Type.Literal('node'),
        Type.Literal('pod'),
        Type.Literal('gap'),
        Type.Literal('note'),
      ],
      { description: 'gap: a time in which nobody watched; what came and went then is lost' },
    ),
    source: Type.String(),
    text: Type.String(),
    match: Type.Boolean({ description: 'this entry is the expected reaction' }),
    event: Type.Optional(
      Type.Object(
        {
          uid: Type.String(),
          type: Type.String({ description: 'Warning or Normal' }),
          reason: Type.String(),
          message: Type.String(),
          count: Type.Integer({ description: 'how often it has come' }),
          component: Type.String({ description: 'who reported it; empty: not said' }),
        },
        { additionalProperties: false, description: 'of kind event' },
      ),
    ),
    condition: Type.Optional(
      Type.Object(
        { type: Type.String(), status: Type.String(), reason: Type.String(), message: Type.String() },
        { additionalProperties: false, description: 'of kind condition' },
      ),
    ),
    gap: Type.Optional(
      Type.Object(
        {
          from: Type.String({ description: 'RFC 3339' }),
          until: Type.String({ description: 'RFC 3339' }),
          lost: Type.Boolean({ description: 'what came and went in between is not known' }),
          because: Type.String(),
        },
        { additionalProperties: false, description: 'a time without a watch' },
      ),
    ),
    order: Type.Optional(
      Type.Object(
        {
          orderId: Type.String(),
          method: Type.String({ description: 'of the agent' }),
          attempts: Type.Integer({ description: 'how often it was sent, up to this entry' }),
        },
        { additionalProperties: false, description: 'an order to the agent' },
      ),
    ),
    write: Type.Optional(
      Type.Object(
        {
          surface: Type.String(),
          outcome: Type.Enum(['injected', 'refused', 'failed']),
          code: Type.Optional(Type.String({ description: 'a reason of the error table' })),
        },
        { additionalProperties: false, description: 'one surface of the receipt, where the proof is' },
      ),
    ),
  },
  { additionalProperties: false },
);
export type TimelineEntry = Static<typeof TimelineEntry>;

/** How long the reaction took, on one clock. */
export const Latency = Type.Object(
  {
    seconds: Type.Number(),
    clock: Type.Union([Type.Literal('node'), Type.Literal('coordinator')]),
    from: Type.String(),
    to: Type.String(),
  },
  { additionalProperties: false, description: 'both ends on the same clock' },
);
export type Latency = Static<typeof Latency>;
