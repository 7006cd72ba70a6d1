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

/**
 * Reads of which one is under way at a time for each key. Whoever asks meanwhile shares the next one with all who do: it begins after it
 * was asked for, so that its answer is no older than the question.
 */
export function createNextReads(): SharedReads {
  const running = new Map<string, Promise<unknown>>();
  const next = new Map<string, Promise<unknown>>();

  function begin<T>(key: string, read: () => Promise<T>): Promise<T> {
    const answer = read();
    const ended = () => {
      if (running.get(key) === answer) running.delete(key);
    };
    running.set(key, answer);
    answer.then(ended, ended);
    return answer;
  }

  return <T>(key: string, read: () => Promise<T>): Promise<T> => {
    const now = running.get(key);
    if (now === undefined) return begin(key, read);
    const known = next.get(key);
    if (known !== undefined) return known as Promise<T>;
    const begun = () => {
      next.delete(key);
      return begin(key, read);
    };
    const answer = now.then(begun, begun);
    next.set(key, answer);
    return answer;
  };
}
