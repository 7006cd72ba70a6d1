import type { Clock } from '../../shared/clock.ts';

/** Reads under a key, or answers with what was read under it a moment ago. */
export type SharedReads = <T>(key: string, read: () => Promise<T>) => Promise<T>;

/** Reads that serve many targets at once: the same answer, and the same refusal for want of a right, for `forMs`. */
export function createSharedReads(clock: Clock, forMs: number): SharedReads {
  const answers = new Map<string, { readonly until: number; readonly answer: Promise<unknown> }>();
  return async <T>(key: string, read: () => Promise<T>): Promise<T> => {
    const known = answers.get(key);
    if (known !== undefined && known.until > clock.elapsed()) return known.answer as Promise<T>;
    const answer = read();
    answers.set(key, { until: clock.elapsed() + forMs, answer });
    // What may pass is asked again by the next.
    answer.catch(() => {
      if (answers.get(key)?.answer === answer) answers.delete(key);
    });
    return answer;
  };
}
