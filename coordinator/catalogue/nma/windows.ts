import type { Via } from '../expectation.ts';

const second = 1000;

/** Milliseconds from the cause to its visibility in the API, for a healthy NMA that is past its first ticks. */
export type ReactionWindow = {
  readonly bestMs: number;
  readonly typicalMs: number;
  readonly worstMs: number;
};

/** A condition waits for NMA's report, an event does not; what only ever ends in the condition has no event. */
type Windows = { readonly condition: ReactionWindow; readonly event?: ReactionWindow };

const logRule: Windows = {
  event: { bestMs: 100, typicalMs: 1 * second, worstMs: 5 * second },
  condition: { bestMs: 100, typicalMs: 8 * second, worstMs: 16 * second },
};
const fiveMinuteTick: ReactionWindow = { bestMs: 1 * second, typicalMs: 158 * second, worstMs: 316 * second };

/** nma.md §2.3. Lines of the journal and of files are seen as soon as kernel records. */
const windows: Readonly<Record<Via, Windows>> = {
  'kernel-log-rule': logRule,
  'journal-rule': logRule,
  'log-file-rule': logRule,
  policy: {
    event: { bestMs: 200, typicalMs: 1 * second, worstMs: 6 * second },
    condition: { bestMs: 200, typicalMs: 8 * second, worstMs: 20 * second },
  },
  'health-check': {
    event: { bestMs: 1 * second, typicalMs: 150 * second, worstMs: 300 * second },
    condition: fiveMinuteTick,
  },
  'watched-field': { condition: fiveMinuteTick },
  'device-count': { condition: fiveMinuteTick },
  'engine-loss': { condition: { bestMs: 60 * second, typicalMs: 95 * second, worstMs: 140 * second } },
  // Paused, not killed: the request that is under way runs into its own limit first.
  'engine-pause': { condition: { bestMs: 120 * second, typicalMs: 150 * second, worstMs: 200 * second } },
};

/** How long a reaction takes that NMA gives in this way; `none` is judged by the condition that must not change. */
export function reactionWindow(via: Via, kind: 'condition' | 'event' | 'none'): ReactionWindow {
  const { condition, event = condition } = windows[via];
  return kind === 'event' ? event : condition;
}

/** The report ticker of a fresh NMA process: conditions start True and dirty (nma.md §2.1). */
export const restartWindow: ReactionWindow = {
  bestMs: 15 * second,
  typicalMs: 15 * second,
  worstMs: 20 * second,
};
