import Type, { type Static } from 'typebox';

/** What a negative drill makes of the fault's own event. */
export const EventRule = Type.Enum(['allowed', 'required', 'forbidden'], {
  description: 'of a negative drill: whether the fault’s own event may, must or must not come',
});

/** The monitor plugins of NMA: the keys `monitors.<plugin>.enabled` of its configuration (nma.md §1.0). */
export const pluginNames = [
  'kernel-monitor',
  'storage-monitor',
  'runtime',
  'networking',
  'nvidia',
  'neuron',
] as const;
/** The key of a monitor in NMA's own configuration file (`monitors.<plugin>.enabled`). */
export type PluginName = (typeof pluginNames)[number];

/**
 * How NMA gets to know of a fault (nma.md §1, §2.3): a rule on a line of the kernel log, the journal or a file; a policy
 * of DCGM, a check of its health system, a field that NMA watches; the number of GPUs; the connection to the host engine,
 * which is lost at once or, where the engine is paused, after a time-out.
 */
export const vias = [
  'kernel-log-rule',
  'journal-rule',
  'log-file-rule',
  'policy',
  'health-check',
  'watched-field',
  'device-count',
  'engine-loss',
  'engine-pause',
] as const;
/** How NMA gets to know of a fault. */
export type Via = (typeof vias)[number];

/** The ways that need the host engine: the others do without it. */
export const engineVias: readonly Via[] = [
  'policy',
  'health-check',
  'watched-field',
  'device-count',
  'engine-loss',
  'engine-pause',
];

/** What must follow an injection. Where it says nothing else, the catalogue and the agent's version decide. */
export const Expectation = Type.Object(
  {
    kind: Type.Union([Type.Literal('event'), Type.Literal('condition'), Type.Literal('none')], {
      description:
        'event: a Warning on the node; condition: status False; none: the condition stays as it is, and the event rule holds',
    }),
    type: Type.String({ description: 'condition type; also the `reason` of the event' }),
    reason: Type.String({
      description:
        'the monitoring agent’s reason: the event message’s prefix, the condition’s reason; kind none: of the event, empty for any',
    }),
    message: Type.Optional(Type.String({ description: 'text that the message must contain' })),
    via: Type.Optional(
      Type.Enum([...vias], {
        description: 'how the monitoring agent gets to know of the fault; absent: not known for this reason',
      }),
    ),
    plugin: Type.Optional(
      Type.Enum([...pluginNames], { description: 'its monitor plugin that reacts; absent: not known' }),
    ),
    event: Type.Optional(EventRule),
    withinSeconds: Type.Number({
      minimum: 1,
      maximum: 3600,
      description: 'how long to wait; kind none: for how long nothing may come',
    }),
  },
  { $id: 'Expectation', additionalProperties: false },
);
export type Expectation = Static<typeof Expectation>;

/** Of an experiment and of an injection. */
export const verdicts = ['pass', 'fail', 'inconclusive', 'error', 'aborted'] as const;
/** One of `verdicts`. */
export type Verdict = (typeof verdicts)[number];
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
