const second = 1000;

export type ReactionChannel =
  | 'kernel-log-event'
  | 'kernel-log-condition'
  | 'policy-event'
  | 'policy-condition'
  | 'health-event'
  | 'health-condition'
  | 'fields-condition'
  | 'device-count-condition'
  | 'engine-loss-condition'
  | 'engine-pause-condition'
  | 'start-without-engine-condition'
  | 'overwritten-condition-restored'
  | 'restart-to-true';

/** From the cause to its visibility in the API (nma.md §2.3), for a healthy NMA that is past its first ticks. */
export const reactionWindows: Readonly<
  Record<ReactionChannel, { readonly bestMs: number; readonly typicalMs: number; readonly worstMs: number }>
> = {
  'kernel-log-event': { bestMs: 100, typicalMs: 1 * second, worstMs: 5 * second },
  'kernel-log-condition': { bestMs: 100, typicalMs: 8 * second, worstMs: 16 * second },
  'policy-event': { bestMs: 200, typicalMs: 1 * second, worstMs: 6 * second },
  'policy-condition': { bestMs: 200, typicalMs: 8 * second, worstMs: 20 * second },
  'health-event': { bestMs: 1 * second, typicalMs: 150 * second, worstMs: 300 * second },
  'health-condition': { bestMs: 1 * second, typicalMs: 158 * second, worstMs: 316 * second },
  'fields-condition': { bestMs: 1 * second, typicalMs: 158 * second, worstMs: 316 * second },
  'device-count-condition': { bestMs: 1 * second, typicalMs: 158 * second, worstMs: 316 * second },
  'engine-loss-condition': { bestMs: 60 * second, typicalMs: 95 * second, worstMs: 140 * second },
  // Paused, not killed: the request that is under way runs into its own limit first.
  'engine-pause-condition': { bestMs: 120 * second, typicalMs: 150 * second, worstMs: 200 * second },
  'start-without-engine-condition': { bestMs: 60 * second, typicalMs: 70 * second, worstMs: 96 * second },
  'overwritten-condition-restored': { bestMs: 1 * second, typicalMs: 150 * second, worstMs: 315 * second },
  // The report ticker of a fresh process: conditions start True and dirty (nma.md §2.1).
  'restart-to-true': { bestMs: 15 * second, typicalMs: 15 * second, worstMs: 20 * second },
};
