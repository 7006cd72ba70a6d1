import Type, { type Static } from 'typebox';
import { AgentOrder } from '../../shared/schemas/order.ts';
import { GpuSelector } from '../../shared/schemas/order-members.ts';
import { Receipt } from '../../shared/schemas/receipt.ts';
import { Confidence } from '../catalogue/confidence.ts';
import { EventRule, Expectation } from '../catalogue/expectation.ts';
import { Evidence, Explanation } from './explanation.ts';
import { InjectedSchema } from './injected.ts';
import { Restore, RestoreSummary } from './restore.ts';
import { Latency, TimelineEntry, VerdictSchema } from './timeline.ts';

/** RFC 1123 label, short enough for the names that are derived from it. */
export const ExperimentName = Type.String({
  minLength: 1,
  maxLength: 52,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  description: 'lower case letters, digits and dashes, a letter or digit first and last; made if absent',
});

/** A span of time as people write it. */
export const Duration = Type.String({
  // No look-ahead: the API server reads it with Go's RE2.
  pattern: '^((\\d+(\\.\\d+)?(ms|s|m|h))+|PT(\\d+H)?(\\d+M)?(\\d+(\\.\\d+)?S)?)$',
  maxLength: 32,
  description: 'a duration, as in Go (90s, 1m30s) or ISO 8601 (PT90S)',
});

/** How many of the selected nodes are drilled. */
export const targetModes = ['one', 'all', 'fixed', 'fixed-percent', 'random-max-percent'] as const;

/** Which nodes are drilled. */
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
        description:
          'the same seed picks the same nodes; default from the name, without one from the request',
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
    detection: Type.Optional(
      Type.Literal('ignore', {
        description:
          'an inject-only drill: the verdict is about the injection alone (carried out, read back, kept up to its end); nothing else goes with it',
      }),
    ),
    event: Type.Optional(EventRule),
    then: Type.Optional(
      Type.Array(
        Type.Object(
          {
            link: Type.String({ minLength: 1, maxLength: 64, description: 'a link after detection' }),
            within: Type.Optional(Duration),
          },
          { additionalProperties: false },
        ),
        { maxItems: 16, description: 'what must follow the detection, in the order of the chain' },
      ),
    ),
    repair: Type.Optional(
      Type.Enum(['expect', 'forbid', 'ignore'], {
        description:
          'expect: the node must be taken out of service, go and be replaced, as if `then` named each of those links; forbid: the node is restored before its repair is due, and the drill fails as soon as that cannot be done; default ignore',
      }),
    ),
    force: Type.Optional(
      Type.Boolean({
        description: 'true: run the drill although its forecast says that the expected repair cannot happen',
      }),
    ),
  },
  { additionalProperties: false },
);
export type ExpectationInput = Static<typeof ExpectationInput>;

/** What a drill is, wherever it is asked for: by REST, as an object, in a suite. */
export const experimentFields = {
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
  restore: Type.Optional(
    Type.Enum(['auto', 'never'], {
      description:
        'auto: when the drill of a node has ended, what it left there is taken back, and the drill passes only if that is proven; default never',
    }),
  ),
};

/** Body of `POST /api/v1/experiments`. */
export const ExperimentRequest = Type.Object(
  { name: Type.Optional(ExperimentName), ...experimentFields },
  { $id: 'ExperimentRequest', additionalProperties: false },
);
export type ExperimentRequest = Static<typeof ExperimentRequest>;

/** `spec` of the custom resource. */
export const ExperimentSpec = Type.Object(
  {
    ...experimentFields,
    abort: Type.Optional(Type.Boolean({ description: 'true ends the experiment; what was injected stays' })),
    restoreRequest: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        description: 'restores the nodes when it is above status.restore.request: POST …/restore raises it',
      }),
    ),
  },
  { $id: 'ExperimentSpec', additionalProperties: false },
);
export type ExperimentSpec = Static<typeof ExperimentSpec>;

/** `Aborted` and `Completed` are final. */
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

/** Why a node is no target of an experiment. */
export const skipCodes = [
  'deleting',
  'not-selected',
  'not-opted-in',
  'busy',
  'not-ready',
  'no-gpu',
  'not-picked',
] as const;
/** One of `skipCodes`. */
export type SkipCode = (typeof skipCodes)[number];

/** A node that was left out. */
export const SkippedNode = Type.Object(
  {
    node: Type.String(),
    code: Type.Enum([...skipCodes], {
      description:
        'not-selected: the selector does not fit; busy: another experiment works on it; not-picked: it fits, and the mode took others',
    }),
    because: Type.String(),
  },
  { additionalProperties: false },
);
export type SkippedNode = Static<typeof SkippedNode>;

/** What came of an experiment so far. */
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
      Type.Array(SkippedNode, { description: 'why each other node was left out; cut at 100' }),
    ),
    counts: Type.Optional(Counts),
    injected: Type.Optional(InjectedSchema),
    causes: Type.Optional(
      Type.Array(NodeCause, { description: 'why each node ended as it did, the worst first; cut at 100' }),
    ),
    latency: Type.Optional(Latency),
    restore: Type.Optional(RestoreSummary),
  },
  { $id: 'ExperimentStatus', additionalProperties: false },
);
export type ExperimentStatus = Static<typeof ExperimentStatus>;

/**
 * One link of a drill, as it was planned: what is ordered, or what must be seen and within which time. The rows of
 * coordinator/drill/links.ts say what a link of that name does; a chain is carried out in its order.
 */
export const ChainLink = Type.Object(
  {
    id: Type.String({
      description: 'unique in the chain: `order`, `detection`, `control-before-dcgm-order` …',
    }),
    link: Type.String({ description: 'name of its row: order, detection …' }),
    role: Type.Enum(['fault', 'control'], {
      description:
        'control: a harmless fault of a negative drill, whose event proves that the detection path works',
    }),
    when: Type.Optional(
      Type.Enum(['before', 'after'], { description: 'of a control: before or after the fault' }),
    ),
    path: Type.Optional(
      Type.Enum(['dcgm', 'kernel-log'], { description: 'of a control: which path it verifies' }),
    ),
    order: Type.Optional(AgentOrder),
    expectation: Type.Optional(Expectation),
    withinSeconds: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 86400,
        description: 'of a link after detection: how long to wait, from when the link before it was reached',
      }),
    ),
    expected: Type.String({ description: 'what has to be seen, in words' }),
  },
  { additionalProperties: false },
);
export type ChainLink = Static<typeof ChainLink>;

/** What the node belongs to; a link that outlives the node is judged by it. */
export const NodeOwner = Type.Object(
  {
    nodePool: Type.Optional(Type.String({ description: 'label karpenter.sh/nodepool of the node' })),
    nodeGroup: Type.Optional(
      Type.String({ description: 'label eks.amazonaws.com/nodegroup of a node that is in no NodePool' }),
    ),
    nodeClaim: Type.Optional(
      Type.Object(
        { name: Type.String(), uid: Type.String() },
        { additionalProperties: false, description: 'the node’s owner reference' },
      ),
    ),
  },
  { additionalProperties: false },
);
export type NodeOwner = Static<typeof NodeOwner>;

/** What happens on one target: fixed when it is planned. */
export const InjectionSpec = Type.Object(
  {
    experiment: Type.String(),
    node: Type.String(),
    nodeUid: Type.String(),
    owner: Type.Optional(NodeOwner),
    pool: Type.Optional(
      Type.String({
        description:
          'what the node belonged to when it was selected, in words: `managed node group g1`; absent: nothing that is known',
      }),
    ),
    fault: Type.String(),
    parameters: Type.Record(Type.String(), Type.Unknown()),
    chain: Type.Array(ChainLink, {
      minItems: 2,
      description: 'the links of the drill, in the order in which they are carried out',
    }),
  },
  { $id: 'InjectionSpec', additionalProperties: false },
);
export type InjectionSpec = Static<typeof InjectionSpec>;

/** Where an injection stands, for people: its links say more. The two phases of controls are those of negative drills. */
export const injectionPhases = [
  'Selected',
  'ControlBefore',
  'Injecting',
  'Verifying',
  'Repairing',
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
    bootId: Type.Optional(
      Type.String({ description: 'status.nodeInfo.bootID of the node; absent: it has none' }),
    ),
    pods: Type.Optional(
      Type.Array(
        Type.Object(
          { namespace: Type.String(), name: Type.String(), uid: Type.String() },
          { additionalProperties: false },
        ),
        {
          maxItems: 110,
          description:
            'pods that have to run elsewhere when the node goes; absent: not asked for, or not read',
        },
      ),
    ),
  },
  { additionalProperties: false },
);
export type Baseline = Static<typeof Baseline>;

/** Why an agent refused an order, as it said it. */
export const StoredRefusal = Type.Object({
  reason: Type.String(),
  message: Type.String(),
  details: Type.Record(Type.String(), Type.Unknown()),
});

/** Why a link behind detection was not reached, where the objects that it looks at show it. */
export const linkCauses = [
  'condition-recovered',
  'rebooted-instead',
  'replaced-instead',
  'not-rebooted',
  'not-ready-again',
  'removed-by-other',
  'pods-held',
  'pods-terminating',
  'repair-undone',
  'termination-held',
  'instance-not-terminated',
  'no-nodeclaim',
  'no-capacity',
  'not-registered',
  'not-initialized',
  'new-node-not-ready',
] as const;
/** One of `linkCauses`. */
export type LinkCause = (typeof linkCauses)[number];

/** `waiting` is not decided yet; `skipped` was not looked for. */
export const linkStates = ['waiting', 'reached', 'missed', 'skipped', 'unknown'] as const;

/** As an object says it; `unknown` for one of a later version. */
export function knownLinkState(state: string): (typeof linkStates)[number] {
  return linkStates.find((known) => known === state) ?? 'unknown';
}

/**
 * How far one link came. Of an order: with a baseline only, it may or may not have been sent.
 * `missed`: its time is over; `skipped`: an earlier link ended the drill; `unknown`: it could not be seen.
 */
export const LinkStatus = Type.Object(
  {
    id: Type.String({ description: 'of the link in spec.chain' }),
    link: Type.String(),
    state: Type.Enum([...linkStates]),
    expected: Type.String(),
    baseline: Type.Optional(Baseline),
    receipt: Type.Optional(Receipt),
    refusal: Type.Optional(StoredRefusal),
    since: Type.Optional(
      Type.String({
        description: 'from when its seconds count, on the coordinator’s clock; of an order: when it was sent',
      }),
    ),
    dueAt: Type.Optional(
      Type.String({ description: 'when the wait for it ends, on the coordinator’s clock' }),
    ),
    at: Type.Optional(Type.String({ description: 'RFC 3339: when it was reached, or found to be missed' })),
    clock: Type.Optional(
      Type.Enum(['node', 'api-server', 'coordinator'], { description: 'on which `at` was read' }),
    ),
    seconds: Type.Optional(
      Type.Number({ description: 'from `since` until it was reached, on the coordinator’s clock' }),
    ),
    because: Type.Optional(Type.String({ description: 'what shows it, or why it was not reached' })),
    seen: Type.Optional(Type.String({ description: 'how the coordinator came to see it' })),
    entry: Type.Optional(TimelineEntry),
    claims: Type.Optional(
      Type.String({
        description: 'uid of the new Node that replaced this one: it counts for no other drilled node',
      }),
    ),
    cause: Type.Optional(
      Type.Enum([...linkCauses], { description: 'why it was not reached, where that shows' }),
    ),
    evidence: Type.Array(Evidence),
  },
  { additionalProperties: false },
);
export type LinkStatus = Static<typeof LinkStatus>;

/** What came of one target so far. */
export const InjectionStatus = Type.Object(
  {
    phase: Type.Enum([...injectionPhases]),
    verdict: Type.Optional(VerdictSchema),
    injected: Type.Optional(InjectedSchema),
    confidence: Type.Optional(Confidence),
    explanation: Type.Optional(Explanation),
    links: Type.Optional(
      Type.Array(LinkStatus, { description: 'one for each link of spec.chain, in its order' }),
    ),
    endedAt: Type.Optional(Type.String()),
    timeline: Type.Optional(Type.Array(TimelineEntry)),
    latency: Type.Optional(Latency),
    restore: Type.Optional(Restore),
  },
  { $id: 'InjectionStatus', additionalProperties: false },
);
export type InjectionStatus = Static<typeof InjectionStatus>;
