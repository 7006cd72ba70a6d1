/** What a soak found: figures, and what must not be. */
export type Findings = {
  /** Something that must never happen; the first hundred are kept. */
  violate(what: string): void;
  /** One more of `what` in a group of figures. */
  count(group: 'orders' | 'refusals' | 'drills' | 'actions', what: string): void;
  readonly violations: readonly string[];
  figures(group: 'orders' | 'refusals' | 'drills' | 'actions'): Readonly<Record<string, number>>;
};

/** Empty at the start; each violation is also handed to `tell` as it is found. */
export function createFindings(tell: (line: string) => void): Findings {
  const violations: string[] = [];
  const groups = new Map<string, Map<string, number>>();
  return {
    violations,
    violate(what) {
      if (violations.length < 100) violations.push(what);
      tell(`VIOLATION ${what}`);
    },
    count(group, what) {
      const counts = groups.get(group) ?? new Map<string, number>();
      groups.set(group, counts.set(what, (counts.get(what) ?? 0) + 1));
    },
    figures: (group) => Object.fromEntries([...(groups.get(group) ?? [])].toSorted()),
  };
}
