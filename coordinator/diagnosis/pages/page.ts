/** What stands about a cause in CAUSES.md beside what its rule says of itself. Plain sentences, Markdown in them. */
export type CausePage = {
  /** What people see when it is the cause. */
  readonly symptom: string;
  /** What the rule asks for before it says so. */
  readonly proof: string;
  /** What rules it out, or leaves it open. */
  readonly refuted: string;
  /** The next step. */
  readonly remedy: string;
};
