import Type, { type Static } from 'typebox';
import { Evidence, Explanation } from './explanation.ts';

/**
 * The steps of a restore, in their order (nma.md §3: the host engine before NMA, or its health system makes the condition False
 * again at the next check).
 */
export const restoreStepNames = ['stop', 'engine', 'reconnect', 'monitor', 'condition', 'stable'] as const;
/** One of `restoreStepNames`. */
export type RestoreStepName = (typeof restoreStepNames)[number];

/** Why a node was not restored; stable, scripts match on it. */
export const restoreCodes = [
  'restore-not-allowed',
  'restore-kill-switch',
  'restore-cut-short',
  'restore-node-busy',
  'restore-foreign-fault',
  'restore-host-process',
  'restore-pod-unknown',
  'restore-pod-not-back',
  'restore-agent-unreachable',
  'restore-no-listener',
  'restore-condition-false',
  'restore-condition-returned',
  'restore-repair-first',
  'restore-not-in-time',
] as const;
/** One of `restoreCodes`. */
export type RestoreCode = (typeof restoreCodes)[number];

/** A pod that a step restarts. */
export const RestartedPod = Type.Object(
  {
    namespace: Type.String(),
    name: Type.String(),
    uid: Type.String({ description: 'only the pod with this uid is deleted, so that it is restarted once' }),
    daemonSet: Type.String({ description: 'uid of the DaemonSet that brings it back' }),
  },
  { additionalProperties: false },
);
export type RestartedPod = Static<typeof RestartedPod>;

/** How far one step of a restore came. */
export const RestoreStep = Type.Object(
  {
    step: Type.Enum([...restoreStepNames]),
    state: Type.Enum(['waiting', 'done', 'skipped', 'failed'], {
      description: 'skipped: there was nothing to do for it',
    }),
    expected: Type.String({ description: 'what has to be seen, in words' }),
    pod: Type.Optional(RestartedPod),
    replacement: Type.Optional(
      Type.Object(
        { name: Type.String(), uid: Type.String(), startedAt: Type.String() },
        { additionalProperties: false, description: 'the pod that came in its place' },
      ),
    ),
    since: Type.Optional(Type.String({ description: 'when it began, coordinator’s clock' })),
    dueAt: Type.Optional(Type.String({ description: 'when its wait ends, coordinator’s clock' })),
    at: Type.Optional(Type.String({ description: 'when it ended, coordinator’s clock' })),
    seconds: Type.Optional(Type.Number({ description: 'from `since` to `at`' })),
    because: Type.Optional(Type.String({ description: 'what shows it, or why it failed' })),
    evidence: Type.Array(Evidence),
  },
  { additionalProperties: false },
);
export type RestoreStep = Static<typeof RestoreStep>;

/** How a restore stands. `nothing`: there was nothing of ours on the node that could be taken back. */
export const restoreStates = ['running', 'restored', 'nothing', 'failed'] as const;
/** One of `restoreStates`. */
export type RestoreState = (typeof restoreStates)[number];

/** The restore of one node: what is taken back, and how far that came. Everything that is needed to go on after a restart. */
export const Restore = Type.Object(
  {
    request: Type.Integer({
      description: 'spec.restoreRequest of the experiment that it answers; 0: restore: auto',
    }),
    state: Type.Enum([...restoreStates]),
    summary: Type.Optional(Type.String({ description: 'how it ended, in a sentence; absent: it goes on' })),
    startedAt: Type.String(),
    endedAt: Type.Optional(Type.String()),
    conditions: Type.Array(Type.String(), { description: 'conditions that the drill’s orders turn False' }),
    reasons: Type.Array(Type.String(), {
      description:
        'reasons that come from the drill; a condition with another one is not ours, and NMA is not restarted',
    }),
    since: Type.String({
      description: 'the first order on this node, node’s clock: what is older is not ours',
    }),
    lastOrderAt: Type.String({
      description: 'the last order, node’s clock: its reaction may still be on its way',
    }),
    repairDueAt: Type.Optional(
      Type.String({
        description: 'when a controller repairs the node at the earliest; absent: none is known to',
      }),
    ),
    forbidsRepair: Type.Optional(
      Type.Boolean({ description: 'true: it fails as soon as it cannot be done before `repairDueAt`' }),
    ),
    warning: Type.Optional(
      Type.String({
        description: 'set once the repair is due and a condition of the drill is still not True',
      }),
    ),
    steps: Type.Array(RestoreStep),
    left: Type.Array(
      Type.Object({ what: Type.String(), until: Type.String() }, { additionalProperties: false }),
      { description: 'what cannot be taken back, and what ends it' },
    ),
    explanation: Type.Optional(Explanation),
  },
  { additionalProperties: false },
);
export type Restore = Static<typeof Restore>;

/** The restores of an experiment over its nodes. */
export const RestoreSummary = Type.Object(
  {
    request: Type.Integer({ description: 'the request that they answer; 0: restore: auto' }),
    state: Type.Enum([...restoreStates], { description: 'that of the node that stands worst' }),
    nodes: Type.Record(Type.String(), Type.Integer(), { description: 'number of nodes by state' }),
    endedAt: Type.Optional(Type.String()),
    warning: Type.Optional(
      Type.String({ description: 'of the first node whose repair was due before its condition was True' }),
    ),
  },
  { additionalProperties: false },
);
export type RestoreSummary = Static<typeof RestoreSummary>;
