/**
 * A regular expression on the reason of a condition, unanchored as in Go. The catalogue's own are JavaScript's; one that comes from
 * outside takes linear time (given-policies.ts).
 */
export type ReasonPattern = {
  /** As it is written. */
  readonly source: string;
  test(reason: string): boolean;
};

/** A condition in a status that a repair controller acts on, and after which wait. Waits are in seconds. */
export type RepairPolicy = {
  /** Condition type on the Node. */
  readonly type: string;
  /** The status that counts as unhealthy. The node lifecycle controller writes `Unknown` when the kubelet is silent. */
  readonly status: 'False' | 'Unknown' | 'True';
  /**
   * Absent: every reason, or where other policies of the same type and status have one, every reason that none of those
   * matches.
   */
  readonly reason?: ReasonPattern;
  /** Counted from the condition's lastTransitionTime. */
  readonly waitSeconds: number;
  readonly action: 'replace' | 'reboot';
  /** After this long, pods that still block the drain are removed by force; absent: not known or at once. */
  readonly drainSeconds?: number;
};

/** The policies that apply to a condition of that type, status and reason (empty: not known); none: nothing acts on it. */
export function policiesFor(
  policies: readonly RepairPolicy[],
  condition: { readonly type: string; readonly status: string; readonly reason: string },
): readonly RepairPolicy[] {
  const ofPair = policies.filter(
    ({ type, status }) => type === condition.type && status === condition.status,
  );
  if (condition.reason === '') return ofPair;
  const named = ofPair.filter(({ reason }) => reason?.test(condition.reason) === true);
  return named.length > 0 ? named : ofPair.filter(({ reason }) => reason === undefined);
}
