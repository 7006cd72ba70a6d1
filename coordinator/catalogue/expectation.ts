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
    kind: Type.Union(
      [Type.Literal('event'), Type.Literal('condition'), Type.Literal('none'), Type.Literal('ignored')],
      {
        description:
          'event: a Warning on the node; condition: status False; none: the condition stays as it is, and the event rule holds; ignored: only the injection is judged, whatever follows',
      },
    ),
    type: Type.String({ description: 'condition type; also the `reason` of the event' }),
    reason: Type.String({
      description:
        'the monitoring agent’s reason: the event message’s prefix, the condition’s reason; kind none: of the event, empty for any; kind ignored: empty',
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
      description:
        'how long to wait; kind none: for how long nothing may come; kind ignored: how long the injection itself lasts',
    }),
  },
  { $id: 'Expectation', additionalProperties: false },
);
export type Expectation = Static<typeof Expectation>;
