import Type, { type Static } from 'typebox';
import { AgentOrder, GpuSelector } from '../../shared/schemas/order.ts';
import { Receipt } from '../../shared/schemas/receipt.ts';
import { EventRule, Expectation, Latency, TimelineEntry, VerdictSchema } from './expectation.ts';
import { Explanation } from './explanation.ts';
import { InjectedSchema } from './injected.ts';

/** RFC 1123 label, short enough for the names that are derived from it. */
export const ExperimentName = Type.String({
  minLength: 1,
  maxLength: 52,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  description: 'made if absent',
});

export const Duration = Type.String({
  // No look-ahead: the API server reads it with Go's RE2.
  pattern: '^((\\d+(\\.\\d+)?(ms|s|m|h))+|PT(\\d+H)?(\\d+M)?(\\d+(\\.\\d+)?S)?)$',
  maxLength: 32,
  description: 'Go (90s, 1m30s) or ISO 8601 (PT90S)',
});

export const targetModes = ['one', 'all', 'fixed', 'fixed-percent', 'random-max-percent'] as const;

export const Target = Type.Object(
  {
    selector: Type.Optional(
      Type.Object(
        {
          names: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { maxItems: 1000 })),
          matchLabels: Type.Optional(Type.Record(Type.String(), Type.String())),
          matchExpressions: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  key: Type.String({ minLength: 1 }),
                  operator: Type.Enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
                  values: Type.Optional(Type.Array(Type.String())),
                },
                { additionalProperties: false },
              ),
            ),
          ),
        },
        { additionalProperties: false, description: 'a Kubernetes label selector, and names; all must hold' },
      ),
    ),
    mode: Type.Optional(Type.Enum([...targetModes], { description: 'as in Chaos Mesh; default one' })),
    value: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10000,
        description: 'nodes for fixed, percent for the percent modes',
      }),
    ),
    seed: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 4294967295,
        description: 'the same seed picks the same nodes; default from the name',
      }),
    ),
    gpu: Type.Optional(GpuSelector),
  },
  { additionalProperties: false },
);
export type Target = Static<typeof Target>;

/** What a caller may say about the expected reaction; what is left out comes from catalogue and version. */
export const ExpectationInput = Type.Object(
  {
    kind: Type.Optional(Type.Enum(['event', 'condition'])),
    type: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    message: Type.Optional(Type.String({ maxLength: 1024 })),
    within: Type.Optional(Duration),
    none: Type.Optional(
      Type.Literal(true, {
        description: 'a negative drill: the condition must not change; only `for` and `event` go with it',
      }),
    ),
    for: Type.Optional(Duration),
    event: Type.Optional(EventRule),
  },
  { additionalProperties: false },
);
export type ExpectationInput = Static<typeof ExpectationInput>;

const specFields = {
  fault: Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: 64, description: 'a row of GET /api/v1/faults' }),
      parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    },
    { additionalProperties: false },
  ),
  target: Type.Optional(Target),
  expectation: Type.Optional(ExpectationInput),
  deadline: Type.Optional(Duration),
};

/** Body of `POST /api/v1/experiments`. */
export const ExperimentRequest = Type.Object(
  { name: Type.Optional(ExperimentName), ...specFields },
  { $id: 'ExperimentRequest', additionalProperties: false },
);
export type ExperimentRequest = Static<typeof ExperimentRequest>;

/** `spec` of the custom resource. */
export const ExperimentSpec = Type.Object(
  {
    ...specFields,
    abort: Type.Optional(Type.Boolean({ description: 'true ends the experiment; what was injected stays' })),
  },
  { $id: 'ExperimentSpec', additionalProperties: false },
);
export type ExperimentSpec = Static<typeof ExperimentSpec>;

export const experimentPhases = ['Pending', 'Running', 'Completed', 'Aborted'] as const;

/** Nodes by verdict. */
export const Counts = Type.Object(
  { total: Type.Integer(), pass: Type.Integer(), fail: Type.Integer(), other: Type.Integer() },
  { additionalProperties: false, description: 'nodes by verdict' },
);

/** How one node of an experiment ended; its Injection has the evidence. */
export const NodeCause = Type.Object(
  {
    node: Type.String(),
    verdict: VerdictSchema,
    code: Type.String({ description: 'of its explanation' }),
    summary: Type.String(),
  },
  { additionalProperties: false },
);

export const ExperimentStatus = Type.Object(
  {
    phase: Type.Enum([...experimentPhases]),
    verdict: Type.Optional(VerdictSchema),
    explanation: Type.Optional(Explanation),
    startedAt: Type.Optional(Type.String()),
    endedAt: Type.Optional(Type.String()),
    deadlineAt: Type.Optional(Type.String()),
    seed: Type.Optional(Type.Integer()),
    selected: Type.Optional(Type.Array(Type.String())),
    skipped: Type.Optional(
      Type.Array(
        Type.Object({ node: Type.String(), because: Type.String() }, { additionalProperties: false }),
        { description: 'why each other node was left out; cut at 100' },
      ),
    ),
    counts: Type.Optional(Counts),
    injected: Type.Optional(InjectedSchema),
    causes: Type.Optional(
      Type.Array(NodeCause, { description: 'why each node ended as it did, the worst first; cut at 100' }),
    ),
    latency: Type.Optional(Latency),
  },
  { $id: 'ExperimentStatus', additionalProperties: false },
);
export type ExperimentStatus = Static<typeof ExperimentStatus>;

/**
 * A harmless fault whose event proves that the way is alive. A negative drill has one before the fault and one after it,
 * on each way that the fault takes.
 */
export const Control = Type.Object(
  {
    when: Type.Enum(['before', 'after']),
    path: Type.Enum(['dcgm', 'kernel-log']),
    order: AgentOrder,
    expectation: Expectation,
  },
  { additionalProperties: false },
);
export type Control = Static<typeof Control>;

export const InjectionSpec = Type.Object(
  {
    experiment: Type.String(),
    node: Type.String(),
    nodeUid: Type.String(),
    fault: Type.String(),
    parameters: Type.Record(Type.String(), Type.Unknown()),
    order: AgentOrder,
    expectation: Expectation,
    controls: Type.Optional(
      Type.Array(Control, { description: 'of a negative drill, in the order in which they are made' }),
    ),
    confidence: Type.String({ description: 'how sure the expectation is, by what is known of the version' }),
  },
  { $id: 'InjectionSpec', additionalProperties: false },
);
export type InjectionSpec = Static<typeof InjectionSpec>;

/** The two phases of controls are those of negative drills. */
export const injectionPhases = [
  'Selected',
  'ControlBefore',
  'Injecting',
  'Verifying',
  'ControlAfter',
  'Completed',
] as const;

/** What stood on the node before anything was written; without it a later state proves nothing. */
export const Baseline = Type.Object(
  {
    at: Type.String(),
    condition: Type.Optional(
      Type.Object({
        type: Type.String(),
        status: Type.String(),
        reason: Type.String(),
        message: Type.String(),
        lastHeartbeatTime: Type.Union([Type.String(), Type.Null()]),
        lastTransitionTime: Type.Union([Type.String(), Type.Null()]),
      }),
    ),
    events: Type.Record(Type.String(), Type.Integer(), {
      description: 'count of each event of the expected type, by uid: a repeated text only raises the count',
    }),
  },
  { additionalProperties: false },
);
export type Baseline = Static<typeof Baseline>;

const StoredRefusal = Type.Object({
  reason: Type.String(),
  message: Type.String(),
  details: Type.Record(Type.String(), Type.Unknown()),
});

/** How far a control came. With a baseline only, its order may or may not have been given. */
const ControlStatus = Type.Object(
  {
    orderId: Type.String(),
    baseline: Baseline,
    receipt: Type.Optional(Receipt),
    refusal: Type.Optional(StoredRefusal),
    orderedAt: Type.Optional(Type.String({ description: 'coordinator’s clock' })),
    waitUntil: Type.Optional(Type.String()),
    seen: Type.Optional(TimelineEntry),
  },
  { additionalProperties: false },
);
export type ControlStatus = Static<typeof ControlStatus>;

export const InjectionStatus = Type.Object(
  {
    phase: Type.Enum([...injectionPhases]),
    verdict: Type.Optional(VerdictSchema),
    injected: Type.Optional(InjectedSchema),
    explanation: Type.Optional(Explanation),
    baseline: Type.Optional(Baseline),
    receipt: Type.Optional(Receipt),
    refusal: Type.Optional(StoredRefusal),
    controls: Type.Optional(Type.Array(ControlStatus)),
    injectedAt: Type.Optional(Type.String({ description: "coordinator's clock: the receipt was here" })),
    waitUntil: Type.Optional(Type.String()),
    endedAt: Type.Optional(Type.String()),
    timeline: Type.Optional(Type.Array(TimelineEntry)),
    latency: Type.Optional(Latency),
  },
  { $id: 'InjectionStatus', additionalProperties: false },
);
export type InjectionStatus = Static<typeof InjectionStatus>;
